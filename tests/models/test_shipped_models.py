"""The shipped model files: checksums, metadata, interfaces, and the results of their originals."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

import mien
from mien import imaging
from mien.runtime import catalog
from mien.runtime.session import Session

SHIPPED = {entry.spec.name: entry for entry in catalog.entries() if entry.shipped}
NETWORKS = sorted(name for name, entry in SHIPPED.items() if entry.path.suffix == ".onnx")
IMPORTED_SHAPES: dict[str, dict[str, list[int | str]]] = {
    "blazeface": {"regressions": [1, "anchors", 16], "logits": [1, "anchors", 1]},
    "blazeface-short": {"regressions": [1, 896, 16], "logits": [1, 896, 1]},
    "facemesh": {"landmarks": [1, 468, 3], "presence_logit": [1, 1]},
    "face-landmarker": {"landmarks": [1, 478, 3], "presence_logit": [1, 1]},
    "face-blendshapes": {"blendshapes": [1, 52]},
}


def test_every_imported_model_ships() -> None:
    assert {*IMPORTED_SHAPES, "haar-frontalface", "haar-eye"} <= SHIPPED.keys()


def test_every_model_file_has_a_sidecar() -> None:
    files = {
        path for path in catalog.shipped_folder().iterdir() if path.suffix in {".onnx", ".xml"}
    }
    assert files == {entry.path for entry in SHIPPED.values() if entry.path in files}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_checksum_matches_the_sidecar(name: str) -> None:
    assert SHIPPED[name].spec.sha256 == catalog.checksum(SHIPPED[name].path)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_model_has_a_card(name: str) -> None:
    cards = Path(__file__).resolve().parents[2] / "docs" / "cards"
    card = cards / ("haar-cascades.md" if name.startswith("haar-") else f"{name}.md")
    assert name in card.read_text(encoding="utf-8").partition("\n")[0]


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_has_license_and_source(name: str) -> None:
    assert SHIPPED[name].spec.license
    assert SHIPPED[name].spec.source


@cache
def _session(name: str) -> Session:
    return Session(SHIPPED[name].path)


@pytest.mark.parametrize("name", NETWORKS)
def test_metadata_equals_the_sidecar_without_checksum(name: str) -> None:
    entry = SHIPPED[name]
    assert _session(name).read_spec() == dataclasses.replace(entry.spec, sha256=None)


@pytest.mark.parametrize("name", NETWORKS)
def test_interface_matches_the_spec(name: str) -> None:
    spec = SHIPPED[name].spec
    session = _session(name)._loaded()
    (given,) = session.get_inputs()
    assert given.name == spec.input.name
    size_wh = tuple(reversed(given.shape[2:] if spec.input.layout == "NCHW" else given.shape[1:3]))
    assert size_wh == (("width", "height") if "sides" in spec.parameters else spec.input.size_wh)
    assert tuple(output.name for output in session.get_outputs()) == spec.outputs


@pytest.mark.parametrize("name", sorted(IMPORTED_SHAPES))
def test_output_shapes(name: str) -> None:
    session = _session(name)._loaded()
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == IMPORTED_SHAPES[name]


@pytest.mark.parametrize(("name", "width"), [("scratch", 384)])
def test_logits_are_linear_in_the_embedding(name: str, width: int) -> None:
    spec = SHIPPED[name].spec
    side = spec.input.size_wh[0]
    noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 3)).astype(np.uint8)
    values = imaging.to_input(list(noise), spec.input)
    logits, embedding = _session(name).run({spec.input.name: values})
    assert embedding.shape == (3, width)
    weights = {
        t.name.partition("_")[0]: numpy_helper.to_array(t).astype(np.float32)
        for t in onnx.load(SHIPPED[name].path).graph.initializer
    }
    expected = embedding @ weights["head.weight"].T + weights["head.bias"]
    assert logits == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("name", "count"), [("blazeface", 2304), ("blazeface-short", 896)])
def test_anchor_grids_have_one_anchor_per_logit(name: str, count: int) -> None:
    grids = SHIPPED[name].spec.parameters["anchor_grids"]
    assert sum(columns * rows * per_cell for columns, rows, per_cell in grids) == count
    assert _run(name, 0, 0, 1)["logits"].shape == (1, count, 1)


@pytest.mark.parametrize(("name", "window"), [("haar-frontalface", 24), ("haar-eye", 20)])
def test_cascades_have_their_license_and_window(name: str, window: int) -> None:
    text = SHIPPED[name].path.read_text(encoding="utf-8")
    assert "Intel License Agreement" in text
    assert f"<width>{window}</width>" in text
    assert SHIPPED[name].spec.input.size_wh == (window, window)


# Expected values: the published TFLite files in LiteRT 2.3.0, on every Nth pixel of a sample
# photograph. There is no resizing, because its rounding differs between versions. The tolerance of
# 0.05 input pixels allows for different JPEG decoders.
TOLERANCE = 0.05


def _run(name: str, x_min: int, y_min: int, step: int) -> dict[str, npt.NDArray[np.float32]]:
    entry = SHIPPED[name]
    width, height = entry.spec.input.size_wh
    path = catalog.shipped_folder().parent / "samples" / "person-a-neutral.jpg"
    with Image.open(path) as photograph:
        pixels = np.asarray(photograph.convert("RGB"))
    part = pixels[y_min : y_min + step * height : step, x_min : x_min + step * width : step]
    outputs = _session(name).run(
        {entry.spec.input.name: imaging.to_input([part], entry.spec.input)}
    )
    return dict(zip(entry.spec.outputs, outputs, strict=True))


@pytest.mark.parametrize(
    ("name", "step", "anchor", "logit", "box_and_eyes"),
    [
        ("blazeface", 2, 1471, 1.445, [-1.692, -1.041, 137.899, 137.892, -28.533, -28.043]),
        ("blazeface-short", 3, 784, 2.964, [-5.302, -4.429, 85.940, 85.926, -23.750, -22.793]),
    ],
)
def test_detectors_match_their_originals(
    name: str, step: int, anchor: int, logit: float, box_and_eyes: list[float]
) -> None:
    outputs = _run(name, 80, 100, step)
    assert outputs["logits"].argmax() == anchor
    assert outputs["logits"][0, anchor, 0] == pytest.approx(logit, abs=TOLERANCE)
    assert outputs["regressions"][0, anchor, :6] == pytest.approx(
        np.array(box_and_eyes), abs=TOLERANCE
    )


@pytest.mark.parametrize(
    ("name", "place", "output", "indices", "points"),
    [
        (
            "facemesh",
            (120, 160, 2),
            "landmarks",
            [1, 33, 263, 61, 291],
            [
                [100.497, 98.480, -27.628],
                [64.890, 65.358, 11.567],
                [143.361, 65.939, 7.561],
                [82.176, 123.152, 1.389],
                [121.980, 123.734, -1.166],
            ],
        ),
        (
            "face-landmarker",
            (60, 100, 2),
            "landmarks",
            [1, 33, 263, 61, 291, 468, 473],
            [
                [131.425, 127.112, -28.094],
                [94.866, 95.436, 9.865],
                [173.126, 96.245, 6.050],
                [110.990, 153.968, 3.739],
                [154.150, 153.296, 1.290],
                [106.461, 94.740, 3.850],
                [162.723, 95.473, 1.414],
            ],
        ),
    ],
)
def test_landmark_models_match_their_originals(
    name: str, place: tuple[int, int, int], output: str, indices: list[int], points: Any
) -> None:
    given = _run(name, *place)[output][0, indices]
    assert given == pytest.approx(np.array(points), abs=TOLERANCE)


def test_blendshapes_match_their_original() -> None:
    spec = SHIPPED["face-blendshapes"].spec
    points = _run("face-landmarker", 60, 100, 2)["landmarks"][0, spec.parameters["points"], :2]
    (values,) = _session("face-blendshapes").run({"points": points[np.newaxis, np.newaxis]})
    given = dict(zip(spec.parameters["names"], values[0], strict=True))
    expected = {
        "eyeLookDownLeft": 0.2690,
        "eyeLookInRight": 0.2942,
        "eyeLookOutLeft": 0.2637,
        "mouthShrugLower": 0.1469,
        "mouthPressLeft": 0.1096,
    }
    assert {name: given[name] for name in expected} == pytest.approx(expected, abs=0.01)
    assert max(given.values()) == given["eyeLookInRight"]


def test_mesh_presence_is_a_logit() -> None:
    assert _run("facemesh", 120, 160, 2)["presence_logit"].item() == pytest.approx(22.851, abs=0.1)
    assert _run("facemesh", 0, 0, 1)["presence_logit"].item() < 0


@pytest.mark.parametrize(
    ("place", "probabilities"),
    [
        ((120, 160, 6), [0.522, 0.012, 0.047, 0.265, 0.155]),
        ((140, 200, 5), [0.476, 0.016, 0.025, 0.461, 0.023]),
    ],
)
def test_direct_matches_openvino(place: tuple[int, int, int], probabilities: list[float]) -> None:
    # Expected values: the published files in OpenVINO 2026.4, which computes with 8-bit integers.
    powers = np.exp(_run("direct", *place)["logits"][0])
    assert powers / powers.sum() == pytest.approx(probabilities, abs=0.02)


@pytest.mark.parametrize(
    ("place", "probabilities"),
    [
        ((120, 160, 4), [0.0028, 0.0003, 0.0019, 0.4526, 0.0257, 0.4939, 0.0227]),
        ((150, 200, 3), [0.0089, 0.0207, 0.0124, 0.0772, 0.0973, 0.4701, 0.3134]),
    ],
)
def test_opencv_fer_matches_onnx(place: tuple[int, int, int], probabilities: list[float]) -> None:
    # Expected values: the published file in ONNX's reference implementation.
    powers = np.exp(_run("opencv-fer", *place)["label"][0])
    assert powers / powers.sum() == pytest.approx(probabilities, abs=0.001)


def test_holds_no_paths_of_the_machine_that_exported_it() -> None:
    files = sorted((Path(mien.__file__).parent / "models").glob("*.onnx"))
    assert files
    for path in files:
        found = [
            word for word in (b"/home/", b"/root/", b"site-packages") if word in path.read_bytes()
        ]
        assert not found, path.name
