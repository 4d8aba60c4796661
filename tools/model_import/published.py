"""What the tools share that rebuild one published expression network."""

import argparse
import dataclasses
import hashlib
import sys
import urllib.request
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from mien import imaging
from mien.expression.crop import face_crop
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime.spec import METADATA_KEY, read_sidecar, sidecar_path, spec_to_json
from mien.types import ModelSpec

ROOT = Path(__file__).resolve().parents[2]


def parse(about: str, source: str) -> argparse.Namespace:
    """The options: ``original`` (a path, or None to download), ``output``, ``faces``, ``check``."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--from", dest="original", type=Path, help=source)
    parser.add_argument("--output", type=Path, default=ROOT / "src/mien/models")
    parser.add_argument(
        "--faces",
        type=Path,
        default=ROOT / "src/mien/samples",
        help="folder of photographs to compare on (default: those that ship)",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare the files")
    return parser.parse_args()


def read(path: Path | None, address: str, sha256: str) -> bytes:
    """The published file, downloaded without a path; exits where its checksum is another."""
    if path is not None:
        content = path.read_bytes()
    else:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        sys.exit(f"expected SHA-256 {sha256} of {path or address}, got {actual}")
    return content


def with_figures(spec: ModelSpec, output: Path, *kept: str) -> ModelSpec:
    """The spec with the fields that were measured, which stand in the sidecar."""
    sidecar = sidecar_path(output / spec.file)
    if not sidecar.is_file():
        return spec
    measured = read_sidecar(sidecar)
    return dataclasses.replace(spec, **{name: getattr(measured, name) for name in kept})


def write(model: onnx.ModelProto, spec: ModelSpec, options: argparse.Namespace) -> bool:
    """Write the model with its spec, or say with ``--check`` whether the files are the same."""
    onnx.helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    content: bytes = model.SerializeToString(deterministic=True)
    path = options.output / spec.file
    described = dataclasses.replace(spec, sha256=hashlib.sha256(content).hexdigest())
    written = {path: content, sidecar_path(path): spec_to_json(described).encode()}
    if options.check:
        same = all(p.is_file() and p.read_bytes() == new for p, new in written.items())
        print(f"{spec.file}: {'the same as' if same else 'DIFFERS FROM'} the file that ships")
        return same
    for target, new in written.items():
        target.write_bytes(new)
    return True


def faces_as_input(folder: Path, spec: ModelSpec) -> npt.NDArray[np.float32]:
    """``(2 N, C, H, W)`` each face of the photographs in a folder, then the mirror images."""
    pipeline = FacePipeline()
    crops = []
    for picture in sorted(folder.glob("*.jpg")):
        rgb = read_image(picture)
        for face in pipeline.analyze(rgb).faces:
            crops.append(face_crop(rgb, face.box, face.landmarks, spec).image)
    return imaging.to_input([*crops, *(crop[:, ::-1] for crop in crops)], spec.input)
