"""The classical classifier: its results, its file and its spec."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mien import imaging
from mien.config import Settings
from mien.errors import InputError, ModelFileError, SpecError
from mien.expression import ExpressionClassifier, build_classifier
from mien.expression.classical import ClassicalClassifier, gaussian_kernel
from mien.labels import Expression
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.runtime.session import Session
from mien.runtime.spec import spec_to_json

# The fourth person's closed smile is a mild one: the model says neutral, 0.58 to 0.38.
SMILING = [f"person-{who}-smiling" for who in "abc"]


@pytest.fixture(scope="module")
def classifier() -> ClassicalClassifier:
    return ClassicalClassifier(catalog.find("classical"))


def _crops(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return list(rng.integers(0, 255, (count, 64, 64, 3), np.uint8))


def test_satisfies_the_protocol() -> None:
    built = build_classifier("classical")
    assert isinstance(built, ExpressionClassifier)
    assert isinstance(built, ClassicalClassifier)


def test_file_has_its_checksum_and_is_below_ten_megabytes() -> None:
    entry = catalog.find("classical")
    catalog.verify(entry)
    assert entry.path.stat().st_size < 10e6


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(Settings(model="classical"))


@pytest.mark.parametrize("name", SMILING)
def test_recognizes_smiles_with_mesh_alignment(
    name: str, pipeline: FacePipeline, samples: dict[str, Path]
) -> None:
    (face,) = pipeline.analyze(read_image(samples[name])).faces
    assert face.expression is not None
    assert face.expression.top is Expression.HAPPINESS


@pytest.fixture(scope="module")
def classical_pipeline() -> FacePipeline:
    return FacePipeline(Settings(detector="haar", landmarks="detector", model="classical"))


@pytest.mark.parametrize("name", SMILING)
def test_recognizes_smiles_without_any_network(
    name: str,
    classical_pipeline: FacePipeline,
    samples: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: Session) -> None:
        raise AssertionError(f"{self.path} was loaded")

    monkeypatch.setattr(Session, "_load", refuse)
    faces = classical_pipeline.analyze(imaging.resize(read_image(samples[name]), (400, 400))).faces
    best = max(faces, key=lambda face: face.score)
    assert best.landmarks is not None
    assert best.landmarks.scheme == "eyes2"
    assert best.expression is not None
    assert best.expression.top is Expression.HAPPINESS


def test_returns_one_result_per_crop_in_order(classifier: ClassicalClassifier) -> None:
    crops = _crops(3)
    together = classifier.classify(crops)
    for crop, scores in zip(crops, together, strict=True):
        (alone,) = classifier.classify([crop])
        assert alone.probabilities == pytest.approx(scores.probabilities, abs=1e-4)
    assert classifier.classify([]) == []


def test_gray_and_rgb_crops_have_the_same_result(classifier: ClassicalClassifier) -> None:
    gray = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)
    rgb = np.repeat(gray[:, :, None], 3, axis=2)
    first, second = classifier.classify([gray, rgb])
    assert first.probabilities == pytest.approx(second.probabilities, abs=1e-5)


def test_is_thread_safe() -> None:
    shared = ClassicalClassifier(catalog.find("classical"))
    crops = _crops(4)
    expected = [scores.probabilities for scores in shared.classify(crops)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda crop: shared.classify([crop])[0].probabilities, crops))
    assert np.allclose(answers, expected, atol=1e-4)


def test_uniform_prior_divides_by_the_training_prior(classifier: ClassicalClassifier) -> None:
    entry = catalog.find("classical")
    crops = _crops(2)
    assert classifier.prior == "natural"
    natural = classifier.classify(crops)
    uniform = ClassicalClassifier(entry, prior="uniform").classify(crops)
    for before, after in zip(natural, uniform, strict=True):
        moved = before.probabilities / np.array(entry.spec.training_prior)
        assert after.probabilities == pytest.approx(moved / moved.sum(), abs=1e-4)


def test_rejects_crops_of_another_size(classifier: ClassicalClassifier) -> None:
    with pytest.raises(InputError, match=r"expected crops of 64x64 pixels.*got 48x40"):
        classifier.classify([np.zeros((40, 48), np.uint8)])


def _copied(tmp_path: Path, content: bytes, **changes: object) -> Path:
    entry = catalog.find("classical")
    spec = dataclasses.replace(entry.spec, file="other.npz", sha256=None, **changes)  # type: ignore[arg-type]
    (tmp_path / "other.npz").write_bytes(content)
    (tmp_path / "other.json").write_text(spec_to_json(spec))
    return tmp_path / "other.npz"


def test_reports_damaged_files(tmp_path: Path) -> None:
    whole = catalog.find("classical").path.read_bytes()
    path = _copied(tmp_path, whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match=r"expected a classical expression model in .*other"):
        build_classifier(path).classify(_crops(1))


def test_rejects_files_that_do_not_fit_their_spec(tmp_path: Path) -> None:
    features = {"hog": [{"block": 16, "stride": 8, "cell": 8}]}
    path = _copied(
        tmp_path, catalog.find("classical").path.read_bytes(), parameters={"features": features}
    )
    with pytest.raises(ModelFileError, match=r"does not fit its spec: expected 1764 features"):
        build_classifier(path).classify(_crops(1))


def test_rejects_specs_without_features(tmp_path: Path) -> None:
    path = _copied(tmp_path, b"", parameters={})
    with pytest.raises(SpecError, match="expected features with a list of HOG grids"):
        build_classifier(path)


def test_kernel_is_the_gaussian_of_the_distance() -> None:
    rows, vectors = np.array([[0, 0], [3, 4]], np.float32), np.array([[0, 0]], np.float32)
    # exp(-0.1 * 25) by hand.
    assert gaussian_kernel(rows, vectors, 0.1) == pytest.approx(np.array([[1], [0.082085]]), 1e-4)
