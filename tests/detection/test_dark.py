"""Faces in dark photographs."""

import numpy as np

from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.types import Image


def _dark(image: Image, light: float) -> Image:
    """What a sensor with a noise of two gray levels sees in little light."""
    grains = np.random.default_rng(0).normal(0, 2, image.shape)
    return np.asarray(np.clip(np.rint(image * light + grains), 0, 255), np.uint8)


def test_finds_the_faces_of_a_dark_photograph() -> None:
    (path,) = (path for path in sample_paths() if path.stem == "group")
    image = read_image(path)
    faces = FacePipeline().analyze(_dark(image, 0.025)).faces
    assert len(faces) == 4
    assert all(face.quality and "dark" in face.quality.reasons for face in faces)


def test_finds_nothing_in_the_noise_of_a_black_picture() -> None:
    pipeline = FacePipeline()
    black = np.zeros((240, 320, 3), np.uint8)
    assert not pipeline.analyze(black).faces
    assert not pipeline.analyze(_dark(black, 1.0)).faces
