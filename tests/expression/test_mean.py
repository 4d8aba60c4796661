"""The mean of two networks: `both`."""

import numpy as np
import pytest

from mien import imaging
from mien.errors import SettingError
from mien.expression import build_classifier
from mien.expression.crop import face_crop
from mien.expression.mean import MeanClassifier
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime import catalog
from mien.types import Image

SAMPLES = catalog.shipped_folder().parent / "samples"


def _crops_for(name: str) -> list[Image]:
    pipeline = FacePipeline()
    crops = []
    for path in sorted(SAMPLES.glob("person-*.jpg")):
        image = read_image(path)
        (face,) = pipeline.analyze(image).faces
        spec = build_classifier(name).spec
        crops.append(face_crop(image, face.box, face.landmarks, spec).image)
    return crops


def test_mixes_what_each_network_says_of_its_own_crop() -> None:
    found = build_classifier("both", prior="half").classify(_crops_for("both"))
    first = build_classifier("transfer", prior="half").classify(_crops_for("transfer"))
    second = build_classifier("direct").classify(_crops_for("direct"))
    for mixed, one, other in zip(found, first, second, strict=True):
        common = [label.value for label in other.labels]
        before = np.array([one[label] for label in common])
        logs = 0.7 * np.log(before) + 0.3 * np.log([other[label] for label in common])
        expected = np.exp(logs) / np.exp(logs).sum() * before.sum()
        # The second crop is cut from the first one here, not from the photograph.
        assert [mixed[label] for label in common] == pytest.approx(expected, abs=0.03)
        for label in ("disgust", "fear", "contempt"):
            assert mixed[label] == pytest.approx(one[label], abs=1e-5)
        assert mixed.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_takes_gray_crops_and_none() -> None:
    classifier = MeanClassifier()
    crop = _crops_for("both")[0]
    gray = imaging.to_gray(crop)
    assert classifier.classify([]) == []
    assert len(classifier.classify([crop, gray])) == 2


def test_is_a_model_like_others() -> None:
    pipeline = FacePipeline(model="both")
    result = pipeline.analyze(read_image(SAMPLES / "person-a-smiling.jpg"))
    assert result.models["expression"] == "both"
    assert result.faces[0].expression is not None
    assert result.faces[0].expression.label.value == "happiness"
    with pytest.raises(SettingError, match="expected the prior"):
        build_classifier("both", prior="nothing")
