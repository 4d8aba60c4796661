"""Write the facts of a model's sidecar into its ONNX file, and expose the network's embedding.

    python tools/refresh_models.py src/mien/models/transfer.onnx

Edit the sidecar first. The weights do not change; the sidecar gets outputs and checksum.
"""

import dataclasses
import sys
from pathlib import Path

import onnx

from mien.runtime.catalog import checksum
from mien.runtime.preparation import expose_embedding
from mien.runtime.spec import METADATA_KEY, read_sidecar, sidecar_path, spec_to_json


def refresh(path: Path) -> None:
    """Rewrite one model file and its sidecar."""
    model = onnx.load(path)
    expose_embedding(model)
    outputs = tuple(output.name for output in model.graph.output)
    spec = dataclasses.replace(read_sidecar(sidecar_path(path)), outputs=outputs, sha256=None)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    described = dataclasses.replace(spec, sha256=checksum(path))
    sidecar_path(path).write_text(spec_to_json(described), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        refresh(Path(name))
