"""Published models of others: batches of one, alignment by five points."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien.config import Settings
from mien.imaging import alignment_transform, warp
from mien.labels import Expression
from mien.landmarks.schemes import to_five
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime.session import Session
from mien.runtime.spec import METADATA_KEY, spec_to_json
from mien.types import AlignmentTemplate

TEMPLATE = AlignmentTemplate(
    scheme="five",
    indices=(0, 1, 2, 3, 4),
    points=((0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82)),
)


@pytest.fixture
def published(tiny_expression_model: Callable[..., Path]) -> Path:
    path = tiny_expression_model("published")
    spec = dataclasses.replace(
        Session(path).read_spec(), alignment=TEMPLATE, parameters={"max_batch": 1}
    )
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.helper.set_model_props(model, {METADATA_KEY: spec_to_json(spec)})
    onnx.save(model, path)
    return path


def test_respects_the_maximum_batch_size(published: Path) -> None:
    pipeline = FacePipeline(Settings(model=str(published)))
    crops = [np.full((8, 8, 3), level, np.uint8) for level in (250, 0, 250)]
    tops = [scores.top for scores in pipeline.classify(crops)]
    assert tops == [Expression.HAPPINESS, Expression.NEUTRAL, Expression.HAPPINESS]


def test_mesh_provides_the_five_points_for_alignment(
    published: Path, samples: dict[str, Path]
) -> None:
    pipeline = FacePipeline(Settings(model=str(published)))
    image = read_image(samples["person-a-neutral"])
    [face] = pipeline.analyze(image)
    assert face.landmarks is not None
    assert face.landmarks.scheme == "mesh468"
    crop = pipeline.align(image, face.detection, face.landmarks)
    wanted = alignment_transform(to_five(face.landmarks).points, TEMPLATE, (8, 8))
    assert np.array_equal(crop.transform, wanted)
    assert np.array_equal(crop.image, warp(image, wanted, (8, 8)))
