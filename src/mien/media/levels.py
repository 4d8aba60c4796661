"""Numbers of any type as levels from 0 to 255, and what to say of transparent pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ImageReadError
from mien.types import Image

# Less than this is a rounded corner or a smooth edge.
_SEEN_SHARE = 0.02


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
