"""Scene cuts: a new image is one, movement is not."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from mien.tracking import SceneCutDetector, coarse


def test_movement_is_not_a_cut(smile_frames: list[tuple[npt.NDArray[np.uint8], float]]) -> None:
    detector = SceneCutDetector()
    assert not any(detector.is_cut(coarse(image)) for image, _ in smile_frames)


def test_another_image_is_a_cut(
    smile_frames: list[tuple[npt.NDArray[np.uint8], float]], samples: dict[str, Path]
) -> None:
    other = np.asarray(PillowImage.open(samples["group"]).convert("RGB").resize((480, 270)))
    night = (other * 0.15).astype(np.uint8)
    detector = SceneCutDetector()
    frames = [smile_frames[0][0], smile_frames[1][0], night, night, smile_frames[2][0]]
    assert [detector.is_cut(coarse(frame)) for frame in frames] == [False, False, True, False, True]
