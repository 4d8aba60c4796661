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

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from mien.expression.priors import softmax
from mien.labels import Expression
from mien.runtime.session import Session
from mien.runtime.spec import EMBEDDING
from mien.types import AlignmentTemplate, InputSpec, ModelSpec
from model_import import published, rewrites
from model_import.graph import Graph

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
    options = published.parse(__doc__ or "", "the published file")
    original = published.read(options.original, ADDRESS, SHA256)
    spec = published.with_figures(SPEC, options.output, "uncertain_below", "metrics")
    good = published.write(_converted(original, spec), spec, options)
    if good and not options.check:
        good = _agrees(options.output / spec.file, original, options.faces)
    return 0 if good else 1


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
    batch = published.faces_as_input(folder, SPEC)
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
