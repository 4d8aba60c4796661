"""The default for photographs: three networks in one classifier."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from mien import imaging
from mien.errors import SettingError
from mien.expression import build_classifier
from mien.expression.crop import face_crop
from mien.expression.ensemble import EnsembleClassifier
from mien.geometry import Array
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.types import ExpressionScores, Face, Image

SAMPLES = catalog.shipped_folder().parent / "samples"


@pytest.fixture(scope="module")
def classifier() -> EnsembleClassifier:
    return EnsembleClassifier(prior="natural")


@cache
def sample_faces() -> list[tuple[Image, Face]]:
    pipeline = FacePipeline(model="quick")
    images = [read_image(path) for path in sorted(SAMPLES.glob("person-*.jpg"))]
    return [(image, face) for image in images for face in pipeline.analyze(image).faces]


@cache
def crops_for(name: str) -> list[Image]:
    spec = build_classifier(name).spec
    return [
        face_crop(image, face.box, face.landmarks, spec).image for image, face in sample_faces()
    ]


def array(scores: list[ExpressionScores]) -> Array:
    return np.array([score.probabilities for score in scores], np.float64)


def enlarged(crop: Image) -> Image:
    """A crop of a quarter of the pixels, as those of small pictures are."""
    width, height = crop.shape[1], crop.shape[0]
    return imaging.resize(imaging.resize(crop, (width // 2, height // 2)), (width, height))


def mixed(logs: Array, other: Array, at: list[int], share: npt.ArrayLike) -> Array:
    """The definition: the weighted geometric mean of what both know, the sum unchanged."""
    known = np.exp(logs[:, at])
    mean = known ** (1 - np.asarray(share)) * other ** np.asarray(share)
    result = np.exp(logs)
    result[:, at] = mean * (known.sum(axis=1) / mean.sum(axis=1))[:, None]
    return result


def of_expected(
    classifier: EnsembleClassifier, crops: list[Image], own: dict[str, list[Image]], small: bool
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """What the definition gives, and where all networks count."""
    first = array(build_classifier("transfer", prior="natural").classify(crops))
    shares = np.array(classifier.spec.training_prior)
    half = first / np.sqrt(shares)
    unsure = (half / half.sum(axis=1, keepdims=True)).max(axis=1) < 0.65
    expected = first
    for name, share in (("direct", 0.2 if small else 0.4), ("opencv-fer", 0.1 if small else 0.4)):
        other = build_classifier(name, prior="uniform" if name == "opencv-fer" else "default")
        at = [classifier.spec.labels.index(label) for label in other.spec.labels]
        reported = array(other.classify(own[name])) * np.sqrt(shares[at])
        reported /= reported.sum(axis=1, keepdims=True)
        expected = mixed(np.log(expected), reported, at, share)
    return np.where(unsure[:, None], expected, first), unsure


@pytest.mark.parametrize("small", [False, True])
def test_asks_all_networks_where_the_first_is_not_sure(
    classifier: EnsembleClassifier, small: bool
) -> None:
    crops = crops_for("ensemble")
    own = {name: crops_for(name) for name in ("direct", "opencv-fer")}
    if small:
        crops = [*map(enlarged, crops)]
        own = {name: [*map(enlarged, images)] for name, images in own.items()}
    expected, unsure = of_expected(classifier, crops, own, small)
    assert unsure.any()
    found = array(classifier.classify(crops))
    assert found[~unsure] == pytest.approx(expected[~unsure], abs=1e-4)
    # The other crops are cut from the first one here, and not from the photograph.
    assert found[unsure] == pytest.approx(expected[unsure], abs=0.08)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(found)), abs=1e-5)


def test_the_others_run_for_few_faces(
    classifier: EnsembleClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    network = classifier._others[1].network
    logits = network.logits

    def counting(crops: Sequence[Image]) -> npt.NDArray[np.float32]:
        asked.append(len(crops))
        return logits(crops)

    monkeypatch.setattr(network, "logits", counting)
    crops = crops_for("ensemble")
    classifier.classify(crops)
    assert sum(asked) < len(crops) / 2


def test_a_prior_divides_the_probabilities(classifier: EnsembleClassifier) -> None:
    """The photo page changes the prior of probabilities that it has."""
    crops = crops_for("ensemble")
    shares = np.array(classifier.spec.training_prior)
    divided = array(classifier.classify(crops)) / shares
    uniform = array(EnsembleClassifier(prior="uniform").classify(crops))
    assert uniform == pytest.approx(divided / divided.sum(axis=1, keepdims=True), abs=1e-4)


def test_takes_gray_crops_and_none(classifier: EnsembleClassifier) -> None:
    crop = crops_for("ensemble")[0]
    assert classifier.classify([]) == []
    assert len(classifier.classify([crop, imaging.to_gray(crop)])) == 2


def test_results_do_not_depend_on_the_batch(classifier: EnsembleClassifier) -> None:
    crops = crops_for("ensemble")
    together = array(classifier.classify(crops))
    alone = np.concatenate([array(classifier.classify([crop])) for crop in crops])
    assert together == pytest.approx(alone, abs=1e-4)


def test_is_the_default_of_photographs() -> None:
    result = FacePipeline().analyze(read_image(SAMPLES / "person-a-smiling.jpg"))
    assert result.models["expression"] == "ensemble"
    assert result.faces[0].expression is not None
    assert result.faces[0].expression.label.value == "happiness"
    with pytest.raises(SettingError, match="expected the prior"):
        build_classifier("ensemble", prior="nothing")
