"""The pixels of a Pillow image of any mode and color profile: upright, RGB, whole or in parts."""

import io
import struct
from functools import lru_cache
from typing import IO, Any, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, ImageCms
from PIL import Image as PillowImage

from mien import imaging
from mien.errors import ImageReadError
from mien.imaging import LargeImage
from mien.types import Image

# Less than this is a rounded corner or a smooth edge.
_SEEN_SHARE = 0.02
_BAND_PIXELS = 1 << 20
_LARGE_PIXELS = 16_000_000
# Of a large picture, the transparency of every eighth pixel of every eighth row is looked at.
_SAMPLED = 8
PART_MODES = ("RGB", "RGBA", "L", "CMYK", "YCbCr")
"""Modes of :class:`PillowParts`."""

# The inverse of each EXIF orientation (CIPA DC-008, 4.6.4): whether rows and columns are exchanged,
# and then which are reversed.
_STEPS = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
_UPRIGHT = (False, False, False)
# Mean difference to the picture without its profile, in levels. Display P3 (11) and Adobe RGB (11)
# shift the color of skin by 5 levels, and their conversion would cost as much as the analysis of a
# photograph; ProPhoto RGB (24) shifts it by 21.
MATTERS = 14.0
_MODES = {"L": "RGB", "LA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}


def say_clear_share(share: float, warnings: list[str]) -> None:
    """Add a warning of the share of a picture that is transparent, if it is seen."""
    if share >= _SEEN_SHARE:
        warnings.append(f"{share:.0%} of the picture is transparent, and was read as white")


def to_levels(values: npt.NDArray[Any], warnings: list[str]) -> Image:
    """Scale numbers of any type to 0..255, by the usual range in which they are.

    Fractions are in [0, 1]; otherwise the range ends at 255, 1023, 4095, 65535 or at the maximum of
    the type. A file does not say which, and a wrong one would make the picture black.

    Args:
        values: of a whole picture.
        warnings: what was assumed is added here.

    Raises:
        ImageReadError: they are in no usual range.
    """
    low, high = values.min(), values.max()
    top = _top(values.dtype, low, high)
    if top is None:
        raise ImageReadError(
            f"not supported: pixels of type {values.dtype} from {low:g} to {high:g}; "
            "scale them to 0..255 and save them with 8 bits"
        )
    full = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    if top != full:
        warnings.append(f"pixels of type {values.dtype} up to {high:g} were read as 0 to {top:g}")
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f" and top > 255:
        return np.asarray(values >> (int(top).bit_length() - 8), np.uint8)
    if top == 127:
        return np.asarray(values * 2.0 + 0.5, np.uint8)
    if values.dtype.kind != "f":
        return np.asarray(values, np.uint8)
    return np.asarray(np.clip(values * (255 / top) + 0.5, 0, 255), np.uint8)


def _top(dtype: np.dtype[Any], low: Any, high: Any) -> float | None:
    if dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high) and low > -0.01):
            return None
        if high <= 1.01:
            return 1
        # Fractions with highlights above 1 are no levels up to 255.
        return 255 if 32 <= high < 256 else 65535 if 4096 <= high < 65536 else None
    if low < 0:
        return None
    full = int(np.iinfo(dtype).max)
    if dtype.itemsize == 1:
        return full
    tops = (255, 1023, 4095, full) if dtype.itemsize == 2 else (255, 65535)
    usual = next((top for top in tops if high <= top), None)
    # More than 16 bits are used whole, or not in any usual range.
    return usual or (full if high > full >> 8 else None)


# Pixels are converted in bands of about this many, to bound memory.


def upright(pixels: Image, orientation: int) -> Image:
    """``(H, W, 3)`` pixels turned upright by their EXIF orientation."""
    transposed, upside_down, mirrored = _STEPS.get(orientation, _UPRIGHT)
    if transposed:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def is_large(width: int, height: int) -> bool:
    """Whether an image is better analyzed in parts, to bound memory."""
    return width * height > _LARGE_PIXELS


def clear_share(picture: PillowImage.Image) -> float:
    """The share of pixels that are less than half opaque; of large pictures, of a sample."""
    if not picture.has_transparency_data:
        return 0.0
    width, height = picture.size
    if is_large(width, height):
        size_wh = max(1, width // _SAMPLED), max(1, height // _SAMPLED)
        picture = picture.resize(size_wh, PillowImage.Resampling.NEAREST)
    levels = picture.convert("RGBA").getchannel("A").histogram()
    return sum(levels[:128]) / max(1, sum(levels))


def pixels_of(picture: PillowImage.Image, warnings: list[str], *, orientation: int = 1) -> Image:
    """The upright pixels of a Pillow image; the orientation is used where it has none itself."""
    return _upright_rgb(picture, warnings, orientation_of(picture, orientation))


def _upright_rgb(picture: PillowImage.Image, warnings: list[str], orientation: int) -> Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture)
        # Pillow has no mode of 16 bits for PNM.
        deep = picture.mode not in ("I", "F") or picture.format == "PPM"
        values = values.astype(np.uint16) if deep and picture.mode != "F" else values
        clear = values == picture.info.get("transparency")  # the key of PNG
        levels = to_levels(np.where(clear, 0, values), warnings)
        say_clear_share(float(np.mean(clear)), warnings)
        return upright(imaging.as_rgb(np.where(clear, np.uint8(255), levels)), orientation)
    width, height = picture.size
    transposed, upside_down, mirrored = _STEPS.get(orientation, _UPRIGHT)
    image = np.empty((width, height, 3) if transposed else (height, width, 3), np.uint8)
    # A view of the result with the rows of the picture.
    rows = image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    rows = rows.transpose(1, 0, 2) if transposed else rows
    step = max(1, _BAND_PIXELS // width)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        band = picture if step >= height else picture.crop((0, top, width, bottom))
        _fill(rows[top:bottom], _to_srgb(band))
    return image


def orientation_of(picture: PillowImage.Image, default: int) -> int:
    # An image with damaged metadata is still usable.
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, default)
        return value if isinstance(value, int) else default
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return default


def _fill(rows: Image, band: PillowImage.Image) -> None:
    """Write the pixels of a picture into an array of its size."""
    if band.mode == "LAB":
        # Pillow's a and b are signed, those of OpenCV have an offset.
        lab = np.array(band)
        lab[:, :, 1:] ^= 128
        rows[:] = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
        return
    if band.mode == "La":
        band = band.convert("LA")
    if band.has_transparency_data:
        rows[:] = imaging.as_rgb(np.asarray(band.convert("RGBA")))
        return
    band = band if band.mode == "RGB" else band.convert("RGB")
    if rows.flags.c_contiguous:
        receiver = _PpmReceiver(rows, band)
        band.save(cast(IO[bytes], receiver), "PPM")
        assert receiver.is_complete
    else:
        rows[:] = np.asarray(band)


class _PpmReceiver:
    """A file that keeps the pixels of a PPM picture in an array.

    Pillow gives arrays its pixels by way of two copies; PPM are the same bytes after a header, and
    take a quarter of the time.
    """

    def __init__(self, rows: Image, picture: PillowImage.Image) -> None:
        self._bytes = memoryview(rows.reshape(-1))
        self._at = -len(b"P6\n%d %d\n255\n" % picture.size)

    @property
    def is_complete(self) -> bool:
        return self._at == len(self._bytes)

    def write(self, part: bytes) -> int:
        start, self._at = self._at, self._at + len(part)
        if self._at > 0:
            self._bytes[max(0, start) : self._at] = part[max(0, -start) :]
        return len(part)


class PillowParts(LargeImage):
    """A decoded Pillow image, whose pixels are not copied as a whole.

    Args:
        picture: in one of some modes of 8 bits.
        orientation: as in EXIF.
    """

    def __init__(self, picture: PillowImage.Image, orientation: int) -> None:
        self._picture, self._orientation = picture, orientation
        self._transposed, self._upside_down, self._mirrored = _STEPS.get(orientation, _UPRIGHT)
        width, height = picture.size[::-1] if self._transposed else picture.size
        self.shape = (height, width, 3)
        self.small = _upright_rgb(picture.reduce(self.factor), [], orientation)

    def part(
        self, left: int, top: int, right: int, bottom: int, *, shrink: float = 1.0
    ) -> tuple[Image, int]:
        """See :meth:`mien.imaging.LargeImage.part`."""
        if shrink >= self.factor:
            return self.reduced_part(left, top, right, bottom)
        height, width = self.shape[:2]
        if self._mirrored:
            left, right = width - right, width - left
        if self._upside_down:
            top, bottom = height - bottom, height - top
        box = (top, left, bottom, right) if self._transposed else (left, top, right, bottom)
        pixels = _upright_rgb(self._picture.crop(box), [], 1)
        return upright(pixels, self._orientation), 1

    def close(self) -> None:
        """See :meth:`mien.imaging.LargeImage.close`."""
        super().close()
        self._picture.close()


def has_profile(picture: PillowImage.Image) -> bool:
    """Whether a picture has a profile whose conversion changes it visibly."""
    return _transform_of(picture) is not None


def _to_srgb(picture: PillowImage.Image) -> PillowImage.Image:
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
