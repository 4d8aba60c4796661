"""Rebuild `direct`, Intel's expression network of the Open Model Zoo as it was published.

    pip install -e . onnx openvino==2026.4.1
    python tools/import_direct.py                       # downloads the two published files
    python tools/import_direct.py --from FOLDER         # or reads them from a folder

The files are emotions-recognition-retail-0003.xml and .bin of the release 2020.3 (FP16-INT8), under
the Apache License 2.0; they are accepted by their SHA-256 only. The network is converted to ONNX
(`model_import/openvino.py`) and compared with OpenVINO on aligned faces. OpenVINO computes with
8-bit integers, and its own probabilities differ by up to 0.009 between a batch of one and of 200.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino

from mien.expression.priors import softmax
from mien.labels import Expression
from mien.runtime.session import Session
from mien.types import AlignmentTemplate, InputSpec, ModelSpec
from model_import import published
from model_import.openvino import to_onnx

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
    options = published.parse(__doc__ or "", "folder with the two files")
    original = {
        kind: published.read(
            options.original and options.original / f"{NAME}.{kind}",
            f"{ADDRESS}{NAME}.{kind}",
            sha256,
        )
        for kind, sha256 in SHA256.items()
    }
    kept = ("temperature", "uncertain_below", "metrics")
    spec = published.with_figures(SPEC, options.output, *kept)
    model = to_onnx(
        *original.values(),
        image=spec.input.name,
        output=spec.outputs[0],
        opset=OPSET,
        ir_version=IR_VERSION,
    )
    good = published.write(model, spec, options)
    if good and not options.check:
        good = _agrees(options.output / spec.file, original, options.faces)
    return 0 if good else 1


def _agrees(path: Path, original: dict[str, bytes], folder: Path) -> bool:
    """Compare the probabilities of the file with OpenVINO's, on each face and its mirror image."""
    batch = published.faces_as_input(folder, SPEC)
    logits = Session(path).run({SPEC.input.name: batch})[0].astype(np.float64)
    gap = np.abs(softmax(logits) - _openvino(original, batch))
    print(
        f"{path.name}: {path.stat().st_size} bytes; probabilities on {len(batch)} faces differ by "
        f"{gap.mean():.4f} on average and at most {gap.max():.4f}"
    )
    return bool(gap.mean() <= MEAN_TOLERANCE and gap.max() <= LARGEST_TOLERANCE)


def _openvino(
    original: dict[str, bytes], batch: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    core = openvino.Core()
    network = core.compile_model(core.read_model(original["xml"], original["bin"]), "CPU")
    answers = [next(iter(network(image[None]).values())).reshape(-1) for image in batch]
    return np.asarray(answers, np.float64)


if __name__ == "__main__":
    sys.exit(main())
