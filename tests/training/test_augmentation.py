import dataclasses

import numpy as np
import pytest

from mien import geometry
from mien.training.augmentation import Augmentation, _random_alignment, augment

NOTHING = Augmentation(**{field.name: 0.0 for field in dataclasses.fields(Augmentation)})
SIZE = (32, 32)
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
ALIGNED = geometry.similarity(32 / 48)


def test_zero_amounts_change_nothing() -> None:
    from mien import imaging

    crop = augment(PICTURE, ALIGNED, SIZE, NOTHING, np.random.default_rng(1))
    assert np.array_equal(crop, imaging.warp(PICTURE, ALIGNED, SIZE))


def test_flip_mirrors() -> None:
    from mien import imaging

    flipping = dataclasses.replace(NOTHING, flip=1.0)
    crop = augment(PICTURE, ALIGNED, SIZE, flipping, np.random.default_rng(1))
    difference = crop.astype(int) - imaging.warp(PICTURE, ALIGNED, SIZE)[:, ::-1]
    assert np.abs(difference).max() <= 2


def test_the_same_generator_gives_the_same_crop() -> None:
    crops = [
        augment(PICTURE, ALIGNED, SIZE, Augmentation(), np.random.default_rng(5)) for _ in range(2)
    ]
    assert np.array_equal(crops[0], crops[1])


@pytest.mark.parametrize("seed", range(20))
def test_every_crop_has_the_right_size_and_type(seed: int) -> None:
    certain = Augmentation(
        **{
            field.name: 1.0 if field.default in (0.5, 0.8, 0.2, 0.15, 0.3) else 0.1
            for field in dataclasses.fields(Augmentation)
            if field.name not in ("turn_deg", "scale")
        }
    )
    crop = augment(PICTURE, ALIGNED, SIZE, certain, np.random.default_rng(seed))
    assert crop.shape == (32, 32)
    assert crop.dtype == np.uint8


def test_alignment_stays_within_its_bounds() -> None:
    amount = dataclasses.replace(NOTHING, turn_deg=10.0, shift=0.1)
    center = np.array([[16.0, 16.0]])
    for seed in range(50):
        transform = _random_alignment(SIZE, amount, np.random.default_rng(seed))
        moved = geometry.apply_transform(transform, center) - center
        assert np.abs(moved).max() <= 3.2 + 1e-9
        assert abs(np.linalg.det(transform[:, :2])) == pytest.approx(1.0)
        assert abs(np.degrees(np.arctan2(transform[1, 0], transform[0, 0]))) <= 10 + 1e-9
