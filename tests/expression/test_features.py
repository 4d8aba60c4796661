"""Texture features: gradients and local binary patterns."""

import numpy as np
import pytest

from mien.expression.classical import FeatureExtractor, FeatureSpec, HogGrid
from mien.types import Image

HOG_16 = HogGrid(block=16, stride=8, cell=8)


def _grating(angle_deg: float) -> Image:
    """Stripes whose brightness changes along an angle."""
    y, x = np.mgrid[:64, :64]
    along = x * np.cos(np.radians(angle_deg)) + y * np.sin(np.radians(angle_deg))
    return np.asarray(127 + 120 * np.sin(along / 2), np.uint8)


def test_length_follows_from_the_grid() -> None:
    # 7 x 7 blocks of 2 x 2 cells of 9 bins, and 8 x 8 cells of 59 uniform patterns.
    extractor = FeatureExtractor(FeatureSpec((64, 64), (HOG_16,), lbp_grid=8))
    assert extractor.length == 7 * 7 * 4 * 9 + 8 * 8 * 59
    assert extractor.describe(_grating(0)).shape == (extractor.length,)


@pytest.mark.parametrize(("angle_deg", "fullest"), [(0, {0, 8}), (50, {2}), (90, {4})])
def test_gradients_are_in_the_bin_of_their_angle(angle_deg: float, fullest: set[int]) -> None:
    # Nine bins of 20 degrees over half a turn; at 0 degrees the gradient lies on a border of two.
    extractor = FeatureExtractor(FeatureSpec((64, 64), (HOG_16,)))
    histogram = extractor.describe(_grating(angle_deg)).reshape(-1, 9).sum(axis=0)
    assert int(histogram.argmax()) in fullest


def test_uniform_image_has_one_pattern_per_cell() -> None:
    extractor = FeatureExtractor(FeatureSpec((64, 64), (), lbp_grid=4))
    cells = extractor.describe(np.full((64, 64), 90, np.uint8)).reshape(16, 59)
    # Every neighbor is as bright as the middle: 255, the last of the 58 uniform patterns.
    assert (cells[:, 57] == 1).all()
    assert cells.sum() == 16


def test_patterns_are_independent_of_brightness() -> None:
    extractor = FeatureExtractor(FeatureSpec((64, 64), (), lbp_grid=4))
    picture = np.random.default_rng(0).integers(0, 25, (64, 64), np.uint8) * 5
    assert np.array_equal(extractor.describe(picture), extractor.describe(picture + 100))


def test_no_images_give_no_rows() -> None:
    extractor = FeatureExtractor(FeatureSpec((64, 64), (HOG_16,)))
    assert extractor.describe_all([]).shape == (0, extractor.length)


def test_gradients_use_square_roots_of_gray_levels() -> None:
    # OpenCV 4 leaves the square root out unless asked, OpenCV 5 takes it. On the left the gray
    # level steps from 0 to 16, on the right from 144 to 169. The first histogram's upright bin
    # gets 0.302 in OpenCV 4.14 and 5.0 with the root, and 0.100 in both without it.
    picture = np.zeros((64, 64), np.uint8)
    picture[4:, :8] = 16
    picture[:4, 8:] = 144
    picture[4:, 8:] = 169
    extractor = FeatureExtractor(FeatureSpec((64, 64), (HOG_16,)))
    assert extractor.describe(picture)[4] == pytest.approx(0.302, abs=1e-3)
