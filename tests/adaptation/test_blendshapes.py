"""A network that also tells the blendshapes of its crop."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from mien.adaptation.blendshapes import BLENDSHAPE_OUTPUT, _resampling, with_blendshapes
from mien.adaptation.faces import read_features
from mien.adaptation.head import Head
from mien.adaptation.model_file import write_model
from mien.expression.crop import face_crop
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax
from mien.labels import exact_label
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.types import BLENDSHAPES, Image

SAMPLES = catalog.shipped_folder().parent / "samples"


@pytest.fixture(scope="module")
def crops_and_values() -> tuple[list[Image], np.ndarray]:
    """Crops of the sample faces, and the blendshapes that the whole photographs give."""
    pipeline = FacePipeline(landmarks="face-landmarker")
    crops, values = [], []
    for path in sorted(SAMPLES.glob("person-*.jpg")):
        image = read_image(path)
        (face,) = pipeline.analyze(image).faces
        assert face.blendshapes is not None
        crops.append(
            face_crop(image, face.box, face.landmarks, catalog.find("transfer").spec).image
        )
        values.append(list(face.blendshapes.values()))
    return crops, np.array(values)


@pytest.mark.parametrize("name", ["transfer", "quick"])
def test_tells_what_the_photograph_tells(
    name: str, crops_and_values: tuple[list[Image], np.ndarray]
) -> None:
    crops, values = crops_and_values
    base = NeuralClassifier(catalog.find(name))
    with with_blendshapes(catalog.find(name)) as wide:
        onnx.checker.check_model(onnx.load(wide.path), full_check=True)
        classifier = NeuralClassifier(wide)
        logits, found = classifier.run(crops, ["logits", BLENDSHAPE_OUTPUT])
    assert not wide.path.exists()
    assert np.allclose(logits, base.logits(crops), atol=1e-4)
    assert np.corrcoef(found.ravel(), values.ravel())[0, 1] > 0.9
    smile = found[:, BLENDSHAPES.index("mouthSmileLeft")]
    assert np.all(smile[1::2] > smile[::2] + 0.2)  # neutral, smiling, neutral, ...


def test_a_written_model_computes_the_head(
    tmp_path: Path, crops_and_values: tuple[list[Image], np.ndarray]
) -> None:
    crops = crops_and_values[0][:3]
    rng = np.random.default_rng(0)
    with with_blendshapes(catalog.find("quick")) as wide:
        features = read_features(crops, NeuralClassifier(wide))
        head = Head(
            rng.normal(size=(8, 2)),
            rng.normal(size=(features.embedding.shape[2], 2)),
            rng.normal(size=(52, 2)),
            rng.normal(size=2),
        )
        labels = (exact_label("calm"), exact_label("glad"))
        spec = dataclasses.replace(
            wide.spec, labels=labels, training_prior=(0.5, 0.5), temperature=1.0
        )
        write_model(wide, head, spec, "", tmp_path / "m.onnx")
    entry = catalog.find(tmp_path / "m.onnx")
    found = NeuralClassifier(entry).logits(crops).astype(np.float64)
    assert np.allclose(softmax(found), softmax(head.logits(features)), atol=1e-3)
    with with_blendshapes(entry) as again:
        assert again is entry  # it tells them already


def test_a_network_with_another_layout_stays_as_it_is() -> None:
    entry = catalog.find("quick")
    spec = dataclasses.replace(
        entry.spec, input=dataclasses.replace(entry.spec.input, layout="NHWC")
    )
    changed = dataclasses.replace(entry, spec=spec)
    with with_blendshapes(changed) as wide:
        assert wide is changed


def test_resamples_as_opencv_does() -> None:
    crop = np.random.default_rng(0).uniform(0, 255, (96, 96)).astype(np.float32)
    wide = cv2.copyMakeBorder(crop, 24, 24, 24, 24, cv2.BORDER_REPLICATE)
    matrix = _resampling(96, 256, 144)
    assert np.allclose(matrix @ crop @ matrix.T, cv2.resize(wide, (256, 256)), atol=0.1)
