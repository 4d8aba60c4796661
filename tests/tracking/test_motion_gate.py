"""A search may wait only while nothing changes beside the faces."""

import numpy as np
import numpy.typing as npt

from mien.tracking import coarse
from mien.tracking.scene import MotionGate
from mien.types import Box

SIZE_WH = (640, 360)
FACE = Box(260, 100, 380, 240)


def scene(
    *, noise_seed: int = 0, visitor: bool = False, smile: bool = False
) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(noise_seed)
    image = np.full((360, 640, 3), 120.0)
    if visitor:
        image[40:80, 500:530] = 200
    if smile:
        image[120:220, 280:360] = 30
    return (image + rng.normal(0, 9, image.shape)).clip(0, 255).astype(np.uint8)


def test_ignores_noise_and_the_face_itself() -> None:
    watch = MotionGate()
    assert not watch.is_still(coarse(scene()), [FACE], SIZE_WH)
    watch.note_search(coarse(scene()))
    for seed in range(1, 13):
        grid = coarse(scene(noise_seed=seed, smile=seed % 2 == 0))
        assert watch.is_still(grid, [FACE], SIZE_WH)


def test_a_small_new_object_is_a_change_until_searched() -> None:
    watch = MotionGate()
    watch.note_search(coarse(scene()))
    seen = coarse(scene(noise_seed=1, visitor=True))
    assert not watch.is_still(seen, [FACE], SIZE_WH)
    watch.note_search(seen)
    assert watch.is_still(seen, [FACE], SIZE_WH)
    assert not watch.is_still(coarse(scene(noise_seed=2)), [FACE], SIZE_WH)


def test_accepts_faces_beyond_the_border() -> None:
    watch = MotionGate()
    watch.note_search(coarse(scene()))
    outside = Box(-200, -200, -50, -50)
    assert watch.is_still(coarse(scene(noise_seed=1)), [outside], SIZE_WH)
