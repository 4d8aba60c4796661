"""A network that also tells the blendshapes of its crop, and what other networks say."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from mien.adaptation.faces import read_features
from mien.adaptation.head import (
    BLENDSHAPE_OUTPUT,
    OTHER_EMBEDDING,
    OTHER_LOGS,
    Head,
    Strength,
    fit_head,
)
from mien.adaptation.model_file import _OTHER_NETWORKS, _resampling, with_extra_outputs, write_model
from mien.expression.crop import face_crop
from mien.expression.neural import NeuralClassifier
from mien.expression.priors import softmax, uniform_shift
from mien.labels import exact_label
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.runtime.spec import EMBEDDING
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
    with with_extra_outputs(catalog.find(name)) as wide:
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
    with with_extra_outputs(catalog.find("quick")) as wide:
        features = read_features(crops, NeuralClassifier(wide))
        head = Head(
            rng.normal(size=(8, 2)),
            rng.normal(size=(12, 2)),
            {name: rng.normal(size=(v.shape[2], 2)) for name, v in features.parts.items()},
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
    # It can be adapted again, as any other model.
    assert entry.spec.outputs == (entry.spec.outputs[0], EMBEDDING)


def test_a_model_that_does_not_use_the_embedding_still_tells_it(
    tmp_path: Path, crops_and_values: tuple[list[Image], np.ndarray]
) -> None:
    """It can be adapted again as well as any other."""
    base = catalog.find("quick")
    features = read_features(crops_and_values[0][:4], NeuralClassifier(base))
    truth = np.array([0, 1, 0, 1])
    head = fit_head(features, truth, np.zeros((8, 2)), Strength(100.0, None))
    assert head.used() == []
    labels = (exact_label("calm"), exact_label("glad"))
    spec = dataclasses.replace(base.spec, labels=labels, training_prior=(0.5, 0.5))
    write_model(base, head, spec, "", tmp_path / "m.onnx")
    again = read_features(
        crops_and_values[0][:1], NeuralClassifier(catalog.find(tmp_path / "m.onnx"))
    )
    assert np.allclose(again.parts[EMBEDDING], features.parts[EMBEDDING][:1], atol=1e-4)


def test_a_network_with_another_layout_stays_as_it_is() -> None:
    entry = catalog.find("quick")
    spec = dataclasses.replace(
        entry.spec, input=dataclasses.replace(entry.spec.input, layout="NHWC")
    )
    changed = dataclasses.replace(entry, spec=spec)
    with with_extra_outputs(changed) as wide:
        assert wide is changed


def test_resamples_as_opencv_does() -> None:
    crop = np.random.default_rng(0).uniform(0, 255, (96, 96)).astype(np.float32)
    wide = cv2.copyMakeBorder(crop, 24, 24, 24, 24, cv2.BORDER_REPLICATE)
    matrix = _resampling(96, 256, 256 / 144, 128 - 48 * 256 / 144)
    assert np.allclose(matrix @ crop @ matrix.T, cv2.resize(wide, (256, 256)), atol=0.1)


def test_tells_what_the_other_networks_say(
    crops_and_values: tuple[list[Image], np.ndarray],
) -> None:
    """Nearly the same as these networks with the photograph, although it sees a gray crop only."""
    pipeline, found = FacePipeline(), []
    for name in _OTHER_NETWORKS:
        network = NeuralClassifier(catalog.find(name), prior="natural")
        crops = []
        for path in sorted(SAMPLES.glob("person-*.jpg")):
            image = read_image(path)
            (face,) = pipeline.analyze(image).faces
            crops.append(face_crop(image, face.box, face.landmarks, network.spec).image)
        logits = network.logits(crops).astype(np.float64) / network.spec.temperature
        logs = np.log(softmax(logits + uniform_shift(network.spec)))
        found.append(np.maximum(logs, -8) - np.maximum(logs, -8).mean(axis=1, keepdims=True))
    with with_extra_outputs(catalog.find("transfer"), [OTHER_LOGS, OTHER_EMBEDDING]) as wide:
        assert BLENDSHAPE_OUTPUT not in wide.spec.outputs
        logs, embedding = NeuralClassifier(wide).run(
            crops_and_values[0], [OTHER_LOGS, OTHER_EMBEDDING]
        )
    assert embedding.shape == (len(logs), 512)
    for part, values in zip(np.split(logs, [5], axis=1), found, strict=True):
        assert np.corrcoef(part.ravel(), values.ravel())[0, 1] > 0.9
        assert np.array_equal(part.argmax(axis=1), values.argmax(axis=1))
