"""Gradual cuts between people at one place, and what is none."""

from collections.abc import Callable

import numpy as np
import pytest

from mien.tracking import coarse
from mien.tracking.dissolves import DissolveDetector
from mien.types import FloatArray, Image

FPS = 25


def picture(seed: int) -> Image:
    """Soft spots."""
    small = np.random.default_rng(seed).integers(20, 236, (6, 10)).astype(np.uint8)
    return np.repeat(np.kron(small, np.ones((30, 32), np.uint8))[:, :, None], 3, axis=2)


def patch(seed: int) -> FloatArray:
    values = np.random.default_rng(seed).normal(size=400).astype(np.float32)
    return values / np.float32(np.linalg.norm(values))


A, B = picture(1), picture(2)


def dissolve(share: float) -> Image:
    return (A + share * (B.astype(float) - A)).astype(np.uint8)


def wipe(share: float) -> Image:
    image = A.copy()
    image[:, : round(share * A.shape[1])] = B[:, : round(share * A.shape[1])]
    return image


def iris(share: float) -> Image:
    """A circle with a soft edge that opens."""
    down, right = np.mgrid[: A.shape[0], : A.shape[1]]
    away = np.hypot(down - A.shape[0] / 2, right - A.shape[1] / 2) / np.hypot(*A.shape[:2])
    weight = np.clip((1.6 * share - 0.5 - 2 * away) / 0.6 + 1, 0, 1)[..., None]
    mixed: Image = (A + weight * (B.astype(float) - A)).astype(np.uint8)
    return mixed


def dither(share: float) -> Image:
    """Single pixels turn, in a random order."""
    mask = np.random.default_rng(3).random(A.shape[:2])[..., None] < share
    return np.where(mask, B, A).astype(np.uint8)


def brighten(share: float) -> Image:
    return (A * (0.4 + 0.6 * share)).astype(np.uint8)


def pan(share: float) -> Image:
    return np.roll(A, round(share * 150), axis=1)


def cuts_s(
    frame: Callable[[float], Image], length_s: float, *, other_face: bool = True
) -> list[float]:
    detector, found = DissolveDetector(), []
    for n in range(4 * FPS):
        now = n / FPS
        share = min(max((now - 1) / length_s, 0), 1)
        face = patch(0) + share * other_face * (patch(9) - patch(0))
        faces = {1: (face / np.linalg.norm(face)).astype(np.float32)}
        if detector.is_due(now) and detector.is_cut(coarse(frame(share)), faces, now):
            detector.forget()
            found.append(now)
    return found


@pytest.mark.parametrize("length_s", [0.4, 1.0, 1.9])
@pytest.mark.parametrize("frame", [dissolve, wipe, iris, dither])
def test_finds_transitions_to_another_face(
    frame: Callable[[float], Image], length_s: float
) -> None:
    found = cuts_s(frame, length_s)
    assert 1 <= len(found) <= 2
    assert 1 + 0.2 * length_s < found[0] < 1 + length_s + 0.6


@pytest.mark.parametrize("frame", [dissolve, wipe])
def test_goes_on_with_the_same_face(frame: Callable[[float], Image]) -> None:
    assert cuts_s(frame, 1.0, other_face=False) == []


@pytest.mark.parametrize("frame", [brighten, pan])
def test_light_and_movement_are_no_transition(frame: Callable[[float], Image]) -> None:
    assert cuts_s(frame, 1.0) == []


def test_fading_in_is_no_transition() -> None:
    assert cuts_s(lambda share: (B * share).astype(np.uint8), 1.0) == []
