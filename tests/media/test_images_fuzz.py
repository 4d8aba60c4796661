"""Randomly damaged files: read_image returns an image or raises its own error."""

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from PIL import Image

from mien.errors import ImageReadError, InputError
from mien.media.images import read_image


def _valid_files() -> dict[str, bytes]:
    pillow_heif.register_heif_opener()
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    files = {}
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "HEIF"):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, kind)
        files[kind] = file.getvalue()
    return files


VALID = _valid_files()


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A valid file with changed, removed or inserted bytes, or truncated."""
    data = bytearray(VALID[draw(st.sampled_from(sorted(VALID)))])
    # Half of the damage is in the header, where it has the most effect.
    place = st.integers(0, len(data) - 1) | st.integers(0, min(99, len(data) - 1))
    for at, value in draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=8)):
        data[at] = value
    start = draw(place)
    how = draw(st.sampled_from(["leave", "cut", "take out", "put in"]))
    if how == "cut":
        del data[start:]
    elif how == "take out":
        del data[start : start + draw(st.integers(1, 40))]
    elif how == "put in":
        data[start:start] = draw(st.binary(max_size=40))
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage that it can read
@settings(max_examples=100, deadline=None, derandomize=True)
@given(damaged_files())
def test_damaged_files_are_read_or_raise_an_error(data: bytes) -> None:
    try:
        image = read_image(data, max_megapixels=1)
    except ImageReadError:
        return
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.dtype == np.uint8


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_rejects_noise(data: bytes) -> None:
    with pytest.raises(ImageReadError):
        read_image(data)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    hypothesis_numpy.arrays(
        dtype=hypothesis_numpy.scalar_dtypes() | hypothesis_numpy.complex_number_dtypes(),
        shape=hypothesis_numpy.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
    )
)
def test_arrays_are_read_or_raise_an_error(array: Any) -> None:
    try:
        image = read_image(array)
    except InputError:
        return
    assert image.shape == (*array.shape[:2], 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
