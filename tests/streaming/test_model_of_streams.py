"""Which expression model streams use."""

import numpy as np
import pytest

from mien.config import Settings
from mien.expression import build_classifier
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream
from mien.streaming.expressions import for_streams


def test_the_default_in_streams_is_quick() -> None:
    pipeline = FacePipeline(prior="uniform")
    stream = FaceStream(pipeline)
    result = stream.update(np.zeros((64, 64, 3), np.uint8), 0.0)
    assert result.models["expression"] == "quick"
    assert result.models["prior"] == "uniform"
    assert pipeline.models["expression"] == "ensemble"
    # Streams of one pipeline share its models.
    assert FaceStream(pipeline).pipeline is stream.pipeline
    assert stream.pipeline.landmarks is pipeline.landmarks


@pytest.mark.parametrize(
    "pipeline",
    [
        FacePipeline(model="transfer"),
        FacePipeline(model="scratch"),
        FacePipeline(classifier=build_classifier("direct")),
        FacePipeline(Settings(model="quick")),
    ],
    ids=lambda pipeline: pipeline.classifier.name,
)
def test_a_model_that_was_asked_for_stays(pipeline: FacePipeline) -> None:
    assert for_streams(pipeline) is pipeline
