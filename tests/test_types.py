import dataclasses
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from mien.errors import InputError, SpecError
from mien.labels import Expression, exact_label
from mien.types import (
    AlignmentTemplate,
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    InputSpec,
    Landmarks,
    ModelSpec,
    Quality,
)

LABELS = (Expression.NEUTRAL, Expression.HAPPINESS, Expression.ANGER)


def _face() -> Face:
    return Face(
        Detection(Box(10, 20, 40, 60), 0.9),
        landmarks=Landmarks(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), "eyes2", 0.75),
        expression=ExpressionScores(LABELS, np.array([0.2, 0.7, 0.1], np.float32)),
        quality=Quality(size_px=34.6, reasons=("small",)),
    )


def _result() -> FrameResult:
    return FrameResult(
        faces=(_face(),),
        image_size_wh=(100, 80),
        timings_ms={"detect": 1.5},
        models={"detector": "blazeface"},
        source="photo.jpg",
    )


def test_box_sides() -> None:
    box = Box(10, 20, 40, 60)
    assert (box.width, box.height, box.center) == (30, 40, (25, 40))


@pytest.mark.parametrize(
    "sides", [(0, 0, 0, 5), (5, 0, 4, 5), (0, 0, float("nan"), 1), (0, 0, float("inf"), 1)]
)
def test_a_box_without_area_is_refused(sides: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match=r"x_min < x_max|finite"):
        Box(*sides)


def test_landmarks_are_copied_and_cannot_be_changed() -> None:
    points = np.zeros((5, 2), np.float32)
    landmarks = Landmarks(points, "five")
    points[0] = 9
    assert landmarks.points[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        landmarks.points[0] = 1


@pytest.mark.parametrize("shape", [(4,), (4, 4), (2, 2, 2)])
def test_landmarks_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(K, 2\)"):
        Landmarks(np.zeros(shape, np.float32), "five")


def test_the_top_expression_is_the_most_probable_even_when_uncertain() -> None:
    scores = ExpressionScores(LABELS, np.array([0.3, 0.36, 0.34], np.float32), uncertain=True)
    assert scores.top is scores.label is Expression.HAPPINESS
    assert [label for label, _ in scores.ranked()] == [
        Expression.HAPPINESS,
        Expression.ANGER,
        Expression.NEUTRAL,
    ]
    assert scores["anger"] == pytest.approx(0.34)


@pytest.mark.parametrize(
    "probabilities", [[0.5, 0.5], [0.5, 0.5, 0.5], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]]
)
def test_what_are_no_probabilities_is_refused(probabilities: list[float]) -> None:
    with pytest.raises(InputError):
        ExpressionScores(LABELS, np.array(probabilities, np.float32))


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_outside_its_range_is_refused(score: float) -> None:
    with pytest.raises(InputError, match=r"\[0, 1\]|finite"):
        Detection(Box(0, 0, 1, 1), score)


def test_results_are_frozen() -> None:
    result = _result()
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.source = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        result.models["detector"] = "haar"  # type: ignore[index]


def test_results_survive_pickling() -> None:
    result = _result()
    assert pickle.loads(pickle.dumps(result)).to_dict() == result.to_dict()


def test_the_document_of_a_result() -> None:
    document = _result().to_dict(landmarks=True)
    assert document["schema_version"] == 1
    assert document["source"] == "photo.jpg"
    face = document["faces"][0]
    assert face["box"] == {"x_min": 10.0, "y_min": 20.0, "x_max": 40.0, "y_max": 60.0}
    assert face["expression"] == {
        "label": "happiness",
        "uncertain": False,
        "probabilities": {"neutral": 0.2, "happiness": 0.7, "anger": 0.1},
    }
    assert face["landmarks"]["points"] == [[1.0, 2.0], [3.0, 4.0]]
    assert face["quality"]["reasons"] == ["small"]
    assert face["affect"] is None


def test_landmarks_stay_out_of_the_document_unless_asked_for() -> None:
    face = _result().to_dict()["faces"][0]
    assert face["landmarks"] == {"scheme": "eyes2", "presence": 0.75}


def test_a_data_frame_has_a_row_for_each_face() -> None:
    pytest.importorskip("pandas")
    frame = _result().to_dataframe()
    assert len(frame) == 1
    assert frame.loc[0, "p_happiness"] == pytest.approx(0.7)
    assert frame.loc[0, "expression"] == "happiness"


def _spec(**changes: object) -> ModelSpec:
    facts: dict[str, object] = {
        "name": "tiny",
        "task": "expression",
        "file": "tiny.onnx",
        "input": InputSpec("image", (8, 8), "gray", (0.0,), (1.0,)),
        "outputs": ("logits",),
        "license": "MIT",
        "source": "made by this test",
        "labels": LABELS,
    }
    return ModelSpec(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_spec_has_no_label_that_results_use_otherwise() -> None:
    labels = (Expression.NEUTRAL, exact_label("not visible"))
    with pytest.raises(SpecError, match=r"model .tiny.: expected labels other than .*: rename it"):
        _spec(labels=labels)


def test_a_spec_finds_the_template_of_a_landmark_scheme() -> None:
    mesh = AlignmentTemplate("mesh468", (33, 263), ((0.2, 0.4), (0.8, 0.4)))
    eyes = {"indices": [0, 1], "points": [[0.3, 0.4], [0.7, 0.4]]}
    spec = _spec(alignment=mesh, parameters={"alignment_eyes2": eyes})
    assert spec.alignment_for("mesh468") == mesh
    assert spec.alignment_for("eyes2") == AlignmentTemplate(
        "eyes2", (0, 1), ((0.3, 0.4), (0.7, 0.4))
    )
    assert spec.alignment_for("ibug68") is None


@pytest.mark.parametrize(
    "changes",
    [{"labels": ()}, {"training_prior": (0.5, 0.5)}, {"temperature": 0.0}],
    ids=["no labels", "a share too few", "no temperature"],
)
def test_an_impossible_spec_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        _spec(**changes)


def test_an_input_needs_a_mean_for_each_channel() -> None:
    with pytest.raises(SpecError, match="3 means"):
        InputSpec("image", (8, 8), "rgb", (0.0,), (1.0,))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Box("a", 0, 1, 1), "an edge of a box as a number, got str"),  # type: ignore[arg-type]
        (lambda: Box(0, 0, 1, float("inf")), "an edge of a box as a finite number, got inf"),
        (lambda: Detection((0, 0, 1, 1), 1), "the box of a detection as Box, got tuple"),  # type: ignore[arg-type]
        (lambda: Detection(Box(0, 0, 1, 1), "1"), "a detection score as a number, got str"),  # type: ignore[arg-type]
        (lambda: Landmarks("eyes", "five"), "an array of numbers in landmarks"),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type_is_refused(make: Callable[[], object], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        make()
