"""All image operations before a network. Pure functions; RGB in, RGB out.

Training, evaluation, export and inference use the same functions, because different crops cost more
accuracy than the choice of the network. The origin is the corner of the image: the center of the
top left pixel is (0.5, 0.5).
"""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from mien import geometry
from mien.errors import InputError
from mien.types import AlignedCrop, AlignmentTemplate, Box, FloatArray, Image, InputSpec

# Beyond this reduction, bilinear sampling would skip pixels and cause aliasing.
_MAX_PLAIN_SHRINK = 1.5
# For a detector, the detail of small faces matters more than aliasing.
_LETTERBOX_PLAIN_SHRINK = 2.0
# The level that the brightest 2 % of the pixels have at least, in a picture or by a gain.
_BRIGHT_SHARE, _LEAST_BRIGHT, _MAX_GAIN = 0.98, 64, 16.0


class LargeImage(ABC):
    """A picture of which parts are decoded when they are needed, so that it never is in memory.

    Attributes:
        shape: ``(H, W, 3)``.
        small: the picture, reduced by `factor` in both directions.
    """

    factor: ClassVar[int] = 4
    shape: tuple[int, int, int]
    small: Image

    @abstractmethod
    def part(
        self, left: int, top: int, right: int, bottom: int, *, shrink: float = 1.0
    ) -> tuple[Image, int]:
        """The RGB pixels of a part that is inside the picture.

        Args:
            left, top, right, bottom: in pixels of the picture; maxima are exclusive.
            shrink: reduction in both directions that does no harm.

        Returns:
            The pixels, and the reduction: 1 or `factor`.
        """

    def reduced_part(self, left: int, top: int, right: int, bottom: int) -> tuple[Image, int]:
        """A part of the reduced picture."""
        f = self.factor
        rows = slice(top // f, max(top // f + 1, bottom // f))
        return self.small[rows, left // f : max(left // f + 1, right // f)], f

    def close(self) -> None:
        """Free its memory now; no part can be read any more."""
        self.small = np.empty((0, 0, 3), np.uint8)

    def whole(self) -> Image:
        """All pixels."""
        return self.part(0, 0, self.shape[1], self.shape[0])[0]


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """A picture as it was read from a file.

    Attributes:
        pixels: upright.
        warnings: what is wrong with the file.
        read: the part that the file has; None if it has all.
        focal_length: of the camera, in longer sides of the picture; None if the file does not say.
    """

    pixels: Image | LargeImage
    warnings: tuple[str, ...] = ()
    read: Box | None = None
    focal_length: float | None = None


def around_box(
    image: "Image | LargeImage", box: Box, scale: float, *, detail: int = 384
) -> tuple[Image, tuple[int, int], int]:
    """The part of an image around a box, inside the image.

    Args:
        image: ``(H, W, 3)``.
        box: the box.
        scale: side of the part, relative to the longer side of the box.
        detail: more pixels than these along the box are not needed.

    Returns:
        The pixels, the corner of the part in the image, and its reduction.
    """
    height, width = image.shape[:2]
    side = max(box.width, box.height)
    (x, y), reach = box.center, scale * side / 2
    left, top = (
        max(0, min(math.floor(x - reach), width - 1)),
        max(0, min(math.floor(y - reach), height - 1)),
    )
    right, bottom = (
        max(left + 1, min(math.ceil(x + reach), width)),
        max(top + 1, min(math.ceil(y + reach), height)),
    )
    if isinstance(image, LargeImage):
        pixels, factor = image.part(left, top, right, bottom, shrink=side / detail)
        return pixels, (left, top), factor
    return image[top:bottom, left:right], (left, top), 1


def as_rgb(image: npt.ArrayLike) -> Image:
    """Convert an array to an ``(H, W, 3)`` RGB uint8 image.

    Args:
        image: ``(H, W)`` or ``(H, W, 1)`` gray, ``(H, W, 3)`` RGB, or ``(H, W, 4)`` RGBA, which is
            blended with white. The type is uint8, uint16 in 0..65535, bool, float in [0, 1], or
            any integer in 0..255 (so is uint16 without a higher value).

    Returns:
        A contiguous array; the input itself if it already has this form.

    Raises:
        InputError: unsupported shape, type or range.
    """
    if isinstance(image, str | bytes | os.PathLike):
        raise InputError(
            f"expected the pixels of an image, got {type(image).__name__}: read a file, or its "
            "bytes, with mien.read_image"
        )
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(
            "expected an image of shape (height, width), (height, width, 3) or "
            f"(height, width, 4), got {array.shape}"
        )
    if min(array.shape[:2]) < 1:
        raise InputError(f"expected an image with at least one pixel, got shape {array.shape}")
    array = _as_uint8(array)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    elif array.shape[2] == 4:
        alpha = array[:, :, 3:].astype(np.uint16)
        array = ((array[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(array)


def _as_uint8(array: npt.NDArray[Any]) -> Image:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        # Numbers of 8 bits in a wider type; as those of 16 bits, all of them would be black.
        return np.asarray(array if array.max() <= 255 else array >> 8, np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(
                "expected a float image in [0, 1], got values that are not finite; replace them"
            )
        if not (low >= 0 and high <= 1):
            raise InputError(
                f"expected a float image in [0, 1], got values from {low:g} to {high:g}; "
                "convert to uint8 for a range of 0 to 255"
            )
        return np.asarray(array * 255 + 0.5, np.uint8)
    if array.dtype.kind in "iu":  # numpy counts time spans as integers, too
        low, high = int(array.min()), int(array.max())
        if low >= 0 and high <= 255:
            return np.asarray(array, np.uint8)
        raise InputError(
            f"expected an image of {array.dtype} in 0 to 255, got values from {low} to {high}; "
            "convert to uint8, or to uint16 for a range of 0 to 65535"
        )
    raise InputError(f"expected an image of type uint8, uint16, bool or float, got {array.dtype}")


def limit_threads(threads: int) -> None:
    """Set the number of OpenCV's threads, in the whole process.

    For crops of faces, more threads cost more CPU than they save: the landmarks of five faces took
    17.0 ms of CPU with two threads, and 12.9 ms with one.
    """
    cv2.setNumThreads(threads)


def to_gray(image: Image) -> Image:
    """RGB to gray by ITU-R BT.601 luma; a gray image is returned unchanged."""
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def resize(image: Image, size_wh: tuple[int, int]) -> Image:
    """Resize by area averaging when shrinking, and bilinearly when enlarging."""
    height, width = image.shape[:2]
    shrinking = size_wh[0] < width or size_wh[1] < height
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return cv2.resize(image, size_wh, interpolation=method)  # type: ignore[return-value]


def letterbox(image: Image, size_wh: tuple[int, int]) -> tuple[Image, npt.NDArray[np.float64]]:
    """Fit an image into a size with black borders, keeping its aspect ratio.

    Returns:
        The ``(H, W, 3)`` result, and the ``(2, 3)`` transform from the image to it.
    """
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    inner_wh = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size_wh[0] - inner_wh[0]) // 2, (size_wh[1] - inner_wh[1]) // 2
    small, factor = _halved(image, 1 / scale, _LETTERBOX_PLAIN_SHRINK)
    framed = np.zeros((size_wh[1], size_wh[0], *image.shape[2:]), np.uint8)
    framed[top : top + inner_wh[1], left : left + inner_wh[0]] = cv2.resize(
        small, inner_wh, interpolation=cv2.INTER_LINEAR
    )
    scale_x, scale_y = inner_wh[0] / small.shape[1], inner_wh[1] / small.shape[0]
    transform = np.array([[scale_x / factor, 0, left], [0, scale_y / factor, top]], np.float64)
    return framed, transform


def _halved(image: Image, shrink: float, plain_shrink: float) -> tuple[Image, int]:
    """Halve an image until bilinear sampling can do the rest; returns the reduction factor, too.

    Halving by area averaging is 15 times faster in OpenCV than other ratios. An odd last row or
    column is dropped.
    """
    factor = 1
    while shrink / factor > plain_shrink and min(image.shape[:2]) >= 2:
        half_wh = image.shape[1] // 2, image.shape[0] // 2
        even = image[: 2 * half_wh[1], : 2 * half_wh[0]]
        image = cv2.resize(even, half_wh, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        factor *= 2
    return image, factor


def warp(
    image: Image,
    transform: npt.NDArray[np.float64],
    size_wh: tuple[int, int],
    *,
    replicate_border: bool = True,
) -> Image:
    """Warp an image by a similarity, without aliasing.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)``.
        transform: ``(2, 3)``, from the image to the result.
        size_wh: width and height of the result.
        replicate_border: whether to repeat edge pixels outside the image; else black.
    """
    transform = np.asarray(transform, np.float64)
    part, transform = _part_to_read(image, transform, size_wh)
    colored = part.ndim == 3
    if colored:
        # OpenCV warps four channels in half the time of three, with the same result.
        part = cv2.cvtColor(part, cv2.COLOR_RGB2RGBA)  # type: ignore[assignment]
    # The origin of OpenCV is the center of the first pixel, ours its corner.
    (a, b, x), (c, d, y) = transform.tolist()
    matrix = np.array([[a, b, (a + b - 1) / 2 + x], [c, d, (c + d - 1) / 2 + y]])
    border = cv2.BORDER_REPLICATE if replicate_border else cv2.BORDER_CONSTANT
    warped = cv2.warpAffine(
        part, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=0
    )
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB) if colored else warped  # type: ignore[return-value]


def _part_to_read(
    image: Image, transform: npt.NDArray[np.float64], size_wh: tuple[int, int]
) -> tuple[Image, npt.NDArray[np.float64]]:
    """The part of the image that a warp reads, reduced to about the scale of the warp."""
    height, width = image.shape[:2]
    inverse = geometry.invert(transform)
    (a, b, x), (c, d, y) = inverse.tolist()
    shrink = math.sqrt(abs(a * d - b * c))
    wide, high = size_wh
    xs = x, x + a * wide, x + b * high, x + a * wide + b * high
    ys = y, y + c * wide, y + d * high, y + c * wide + d * high
    margin = 2 * max(1.0, shrink)
    x_min, x_max = math.floor(min(xs) - margin), math.ceil(max(xs) + margin)
    y_min, y_max = math.floor(min(ys) - margin), math.ceil(max(ys) + margin)
    x_min, y_min = max(0, min(x_min, width - 1)), max(0, min(y_min, height - 1))
    x_max, y_max = max(x_min + 1, min(x_max, width)), max(y_min + 1, min(y_max, height))
    small, factor = _halved(image[y_min:y_max, x_min:x_max], shrink, _MAX_PLAIN_SHRINK)
    back = np.array([[factor, 0, x_min], [0, factor, y_min]], np.float64)
    return small, geometry.compose(transform, back)


def alignment_transform(
    points: npt.ArrayLike, template: AlignmentTemplate, size_wh: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The similarity from an image to the input of an expression model.

    Args:
        points: ``(K, 2)`` or ``(K, 3)`` landmarks in pixels of the image, in the template's scheme.
        template: positions of some of the landmarks in the input.
        size_wh: width and height of the input.
    """
    stable = np.asarray(points, np.float64)[list(template.indices), :2]
    return geometry.estimate_similarity(stable, np.asarray(template.points) * size_wh)


def crop_box(image: Image, box: Box, size_wh: tuple[int, int]) -> AlignedCrop:
    """Crop an upright square around a box, for faces without landmarks."""
    side = max(box.width, box.height)
    transform = geometry.square_to_frame(box.center, side, 0.0, size_wh[0])
    return AlignedCrop(warp(image, transform, size_wh), transform)


def lit(image: Image) -> Image:
    """A picture for a network that finds faces or landmarks: a dim one gets more light.

    Networks were trained with light. Below a twentieth of it the detector misses faces that it
    finds again with this gain (docs/quality.md).

    Args:
        image: ``(H, W, 3)`` RGB or ``(H, W)`` gray uint8, of the size of a network's input.

    Returns:
        The picture itself where its bright parts reach a quarter of white.
    """
    green = image[::4, ::4] if image.ndim == 2 else image[::4, ::4, 1]
    index = int(_BRIGHT_SHARE * green.size)
    if np.count_nonzero(green >= _LEAST_BRIGHT) >= green.size - index:
        return image
    bright = int(np.partition(green, index, axis=None)[index])
    gain = min(_LEAST_BRIGHT / max(bright, 1), _MAX_GAIN)
    return np.asarray(cv2.convertScaleAbs(image, alpha=gain))


def to_input(images: Sequence[Image], spec: InputSpec) -> FloatArray:
    """Convert images to the input of a network.

    Args:
        images: ``(H, W, 3)`` RGB or ``(H, W)`` gray, of ``spec.size_wh``.

    Returns:
        ``(N, C, H, W)`` or ``(N, H, W, C)`` float32, by ``spec.layout``.

    Raises:
        InputError: an image does not have that size.
    """
    width, height = spec.size_wh
    channels = 1 if spec.color == "gray" else 3
    tables = _normalization_tables(spec)
    batch = np.empty((len(images), channels, height, width), np.float32)
    for slot, image in zip(batch, images, strict=True):
        if image.shape[:2] != (height, width):
            raise InputError(
                f"expected images of {width}x{height} pixels for {spec.name!r}, "
                f"got {image.shape[1]}x{image.shape[0]}"
            )
        for plane, pixels, table in zip(slot, _channels(image, spec), tables, strict=True):
            cv2.LUT(pixels, table, dst=plane)
    return batch if spec.layout == "NCHW" else np.ascontiguousarray(batch.transpose(0, 2, 3, 1))


@lru_cache(maxsize=32)
def _normalization_tables(spec: InputSpec) -> list[FloatArray]:
    """Lookup tables of the 256 levels by channel: ten times faster than arithmetic."""
    levels = np.arange(256, dtype=np.float32)
    return [
        ((levels - np.float32(mean)) / np.float32(std)).astype(np.float32)
        for mean, std in zip(spec.mean, spec.std, strict=True)
    ]


def _channels(image: Image, spec: InputSpec) -> Sequence[Image]:
    if spec.color == "gray":
        return [np.ascontiguousarray(to_gray(image))]
    if image.ndim == 2:
        return [np.ascontiguousarray(image)] * 3
    planes = cv2.split(image)
    return planes if spec.color == "rgb" else planes[::-1]  # type: ignore[return-value]


def sharpness(gray: Image) -> float:
    """Variance of the Laplacian over the variance of the gray levels.

    Method: the variance of the Laplacian as a focus measure (Pech-Pacheco et al. 2000), divided by
    the contrast so that a low-contrast image does not count as blurred.
    """
    _, detail = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
    _, spread = cv2.meanStdDev(gray)
    return float(detail[0, 0]) ** 2 / (float(spread[0, 0]) ** 2 + 1.0)
