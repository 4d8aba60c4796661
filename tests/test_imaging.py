"""The preprocessing that comes before every network."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import geometry, imaging
from mien.errors import InputError
from mien.types import AlignmentTemplate, Box, Image, InputSpec

RGB_192 = InputSpec("image", (8, 6), "rgb", (10.0, 20.0, 30.0), (2.0, 4.0, 5.0))


def _noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def _disc(size_wh: tuple[int, int], center: tuple[float, float], radius: float) -> Image:
    """A soft white disc on black, drawn from the coordinates' definition: pixel centers at .5."""
    x, y = np.meshgrid(np.arange(size_wh[0]) + 0.5, np.arange(size_wh[1]) + 0.5)
    distance = np.hypot(x - center[0], y - center[1])
    level = 255 * np.clip(radius - distance, 0, 1)
    return np.repeat(level[:, :, None], 3, axis=2).astype(np.uint8)


def _centroid(image: Image) -> tuple[float, float]:
    weight = image[:, :, 0].astype(np.float64)
    x = np.arange(image.shape[1]) + 0.5
    y = np.arange(image.shape[0]) + 0.5
    return float((weight.sum(0) * x).sum() / weight.sum()), float(
        (weight.sum(1) * y).sum() / weight.sum()
    )


class TestAsRgb:
    def test_rgb_is_returned_unchanged(self) -> None:
        image = _noise(5, 4)
        assert imaging.as_rgb(image) is image

    def test_views_become_contiguous(self) -> None:
        image = _noise(6, 8)[::2, ::-1]
        result = imaging.as_rgb(image)
        assert result.flags.c_contiguous
        assert (result == image).all()

    @pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1)])
    def test_gray_is_repeated(self, shape: tuple[int, ...]) -> None:
        gray = _noise(5, 4, 1).reshape(shape)
        result = imaging.as_rgb(gray)
        assert result.shape == (5, 4, 3)
        assert (result == gray.reshape(5, 4, 1)).all()

    def test_blends_transparency_with_white(self) -> None:
        image = np.zeros((1, 3, 4), np.uint8)
        image[0, :, 3] = (0, 255, 128)
        assert imaging.as_rgb(image)[0, :, 0].tolist() == [255, 0, 127]

    @pytest.mark.parametrize(
        ("array", "expected"),
        [
            (np.array([[0, 256, 65535]], np.uint16), [0, 1, 255]),
            (np.array([[0, 128, 255]], np.uint16), [0, 128, 255]),
            (np.array([[0, 128, 255]], np.int64), [0, 128, 255]),
            (np.array([[False, True]]), [0, 255]),
            (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
            (np.array([[0.25]], np.float64), [64]),
        ],
    )
    def test_converts_other_types(self, array: np.ndarray[Any, Any], expected: list[int]) -> None:
        assert imaging.as_rgb(array)[0, :, 0].tolist() == expected

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.zeros((4, 4, 2), np.uint8), "shape"),
            (np.zeros((2, 4, 4, 3), np.uint8), "shape"),
            (np.zeros(7, np.uint8), "shape"),
            ("photo.jpg", r"got str: .* mien\.read_image"),
            (Path("photo.jpg"), r"mien\.read_image"),
            (b"\xff\xd8", r"got bytes: .* mien\.read_image"),
            (np.zeros((0, 4, 3), np.uint8), "at least one pixel"),
            (np.full((2, 2), 255.0), "float image in"),
            (np.full((2, 2), -0.1), "float image in"),
            (np.full((2, 2), np.nan), "float image in"),
            (np.full((2, 2), -1, np.int32), "int32 in 0 to 255, got values from -1 to -1"),
            (np.full((2, 2), 256, np.int64), "got values from 256 to 256"),
            (np.zeros((2, 2), np.complex64), "complex64"),
            (np.array([["a"]]), "expected an image of type"),
        ],
    )
    def test_rejects_invalid_images(self, array: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            imaging.as_rgb(array)


class TestLetterbox:
    @settings(deadline=None)
    @given(st.integers(1, 700), st.integers(1, 700))
    def test_corners_of_the_image_fit_the_frame(self, width: int, height: int) -> None:
        image = np.full((height, width, 3), 200, np.uint8)
        framed, transform = imaging.letterbox(image, (192, 128))
        assert framed.shape == (128, 192, 3)
        corners = geometry.apply_transform(transform, [(0, 0), (width, height)])
        low, high = corners
        # Rounding to whole pixels, and halving an odd side, may move an edge by a pixel or so.
        assert (low >= -1e-6).all()
        assert (high <= np.array([192, 128]) + 2).all()
        inside = (high - low) / (192, 128)
        assert inside.max() == pytest.approx(1, abs=0.03)

    def test_borders_are_black_and_even(self) -> None:
        framed, transform = imaging.letterbox(np.full((50, 100, 3), 255, np.uint8), (100, 100))
        assert (framed[:25] == 0).all()
        assert (framed[25:75] == 255).all()
        assert (framed[75:] == 0).all()
        assert transform == pytest.approx(np.array([[1.0, 0, 0], [0, 1, 25]]))

    @pytest.mark.parametrize("size_wh", [(640, 360), (1920, 1080), (111, 333), (30, 20)])
    def test_transform_maps_positions(self, size_wh: tuple[int, int]) -> None:
        center = size_wh[0] * 0.3, size_wh[1] * 0.6
        image = _disc(size_wh, center, min(size_wh) / 8)
        framed, transform = imaging.letterbox(image, (192, 192))
        expected = geometry.apply_transform(transform, [center])[0]
        assert _centroid(framed) == pytest.approx(tuple(expected), abs=0.2)


class TestWarp:
    def test_identity_changes_nothing(self) -> None:
        image = _noise(9, 11)
        warped = imaging.warp(image, geometry.similarity(), (11, 9))
        assert (warped == image).all()

    @pytest.mark.parametrize("scale", [3.0, 1.0, 0.6, 0.3, 0.1, 0.05])
    @pytest.mark.parametrize("angle_deg", [0.0, 37.0, -120.0])
    def test_transform_maps_positions(self, scale: float, angle_deg: float) -> None:
        center = (400.0, 250.0)
        image = _disc((640, 480), center, 4 / scale + 8)
        transform = geometry.similarity(scale, angle_deg, (32.3 - 400, 31.6 - 250), center)
        warped = imaging.warp(image, transform, (64, 64), replicate_border=False)
        assert _centroid(warped) == pytest.approx((32.3, 31.6), abs=0.15)

    def test_strong_reduction_does_not_alias(self) -> None:
        stripes = np.zeros((512, 512, 3), np.uint8)
        stripes[:, ::2] = 255
        warped = imaging.warp(stripes, geometry.similarity(1 / 8.5), (60, 60))
        assert warped.min() > 90
        assert warped.max() < 165

    def test_pixels_outside_the_image(self) -> None:
        white = np.full((10, 10, 3), 255, np.uint8)
        away = geometry.similarity(translation=(100.0, 0.0))
        assert (imaging.warp(white, away, (5, 5)) == 255).all()
        assert (imaging.warp(white, away, (5, 5), replicate_border=False) == 0).all()

    def test_region_far_outside_a_large_image(self) -> None:
        image = np.full((2000, 3000, 3), 77, np.uint8)
        transform = geometry.square_to_frame((9000.0, -4000.0), 2500.0, 20.0, 64)
        assert (imaging.warp(image, transform, (64, 64)) == 77).all()

    def test_gray_images_stay_gray(self) -> None:
        warped = imaging.warp(_noise(40, 40)[:, :, 0], geometry.similarity(0.2), (8, 8))
        assert warped.shape == (8, 8)


class TestAlign:
    def test_stable_points_are_mapped_to_the_template(self) -> None:
        template = AlignmentTemplate("five", (0, 1, 2), ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6)))
        target = np.array(template.points) * (64, 64)
        to_image = geometry.similarity(5.0, 25.0, (200.0, 100.0))
        points = geometry.apply_transform(to_image, target)
        others = np.array([(0.0, 0.0), (1.0, 1.0)])
        image = _disc((700, 600), tuple(points[2]), 20)
        points = np.concatenate([points, others])
        transform = imaging.alignment_transform(points, template, (64, 64))
        assert geometry.apply_transform(transform, points[:3]) == pytest.approx(target)
        crop = imaging.warp(image, transform, (64, 64))
        assert crop.shape == (64, 64, 3)
        assert _centroid(crop) == pytest.approx(tuple(target[2]), abs=0.2)

    def test_crop_box_uses_the_longer_side(self) -> None:
        image = _disc((200, 200), (100, 80), 10)
        crop = imaging.crop_box(image, Box(80, 40, 120, 120), (40, 40))
        assert _centroid(crop.image) == pytest.approx((20, 20), abs=0.1)
        assert np.linalg.norm(crop.transform[0, :2]) == pytest.approx(0.5)


class TestToInput:
    def test_normalizes_pixels_in_the_order_of_the_layout(self) -> None:
        image = _noise(6, 8)
        expected = (image.astype(np.float64) - (10, 20, 30)) / (2, 4, 5)
        batch = imaging.to_input([image, image[::-1]], RGB_192)
        assert batch.dtype == np.float32
        assert batch.flags.c_contiguous
        assert batch[0] == pytest.approx(expected.transpose(2, 0, 1), abs=1e-4)
        assert batch[1] == pytest.approx(expected[::-1].transpose(2, 0, 1), abs=1e-4)

    def test_nhwc_and_bgr(self) -> None:
        spec = InputSpec("image", (8, 6), "bgr", (0.0,) * 3, (1.0,) * 3, "NHWC")
        image = _noise(6, 8)
        assert (imaging.to_input([image], spec)[0] == image[:, :, ::-1]).all()

    def test_gray_input_from_rgb_is_bt601_luma(self) -> None:
        spec = InputSpec("image", (8, 6), "gray", (0.0,), (1.0,))
        image = _noise(6, 8)
        luma = image @ (0.299, 0.587, 0.114)
        batch = imaging.to_input([image], spec)
        assert batch.shape == (1, 1, 6, 8)
        assert batch[0, 0] == pytest.approx(luma, abs=1)

    def test_rgb_input_from_gray_repeats_the_channel(self) -> None:
        gray = _noise(6, 8)[:, :, 0]
        batch = imaging.to_input([gray], RGB_192)
        again = imaging.to_input([np.repeat(gray[:, :, None], 3, axis=2)], RGB_192)
        assert (batch == again).all()

    def test_views_and_copies_have_the_same_result(self) -> None:
        view = _noise(12, 16)[::2, ::-2]
        assert (imaging.to_input([view], RGB_192) == imaging.to_input([view.copy()], RGB_192)).all()

    def test_no_images_give_an_empty_batch(self) -> None:
        assert imaging.to_input([], RGB_192).shape == (0, 3, 6, 8)

    def test_rejects_other_sizes(self) -> None:
        with pytest.raises(InputError, match="8x6 pixels for 'image', got 6x8"):
            imaging.to_input([_noise(8, 6)], RGB_192)


def test_to_gray_is_bt601_luma_and_keeps_gray_images() -> None:
    image = _noise(7, 7)
    gray = imaging.to_gray(image)
    assert gray == pytest.approx(image @ (0.299, 0.587, 0.114), abs=1)
    assert imaging.to_gray(gray) is gray


def test_sharpness_decreases_with_blur_but_not_with_brightness() -> None:
    image = imaging.to_gray(imaging.resize(_noise(32, 32), (64, 64)))
    values = [
        imaging.sharpness(cv2.GaussianBlur(image, (0, 0), sigma))  # type: ignore[arg-type]
        for sigma in (0.5, 1.0, 2.0, 4.0)
    ]
    assert values == sorted(values, reverse=True)
    assert imaging.sharpness(image // 2) == pytest.approx(imaging.sharpness(image), rel=0.1)


def test_uniform_image_has_no_sharpness() -> None:
    assert imaging.sharpness(np.full((64, 64), 90, np.uint8)) == 0


class TestLit:
    def test_leaves_a_picture_with_bright_parts_as_it_is(self) -> None:
        image = np.zeros((192, 192, 3), np.uint8)
        image[:64] = 64
        assert imaging.lit(image) is image

    @pytest.mark.parametrize("shape", [(192, 192), (192, 192, 3), (1, 1, 3)])
    def test_raises_the_bright_parts_of_a_dim_picture(self, shape: tuple[int, ...]) -> None:
        image = np.full(shape, 16, np.uint8)
        assert (imaging.lit(image) == 64).all()

    def test_does_not_raise_black_without_limit(self) -> None:
        image = np.ones((96, 96), np.uint8)
        assert (imaging.lit(image) == 16).all()
        assert not imaging.lit(np.zeros((96, 96), np.uint8)).any()
