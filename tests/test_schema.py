"""The JSON Schema that ships, against real results."""

from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from mien.config import Settings
from mien.labels import Expression
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.types import (
    SCHEMA_VERSION,
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Gaze,
    TrackStatistics,
    result_schema,
)

SCHEMA = result_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def described(schema: dict[str, Any]) -> set[str]:
    """Every field that a part of the schema describes, with those of its parts, dotted."""
    if "$ref" in schema:
        part: Any = SCHEMA
        for key in schema["$ref"].removeprefix("#/").split("/"):
            part = part[key]
        return described(part)
    names = set()
    for alternative in schema.get("anyOf", []):
        names |= described(alternative)
    for name, part in schema.get("properties", {}).items():
        names |= {name} | {f"{name}.{inner}" for inner in described(part)}
    if "items" in schema:
        names |= described(schema["items"])
    return names


FREE = ("timings_ms", "models", "probabilities", "blendshapes", "action_units")


def given(value: Any) -> set[str]:
    """Every field of a result, dotted; fields whose keys are free are not looked into."""
    if isinstance(value, list):
        return set().union(*(given(item) for item in value))
    if not isinstance(value, dict):
        return set()
    names = set(value)
    for name, part in value.items():
        if name not in FREE:
            names |= {f"{name}.{inner}" for inner in given(part)}
    return names


@pytest.fixture(scope="module")
def result(samples: dict[str, Path]) -> FrameResult:
    return FacePipeline(Settings()).analyze(read_image(samples["group"]), source="group.jpg")


def in_a_stream(result: FrameResult) -> FrameResult:
    scores = ExpressionScores(tuple(Expression), np.full(8, 0.125), held=Expression.FEAR)
    face = Face(
        Detection(Box(-1.5, 0, 5, 5), score=0.5),
        expression=scores,
        expression_raw=scores,
        gaze=Gaze(yaw_deg=-3.0, pitch_deg=1.5),
        action_units={"AU12": 0.5},
        blendshapes={"jawOpen": 0.25},
        track_id=3,
        track=TrackStatistics(age_s=1.5),
    )
    return FrameResult((face,), (64, 48), frame_index=7, timestamp_s=0.28)


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["result"]["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


@pytest.mark.parametrize("landmarks", [False, True])
def test_a_real_result(result: FrameResult, landmarks: bool) -> None:
    document = result.to_dict(landmarks=landmarks)
    assert len(document["faces"]) == 4
    VALIDATOR.validate(document)


def test_results_of_streams_and_without_faces(result: FrameResult) -> None:
    VALIDATOR.validate(in_a_stream(result).to_dict())
    VALIDATOR.validate(FrameResult((), (1, 1)).to_dict())


def test_every_field_is_described_and_every_described_field_is_there(result: FrameResult) -> None:
    fields = given(result.to_dict(landmarks=True)) | given(in_a_stream(result).to_dict())
    assert fields == described(SCHEMA)


def test_the_expressions_are_ours() -> None:
    for expression in Expression:
        assert expression.value in SCHEMA["$defs"]["label"]["description"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema_version"], 2),
        (["image_size_wh"], [640]),
        (["faces", 0, "score"], 1.5),
        (["faces", 0, "expression", "label"], ""),
        (["faces", 0, "expression", "probabilities"], {"": 1.0}),
        (["faces", 0, "box", "x_min"], "12"),
        (["faces", 0, "quality", "reasons"], None),
    ],
)
def test_what_is_not_a_result_is_refused(result: FrameResult, path: list[Any], value: Any) -> None:
    document: Any = result.to_dict()
    part = document
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)
