"""Rebuild `opencv-fer`, OpenCV Zoo's expression network as it was published.

    pip install -e . onnx
    python tools/import_opencv_fer.py                  # downloads the published file
    python tools/import_opencv_fer.py --from FILE      # or reads it

The file is facial_expression_recognition_mobilefacenet_2022july_int8bq.onnx, under the Apache
License 2.0; it is accepted by its SHA-256 only. Its 8-bit weights are stored in half precision, its
PRelus are rewritten (`model_import/rewrites.py`), and the input of the last layer becomes a second
output. The result is compared with the published file, as ONNX's reference implementation runs it,
on aligned faces.
"""

import argparse
import dataclasses
import hashlib
import sys
import urllib.request
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from mien import imaging
from mien.expression.crop import face_crop
from mien.expression.priors import softmax
from mien.labels import Expression
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime.embedding import EMBEDDING
from mien.runtime.session import Session
from mien.runtime.spec import METADATA_KEY, read_sidecar, sidecar_path, spec_to_json
from mien.types import AlignmentTemplate, InputSpec, ModelSpec
from model_import import rewrites
from model_import.graph import Graph

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/facial_expression_recognition/"
    "facial_expression_recognition_mobilefacenet_2022july_int8bq.onnx"
)
SHA256 = "0c3eaf9d0a7d442c0aa3beb3234243e1cdff9ad8871fb3cec346e90874caf57d"
OPSET, IR_VERSION = 17, 8
LARGEST_TOLERANCE = 0.01

SPEC = ModelSpec(
    name="opencv-fer",
    task="expression",
    file="opencv-fer.onnx",
    input=InputSpec("data", (112, 112), "rgb", (127.5,) * 3, (127.5,) * 3),
    outputs=("label", EMBEDDING),
    license="Apache-2.0",
    source="OpenCV Zoo, facial_expression_recognition_mobilefacenet_2022july_int8bq; converted",
    labels=(
        Expression.ANGER,
        Expression.DISGUST,
        Expression.FEAR,
        Expression.HAPPINESS,
        Expression.NEUTRAL,
        Expression.SADNESS,
        Expression.SURPRISE,
    ),
    # The template of ArcFace (InsightFace), as in the publisher's program.
    alignment=AlignmentTemplate(
        "five",
        (0, 1, 2, 3, 4),
        (
            (0.341916, 0.461574),
            (0.656534, 0.459834),
            (0.500225, 0.640505),
            (0.370976, 0.824692),
            (0.631517, 0.823251),
        ),
    ),
    # Temperature and prior were chosen on FER+ valid.
    temperature=1.5,
    prior="half",
    # The shares of RAF-DB's train split: 705, 717, 281, 4772, 2524, 1982 and 1290 of 12,271.
    training_prior=(0.05745, 0.05843, 0.0229, 0.38888, 0.20569, 0.16152, 0.10513),
    # The same for a mesh: where its stable points are then, mean over 73 photographs of LFW.
    parameters={
        "alignment_mesh468": {
            "indices": [33, 133, 362, 263, 168, 6, 197],
            "points": [
                [0.263, 0.46004],
                [0.40772, 0.47174],
                [0.59158, 0.47143],
                [0.73653, 0.45893],
                [0.49878, 0.44485],
                [0.49872, 0.49043],
                [0.49872, 0.52945],
            ],
        },
        "embedding_width": 512,
    },
    training_data="RAF-DB's train split and photographs without labels, by its publisher",
)


def main() -> int:
    """Build the model, or compare it with the file that ships; returns the exit status."""
    options = _parse()
    original = _read(options.file)
    # What was measured stands in the sidecar and is kept.
    sidecar = options.output / "opencv-fer.json"
    spec = _with_figures(sidecar)
    model = _converted(original, spec)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    content: bytes = model.SerializeToString(deterministic=True)
    path = options.output / spec.file
    described = dataclasses.replace(spec, sha256=hashlib.sha256(content).hexdigest())
    written = {path: content, sidecar_path(path): spec_to_json(described).encode()}
    if options.check:
        same = all(p.is_file() and p.read_bytes() == new for p, new in written.items())
        print(f"{spec.file}: {'the same as' if same else 'DIFFERS FROM'} the file that ships")
        return 0 if same else 1
    for target, new in written.items():
        target.write_bytes(new)
    return 0 if _agrees(path, original, options.faces) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--from", dest="file", type=Path, help="the published file")
    parser.add_argument("--output", type=Path, default=ROOT / "src/mien/models")
    parser.add_argument(
        "--faces",
        type=Path,
        default=ROOT / "src/mien/samples",
        help="folder of photographs to compare on (default: those that ship)",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare the files")
    return parser.parse_args()


def _read(file: Path | None) -> bytes:
    if file is not None:
        content = file.read_bytes()
    else:
        with urllib.request.urlopen(ADDRESS, timeout=60) as answer:
            content = answer.read()
    actual = hashlib.sha256(content).hexdigest()
    if actual != SHA256:
        sys.exit(f"expected SHA-256 {SHA256} of {file or ADDRESS}, got {actual}")
    return content


def _with_figures(sidecar: Path) -> ModelSpec:
    if not sidecar.is_file():
        return SPEC
    kept = read_sidecar(sidecar)
    return dataclasses.replace(SPEC, uncertain_below=kept.uncertain_below, metrics=kept.metrics)


def _converted(original: bytes, spec: ModelSpec) -> onnx.ModelProto:
    graph = Graph(onnx.load_from_string(original))
    _expand_weights(graph)
    size_wh = spec.input.size_wh
    graph.inputs = {spec.input.name: ["batch", 3, *size_wh[::-1]]}
    logits, embedding = spec.outputs
    last = graph.producer(logits)
    assert last is not None
    width = graph.weights[last.input[1]].shape[1]
    graph.rename(last.input[0], embedding)
    graph.outputs = {logits: ["batch", len(spec.labels)], embedding: ["batch", width]}
    rewrites.expand_prelu(graph)
    for name, values in graph.weights.items():
        if values.dtype == np.float32:
            graph.weights[name] = values.astype(np.float16).astype(np.float32)
    rewrites.store_half(graph)
    return graph.to_model("mien tools/import_opencv_fer.py", OPSET, IR_VERSION)


def _expand_weights(graph: Graph) -> None:
    """Replace the block-quantized weights, and their reshapes, by floats."""
    for node in [n for n in graph.nodes if n.op_type in ("DequantizeLinear", "Reshape")]:
        if node.op_type == "Reshape":
            values, shape = (graph.weights[name] for name in node.input)
            floats = values.reshape(shape.astype(int))
        else:
            facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            quantized, scales, zeros = (graph.weights[name] for name in node.input)
            axis, block = facts["axis"], facts["block_size"]
            kept = range(quantized.shape[axis])
            scale, zero = (
                np.take(np.repeat(v.astype(np.float32), block, axis), kept, axis)
                for v in (scales, zeros)
            )
            floats = (quantized.astype(np.float32) - zero) * scale
        graph.weight(node.output[0], floats)
        graph.replace(node, [])


def _agrees(path: Path, original: bytes, folder: Path) -> bool:
    """Compare the probabilities of both files on each face and its mirror image."""
    pipeline = FacePipeline()
    crops = []
    for picture in sorted(folder.glob("*.jpg")):
        rgb = read_image(picture)
        for face in pipeline.analyze(rgb).faces:
            crops.append(face_crop(rgb, face.box, face.landmarks, SPEC).image)
    batch = imaging.to_input([*crops, *(crop[:, ::-1] for crop in crops)], SPEC.input)
    logits = Session(path).run({SPEC.input.name: batch})[0].astype(np.float64)
    gap = np.abs(softmax(logits) - softmax(_published(original, batch)))
    print(
        f"{path.name}: {path.stat().st_size} bytes; probabilities on {len(batch)} faces differ by "
        f"{gap.mean():.4f} on average and at most {gap.max():.4f}"
    )
    return bool(gap.max() <= LARGEST_TOLERANCE)


def _published(original: bytes, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Logits by ONNX's own implementation; onnxruntime does not run this quantization."""
    model = onnx.load_from_string(original)
    # The file lists weights as inputs; those that no node uses may have any value.
    weights = {tensor.name for tensor in model.graph.initializer}
    unused = {
        entry.name: np.zeros([axis.dim_value for axis in entry.type.tensor_type.shape.dim])
        for entry in model.graph.input
        if entry.name not in weights | {SPEC.input.name}
    }
    reference = ReferenceEvaluator(model)
    answers = [reference.run(None, {SPEC.input.name: x[None], **unused})[0][0] for x in batch]
    return np.asarray(answers, np.float64)


if __name__ == "__main__":
    sys.exit(main())
