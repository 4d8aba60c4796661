"""Faces in printed pictures."""

import cv2
import numpy as np

from mien.detection.halftone import without_dots
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.types import Image

_PERIOD = 6


def _printed(image: Image) -> Image:
    """A scan of a print, whose dots are in rows at 45 degrees."""
    gray = 0.08 + 0.84 * cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) / 255
    y, x = np.mgrid[: gray.shape[0], : gray.shape[1]] * (2 * np.pi / _PERIOD / np.sqrt(2))
    waves = np.cos(x + y) + np.cos(x - y)
    limits = np.empty(waves.size)
    limits[np.argsort(waves, axis=None, kind="stable")] = np.linspace(0, 1, waves.size)
    dots = np.where(gray > limits.reshape(gray.shape), 255, 0).astype(np.uint8)
    return np.repeat(cv2.GaussianBlur(dots, (0, 0), 1.0)[..., None], 3, axis=2)


def test_finds_the_faces_of_a_printed_photograph() -> None:
    (path,) = (path for path in sample_paths() if path.stem == "group")
    image = read_image(path)
    assert without_dots(image) is image
    assert len(FacePipeline().analyze(_printed(image)).faces) == 4


def test_sharp_faces_before_a_fine_pattern_stay_as_they_are() -> None:
    (path,) = (path for path in sample_paths() if path.stem == "group")
    faces = cv2.resize(read_image(path), (400, 125), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[:512, :900] * (2 * np.pi / 8)
    wall = (128 + 60 * np.cos(x) * np.cos(y)).astype(np.uint8)
    image = np.repeat(wall[..., None], 3, axis=2)
    image[200:325, 250:650] = faces
    assert without_dots(image) is not image
    found = FacePipeline().analyze(image).faces
    assert len(found) == 4
    assert not any("blurred" in face.quality.reasons for face in found if face.quality)
