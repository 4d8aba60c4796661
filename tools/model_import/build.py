"""Converts the bytes of a published file to those of the bundled file."""

import onnx

from mien.runtime.spec import METADATA_KEY, spec_to_json
from model_import.convert import INPUT, OPSET, from_tflite, name_tensors
from model_import.recipes import Recipe

# The newest format that the oldest supported onnxruntime reads without a warning.
_IR_VERSION = 8


def build(recipe: Recipe, original: bytes) -> bytes:
    """Convert, rewrite and describe one model; a file without outputs is unchanged."""
    if recipe.outputs is None:
        return original
    graph = from_tflite(original)
    if recipe.spec.input.name == INPUT:
        name_tensors(graph, recipe.outputs)
    for rewrite in recipe.rewrites:
        rewrite(graph)
    model = graph.to_model("mien tools/import_models.py", OPSET, _IR_VERSION)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec_to_json(recipe.spec)})
    content: bytes = model.SerializeToString(deterministic=True)
    return content
