"""Corruptions, and accuracy under corruption."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mien.errors import InputError
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.report import evaluate, to_markdown
from mien.evaluation.robustness import _SEVERITIES, _corrupt, measure_robustness
from mien.imaging import resize, to_gray
from mien.labels import Expression
from mien.media.images import read_image
from mien.testing import FakePipeline, face_image
from mien.types import Box, FrameResult, Image


@pytest.fixture(scope="module")
def face(samples: dict[str, Path]) -> Image:
    return resize(read_image(samples["person-a-smiling"])[100:500, 120:520], (96, 96))


def change(image: Image, kind: str, severity: int, seed: int = 0) -> float:
    corrupted = _corrupt(image, kind, severity, seed=seed).astype(np.float64)
    return float(np.abs(corrupted - image).mean())


@pytest.mark.parametrize("kind", ["blur", "noise", "jpeg", "low_light", "low_resolution"])
def test_every_severity_is_worse_than_the_one_before(face: Image, kind: str) -> None:
    changes = [change(face, kind, severity) for severity in range(1, 6)]
    assert changes[0] > 0
    assert (np.diff(changes) > 0).all()


@pytest.mark.parametrize("kind", _SEVERITIES)
def test_corruptions_are_repeatable_and_keep_the_shape(face: Image, kind: str) -> None:
    for image in (face, to_gray(face), face[:, :61]):
        one, two = (_corrupt(image, kind, 3, seed=7) for _ in range(2))
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["blur", "low_resolution", "jpeg", "noise", "low_light"])
def test_severity_does_not_depend_on_the_size_of_the_face(face: Image, kind: str) -> None:
    large = resize(face, (288, 288))
    for severity in (1, 3, 5):
        ratio = change(large, kind, severity) / change(face, kind, severity)
        assert 0.6 < ratio < 1.6


def test_a_block_hides_its_share_of_the_face_and_nothing_else() -> None:
    image = np.full((200, 300), 255, np.uint8)
    face = Box(100, 50, 180, 130)
    for severity, share in enumerate(_SEVERITIES["occlusion"], 1):
        hidden = _corrupt(image, "occlusion", severity, seed=3, face=face) != 255
        outside = hidden.copy()
        outside[50:130, 100:180] = False
        assert not outside.any()
        assert hidden.sum() / 80**2 == pytest.approx(share, abs=0.03)


def test_rotation_is_about_the_face() -> None:
    image = np.zeros((101, 201), np.uint8)
    image[48:53, 58:63] = 255
    turned = _corrupt(image, "rotation", 5, seed=0, face=Box(50.5, 40.5, 70.5, 60.5))
    rows, columns = np.nonzero(turned > 128)
    assert rows.mean() == pytest.approx(50, abs=0.6)
    assert columns.mean() == pytest.approx(60, abs=0.6)


@pytest.mark.parametrize(("kind", "severity"), [("fog", 1), ("blur", 0), ("blur", 6)])
def test_rejects_unknown_corruptions(face: Image, kind: str, severity: int) -> None:
    with pytest.raises(InputError, match="severity from 1 to 5"):
        _corrupt(face, kind, severity, seed=0)


FACE = Box(100, 60, 200, 160)


def labeled(pictures: list[Image], *, face_crops: bool) -> LabeledSet:
    """Neutral and happiness in turn."""
    happy, neutral = (tuple(Expression).index(Expression(x)) for x in ("happiness", "neutral"))
    return LabeledSet(
        name="pictures",
        labels=tuple(Expression),
        label_index=np.array([neutral, happy] * (len(pictures) // 2)),
        names=tuple(str(number) for number in range(len(pictures))),
        images=pictures,
        split=np.array([""] * len(pictures)),
        face_crops=face_crops,
    )


def test_accuracy_under_every_corruption() -> None:
    whole = Box(0, 0, 64, 64)
    pictures = [face_image([(whole, label)], (64, 64)) for label in ("neutral", "happiness")]
    done: list[tuple[int, int]] = []
    summary, _ = evaluate(
        labeled(pictures, face_crops=True),
        FakePipeline(),
        robustness=True,
        progress=lambda part, of: done.append((part, of)),
    )
    table = summary["robustness"]
    assert table["clean"] == 1
    assert table["corruptions"].keys() == _SEVERITIES.keys()
    every = [facts["accuracy"] for facts in table["corruptions"].values()]
    assert table["mean_1_to_5"] == pytest.approx(np.mean(every), abs=1e-6)
    assert table["drop_1_to_3"] == pytest.approx(1 - np.mean([row[:3] for row in every]), abs=1e-6)
    # The fake classifier sees colors: a turn does not change them, darkness does.
    assert table["corruptions"]["rotation"]["accuracy"][0] == 1
    assert np.mean(every) < 1
    assert done[-1] == (36 * 2, 36 * 2)
    assert "| rotation | 100.0 % |" in to_markdown(summary)


def test_photographs_are_corrupted_where_the_face_is() -> None:
    photographs = [face_image([(FACE, label)]) for label in ("neutral", "happiness")]
    seen: list[Image] = []

    class Recording(FakePipeline):
        def analyze(self, image: npt.ArrayLike, **options: Any) -> FrameResult:
            seen.append(np.asarray(image))
            return super().analyze(image, **options)

    table = measure_robustness(
        labeled(photographs, face_crops=False), Recording(boxes=[FACE], probabilities={"fear": 1})
    )
    assert table["n"] == 2
    # Two clean pictures come first, then two of every corruption and severity.
    occluded = seen[2 + 2 * (list(_SEVERITIES).index("occlusion") * 5 + 4)]
    covered = (occluded != photographs[0]).any(axis=2)
    inside = covered[int(FACE.y_min) : int(FACE.y_max), int(FACE.x_min) : int(FACE.x_max)]
    assert inside.mean() > 0.3
    assert inside.sum() == covered.sum()
