"""Rebuild `direct`, Intel's expression network of the Open Model Zoo as it was published.

    pip install -e . onnx openvino==2026.4.1
    python tools/import_direct.py                       # downloads the two published files
    python tools/import_direct.py --from FOLDER         # or reads them from a folder

The files are emotions-recognition-retail-0003.xml and .bin of the release 2020.3 (FP16-INT8), under
the Apache License 2.0; they are accepted by their SHA-256 only. The network is converted to ONNX
(`model_import/openvino.py`) and compared with OpenVINO on aligned faces. OpenVINO computes with
8-bit integers, and its own probabilities differ by up to 0.009 between a batch of one and of 200.
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
import openvino
from PIL import Image

from mien import imaging
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.runtime.session import Session
from mien.runtime.spec import METADATA_KEY, read_sidecar, sidecar_path, spec_to_json
from mien.types import AlignmentTemplate, InputSpec, ModelSpec
from model_import.openvino import to_onnx

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = (
    "https://download.01.org/opencv/2020/openvinotoolkit/2020.3/open_model_zoo/models_bin/1/"
    "emotions-recognition-retail-0003/FP16-INT8/"
)
NAME = "emotions-recognition-retail-0003"
SHA256 = {
    "xml": "5f6164344491a3bfa1388f079f92795fd404259c43ee8daa9235759273d9d2a2",
    "bin": "41010ee2999fcd9bd3f8a2a29a1ca4e74041fc33c539f3f0dee6d7e5e7223c17",
}
OPSET = 17
IR_VERSION = 8
MEAN_TOLERANCE, LARGEST_TOLERANCE = 0.01, 0.05

SPEC = ModelSpec(
    name="direct",
    task="expression",
    file="direct.onnx",
    input=InputSpec("image", (64, 64), "bgr", (0.0,) * 3, (1.0,) * 3),
    outputs=("logits",),
    license="Apache-2.0",
    source=f"Intel Open Model Zoo 2020.3, {NAME}, FP16-INT8; converted",
    labels=(
        Expression.NEUTRAL,
        Expression.HAPPINESS,
        Expression.SADNESS,
        Expression.SURPRISE,
        Expression.ANGER,
    ),
    # The mean places of the points in the crop that the publisher's demos cut around a face.
    alignment=AlignmentTemplate(
        "mesh468",
        (33, 133, 362, 263, 168, 6, 197),
        (
            (0.22496, 0.34175),
            (0.39246, 0.35357),
            (0.60509, 0.35104),
            (0.77257, 0.33486),
            (0.49746, 0.32139),
            (0.49792, 0.37411),
            (0.49839, 0.41923),
        ),
    ),
    training_data="photographs from the web, not published; its publisher validates on AffectNet",
)


def main() -> int:
    """Build the model, or compare it with the file that ships; returns the exit status."""
    options = _parse()
    original = {kind: _read(options.folder, kind) for kind in SHA256}
    # What was measured and calibrated stands in the sidecar and is kept.
    sidecar = options.output / "direct.json"
    spec = _with_figures(sidecar)
    model = to_onnx(
        *original.values(),
        image=spec.input.name,
        output=spec.outputs[0],
        opset=OPSET,
        ir_version=IR_VERSION,
    )
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
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the two files")
    parser.add_argument("--output", type=Path, default=ROOT / "src/mien/models")
    parser.add_argument(
        "--faces",
        type=Path,
        default=ROOT / "src/mien/samples",
        help="folder of photographs to compare on (default: those that ship)",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare the files")
    return parser.parse_args()


def _read(folder: Path | None, kind: str) -> bytes:
    if folder is not None:
        content = (folder / f"{NAME}.{kind}").read_bytes()
    else:
        with urllib.request.urlopen(f"{ADDRESS}{NAME}.{kind}", timeout=60) as answer:
            content = answer.read()
    actual = hashlib.sha256(content).hexdigest()
    if actual != SHA256[kind]:
        sys.exit(f"expected SHA-256 {SHA256[kind]} of {NAME}.{kind}, got {actual}")
    return content


def _with_figures(sidecar: Path) -> ModelSpec:
    if not sidecar.is_file():
        return SPEC
    kept = read_sidecar(sidecar)
    return dataclasses.replace(
        SPEC,
        temperature=kept.temperature,
        uncertain_below=kept.uncertain_below,
        metrics=kept.metrics,
    )


def _agrees(path: Path, original: dict[str, bytes], folder: Path) -> bool:
    """Compare the probabilities of the file with OpenVINO's, on each face and its mirror image."""
    pipeline = FacePipeline()
    crops = []
    for picture in sorted(folder.glob("*.jpg")):
        rgb = np.asarray(Image.open(picture).convert("RGB"))
        for face in pipeline.analyze(rgb).faces:
            if face.landmarks is not None and SPEC.alignment is not None:
                points = face.landmarks.points
                crops.append(imaging.align(rgb, points, SPEC.alignment, SPEC.input.size_wh).image)
    batch = imaging.to_input([*crops, *(crop[:, ::-1] for crop in crops)], SPEC.input)
    logits = Session(path).run({SPEC.input.name: batch})[0].astype(np.float64)
    gap = np.abs(_softmax(logits) - _openvino(original, batch))
    print(
        f"{path.name}: {path.stat().st_size} bytes; probabilities on {len(batch)} faces differ by "
        f"{gap.mean():.4f} on average and at most {gap.max():.4f}"
    )
    return bool(gap.mean() <= MEAN_TOLERANCE and gap.max() <= LARGEST_TOLERANCE)


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _openvino(
    original: dict[str, bytes], batch: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    core = openvino.Core()
    network = core.compile_model(core.read_model(original["xml"], original["bin"]), "CPU")
    answers = [next(iter(network(image[None]).values())).reshape(-1) for image in batch]
    return np.asarray(answers, np.float64)


if __name__ == "__main__":
    sys.exit(main())
