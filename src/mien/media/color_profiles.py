"""Color profiles (ICC) of pictures: which ones matter, and their conversion to sRGB."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms

# Mean difference to the picture without its profile, in levels. Display P3 (11) and Adobe RGB (11)
# shift the color of skin by 5 levels, and their conversion would cost as much as the analysis of a
# photograph; ProPhoto RGB (24) shifts it by 21.
MATTERS = 14.0
_MODES = {"L": "RGB", "LA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}


def has_profile(picture: PillowImage.Image) -> bool:
    """Whether a picture has a profile whose conversion changes it visibly."""
    return _transform_of(picture) is not None


def to_srgb(picture: PillowImage.Image) -> PillowImage.Image:
    """The picture in sRGB where its profile matters, else as it is."""
    transform = _transform_of(picture)
    if transform is None:
        return picture
    if picture.mode == "LA":
        converted = transform.apply(picture.getchannel("L"))
        converted.putalpha(picture.getchannel("A"))
        return converted
    return transform.apply(picture)


def _transform_of(picture: PillowImage.Image) -> ImageCms.ImageCmsTransform | None:
    profile = picture.info.get("icc_profile")
    if not isinstance(profile, bytes) or picture.mode not in _MODES:
        return None
    return _transform(profile, "L" if picture.mode == "LA" else picture.mode)


@lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion to sRGB; None where it changes little, or the profile is damaged."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, _MODES[mode])
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    sample = _all_colors(mode)
    before = np.asarray(sample.convert("RGB"), np.int16)
    after = np.asarray(transform.apply(sample).convert("RGB"), np.int16)
    return transform if np.abs(after - before).mean() > MATTERS else None


def _all_colors(mode: str) -> PillowImage.Image:
    """A picture of colors at equal distances, opaque."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    count = {"L": 1, "CMYK": 4}.get(mode, 3)
    grid = np.stack(np.meshgrid(*[levels] * count, indexing="ij"), axis=-1).reshape(9, -1, count)
    if mode == "L":
        return PillowImage.fromarray(np.ascontiguousarray(grid[:, :, 0]))
    if mode == "CMYK":
        return PillowImage.fromarray(grid, "CMYK")
    return PillowImage.fromarray(grid).convert(mode)
