"""BlazeFace: decoding, and the parameters of its spec."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.detection import BlazeFace, build_detector
from mien.detection.blazeface import _anchor_centers
from mien.errors import ModelNotFoundError, ProviderError, SettingError, SpecError
from mien.geometry import box_iou
from mien.media.images import read_image
from mien.runtime import catalog
from mien.runtime.session import Session
from mien.runtime.spec import METADATA_KEY, spec_to_json
from mien.samples import sample_paths
from mien.types import InputSpec, ModelSpec

MakeModel = Callable[..., Path]
FIXED: dict[str, Any] = {"architecture": "blazeface", "anchor_grids": [[2, 2, 1]], "scale": 50}


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """A model with a 2×2 grid of anchors that always answers with the given offsets and logits."""

    def make(
        offsets: np.ndarray[Any, np.dtype[np.float32]],
        logits: list[float],
        parameters: dict[str, Any] | None = None,
    ) -> Path:
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
                helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[1, 2, 3], keepdims=0),
                helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
                helper.make_node("Add", ["offsets", "nothing"], ["regressions"]),
                helper.make_node("Add", ["levels", "nothing"], ["logits"]),
            ],
            "fixed",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 100, 100])],
            [
                helper.make_tensor_value_info("regressions", TensorProto.FLOAT, [1, 4, 16]),
                helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, 1]),
            ],
            [
                numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
                numpy_helper.from_array(offsets.astype(np.float32).reshape(1, 4, 16), "offsets"),
                numpy_helper.from_array(np.array(logits, np.float32).reshape(1, 4, 1), "levels"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        spec = ModelSpec(
            name="fixed",
            task="detection",
            file="fixed.onnx",
            input=InputSpec("image", (100, 100), "rgb", (0.0,) * 3, (255.0,) * 3),
            outputs=("regressions", "logits"),
            license="MIT",
            source="built by the tests",
            parameters=parameters or FIXED,
        )
        helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
        path = tmp_path / "fixed.onnx"
        onnx.save(model, path)
        return path

    return make


def test_anchor_order_is_rows_then_columns_then_cell() -> None:
    centers = _anchor_centers(columns=3, rows=2, per_cell=2)
    assert centers.shape == (12, 2)
    assert centers[0].tolist() == centers[1].tolist() == pytest.approx([1 / 6, 1 / 4])
    assert centers[2].tolist() == pytest.approx([3 / 6, 1 / 4])
    assert centers[6].tolist() == pytest.approx([1 / 6, 3 / 4])


def test_offsets_are_decoded_to_image_pixels(make_model: MakeModel) -> None:
    offsets = np.zeros((4, 16))
    # Center, size and first point, in fiftieths of the input's side, from the anchor at (75, 25).
    offsets[1, :6] = (5, -2.5, 10, 20, -1, 2)
    detector = BlazeFace(catalog.find(make_model(offsets, [-9, 2.0, -9, -9])))
    # 400×200 in a frame of 100×100: a quarter of the size, with 25 rows of black above.
    (face,) = detector.detect(np.zeros((200, 400, 3), np.uint8))
    assert face.score == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert face.box.to_array() == pytest.approx([300, -100, 380, 60])
    assert face.landmarks is not None
    assert face.landmarks.scheme == "blazeface6"
    assert face.landmarks.points[0] == pytest.approx([292, 16])
    assert face.landmarks.points[1] == pytest.approx([300, 0])


def test_overlapping_boxes_are_averaged_by_score(make_model: MakeModel) -> None:
    offsets = np.zeros((4, 16))
    offsets[:, 2:4] = 20
    offsets[0, :2] = (12.5, 12.5)  # from (25, 25) to the middle
    offsets[1, :2] = (-10, 12.5)  # from (75, 25) to (55, 50)
    detector = BlazeFace(catalog.find(make_model(offsets, [0.0, np.log(3), -9, -9])))
    (face,) = detector.detect(np.zeros((100, 100, 3), np.uint8), min_score=0.4)
    assert face.score == pytest.approx(0.75)
    # Weights 0.5 and 0.75 of centers 50 and 55.
    assert face.box.center == pytest.approx((53, 50), abs=1e-3)


def test_weaker_faces_count_at_the_border_of_the_image(make_model: MakeModel) -> None:
    offsets = np.zeros((4, 16))
    offsets[:, 2:4] = 10
    offsets[0, :2] = (-7.5, 0)  # from (25, 25) to (10, 25), with sides of 20
    logits = [np.log(0.1), np.log(0.1), np.log(0.3), np.log(3)]
    detector = BlazeFace(catalog.find(make_model(offsets, logits)))
    image = np.zeros((100, 100, 3), np.uint8)

    def lefts(**weak: float) -> list[float]:
        found = detector.detect(image, closer=False, **weak)
        return sorted(round(face.box.x_min) for face in found)

    assert lefts() == [65]
    assert lefts(weak_score=0.2) == [15, 65]
    assert lefts(weak_score=0.2, border_score=0.05) == [0, 15, 65]


def test_ignores_invalid_boxes_and_clips_huge_logits(make_model: MakeModel) -> None:
    offsets = np.zeros((4, 16))
    offsets[0, 2:4] = 20
    offsets[3, 2:4] = -20
    detector = BlazeFace(catalog.find(make_model(offsets, [5000.0, -5000.0, -5000.0, 3.0])))
    (face,) = detector.detect(np.zeros((10, 10, 3), np.uint8))
    assert face.score == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"architecture": "blazeface", "scale": 50}, "anchor_grids"),
        ({"architecture": "blazeface", "anchor_grids": [[2, 2, 1]]}, "scale"),
        ({"architecture": "blazeface", "anchor_grids": [[2, 2]], "scale": 50}, "anchor_grids"),
        ({"architecture": "blazeface", "anchor_grids": [[2, 2, 1]], "scale": 0}, "positive scale"),
        (
            {**FIXED, "sides": [50, 75]},
            r"square input as long as the longest of sides .* got \(50, 75\) for 100x100",
        ),
        ({"architecture": "other"}, "architecture blazeface or yunet"),
    ],
)
def test_rejects_specs_with_missing_or_invalid_parameters(
    make_model: MakeModel, parameters: dict[str, Any], message: str
) -> None:
    path = make_model(np.zeros((4, 16)), [0.0] * 4, parameters)
    with pytest.raises(SpecError, match=message):
        build_detector(path)


@pytest.mark.parametrize(
    ("size_wh", "input_wh"),
    [
        ((640, 360), (192, 128)),
        ((360, 640), (128, 192)),
        ((600, 400), (192, 128)),
        ((640, 480), (192, 160)),
        ((500, 500), (192, 192)),
        ((900, 30), (192, 128)),
    ],
)
def test_chooses_the_input_size_with_the_least_padding(
    monkeypatch: pytest.MonkeyPatch, size_wh: tuple[int, int], input_wh: tuple[int, int]
) -> None:
    seen: list[tuple[int, ...]] = []
    run = Session.run

    def spy(session: Session, inputs: dict[str, Any]) -> Any:
        seen.extend(array.shape[:1:-1] for array in inputs.values())
        return run(session, inputs)

    monkeypatch.setattr(Session, "run", spy)
    detector = BlazeFace(catalog.find("blazeface"))
    assert detector.detect(np.zeros((size_wh[1], size_wh[0], 3), np.uint8)) == []
    assert seen == [input_wh]


def test_face_position_is_independent_of_the_image_shape(
    samples: dict[str, Path],
) -> None:
    from mien.media.images import read_image

    square = read_image(samples["person-a-neutral"])[:540, :540]
    detector = BlazeFace(catalog.find("blazeface"))
    (expected,) = detector.detect(square)
    for shape in ((540, 900), (540, 720), (900, 540)):
        canvas = np.full((*shape, 3), 128, np.uint8)
        canvas[:540, :540] = square
        (found,) = detector.detect(canvas)
        assert found.box.to_array() == pytest.approx(expected.box.to_array(), abs=12)


def test_reports_anchors_that_do_not_match_the_outputs(make_model: MakeModel) -> None:
    wrong = {"architecture": "blazeface", "anchor_grids": [[3, 3, 1]], "scale": 50}
    detector = build_detector(make_model(np.zeros((4, 16)), [0.0] * 4, wrong))
    with pytest.raises(SpecError, match=r"expected 9 scores.*got 4"):
        detector.detect(np.zeros((10, 10, 3), np.uint8))


def test_builds_a_detector_from_a_file(tmp_path: Path, samples: dict[str, Path]) -> None:
    from mien.media.images import read_image

    entry = catalog.find("blazeface")
    copy = tmp_path / "mine.onnx"
    copy.write_bytes(entry.path.read_bytes())
    copy.with_suffix(".json").write_text(spec_to_json(replace(entry.spec, name="mine")))
    image = read_image(samples["group"])
    mine, shipped = build_detector(copy), build_detector("blazeface")
    assert mine.name == "mine"
    assert [face.box for face in mine.detect(image)] == [face.box for face in shipped.detect(image)]


def test_reports_detectors_that_cannot_be_built() -> None:
    with pytest.raises(ModelNotFoundError, match=r"haar, yunet:PATH.*got"):
        build_detector("retinaface")
    with pytest.raises(ModelNotFoundError, match=r"no-such-file\.onnx"):
        build_detector("./no-such-file.onnx")
    with pytest.raises(SpecError, match="facemesh"):
        build_detector("facemesh")
    with pytest.raises(SettingError, match="auto or off"):
        build_detector(tiles="on")
    with pytest.raises(ProviderError, match="provider"):
        build_detector(provider="abacus")


@pytest.mark.parametrize(("name", "least"), [("blazeface", 0.7), ("blazeface-short", 0.999)])
def test_a_closer_look_finds_the_same_face(name: str, least: float) -> None:
    image = read_image(sample_paths()[1])
    detector = BlazeFace(catalog.find(name))
    (face,), (closer,) = detector.detect(image), detector.detect(image, closer=True)
    assert box_iou([face.box.to_array()], [closer.box.to_array()])[0, 0] > least
