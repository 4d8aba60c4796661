"""Round trips of documents and results, and the files that are generated from the declarations."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mien
from mien.errors import InputError
from mien.labels import Expression
from mien.types import (
    Affect,
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Landmarks,
    Quality,
    Signals,
    TrackStatistics,
    face_columns,
    face_row,
    result_schema,
)

ROOT = Path(__file__).resolve().parent.parent
VALIDATOR = jsonschema.Draft202012Validator(result_schema())


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(numbers(-1e4, 1e4)), draw(numbers(-1e4, 1e4))
    return Box(x, y, x + draw(numbers(1, 1e4)), y + draw(numbers(1, 1e4)))


@st.composite
def expressions(draw: st.DrawFn) -> ExpressionScores:
    labels = draw(st.lists(st.sampled_from(Expression), min_size=1, unique=True))
    weights = [draw(numbers(0.01, 1)) for _ in labels]
    held = draw(optional(st.sampled_from(labels)))
    shares = np.array(weights, np.float32) / np.float32(sum(weights))
    return ExpressionScores(tuple(labels), shares, uncertain=draw(st.booleans()), held=held)


LANDMARKS = st.builds(
    Landmarks,
    points=st.lists(st.tuples(numbers(-1e3, 1e3), numbers(-1e3, 1e3)), min_size=1, max_size=5),
    scheme=st.sampled_from(["five", "mesh468"]),
    presence=optional(numbers(0, 1)),
)
SHARE, SIGNED, ANGLE = (optional(numbers(*ends)) for ends in ((0, 1), (-1, 1), (-180, 180)))
QUALITY = st.builds(
    Quality,
    size_px=numbers(0, 1e4),
    sharpness=SHARE,
    brightness=SHARE,
    yaw_deg=ANGLE,
    pitch_deg=ANGLE,
    roll_deg=ANGLE,
    presence=SHARE,
    reasons=st.lists(st.text()).map(tuple),
)
TRACKS = st.builds(
    TrackStatistics,
    age_s=numbers(0, 1e5),
    state=st.sampled_from(["clear", "uncertain", "not visible"]),
    blinks=st.integers(0, 1000),
    blink_rate_per_min=SHARE,
    perclos=SHARE,
    eyes_closed_s=numbers(0, 100),
    yawns=st.integers(0, 1000),
    mood_valence=SIGNED,
    mood_arousal=SIGNED,
)
STILL_FACE: dict[str, Any] = {
    "detection": st.builds(Detection, boxes(), numbers(0, 1)),
    "landmarks": optional(LANDMARKS),
    "expression": optional(expressions()),
    "quality": optional(QUALITY),
    "affect": optional(st.builds(Affect, numbers(-1, 1), numbers(-1, 1), st.text())),
    "signals": optional(st.builds(Signals, SHARE, SHARE, SHARE, SIGNED, SHARE)),
    "track_id": optional(st.integers(0)),
}
FACES = st.builds(Face, **STILL_FACE) | st.builds(
    Face, **STILL_FACE, track=TRACKS, expression_raw=optional(expressions())
)
RESULTS = st.builds(
    FrameResult,
    faces=st.lists(FACES, max_size=3).map(tuple),
    image_size_wh=st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)),
    frame_index=optional(st.integers(0)),
    timestamp_s=optional(numbers(0, 1e6)),
    timings_ms=st.dictionaries(st.text(), numbers(0, 1e4)),
    models=st.dictionaries(st.text(), st.text()),
    source=optional(st.text()),
)


@settings(max_examples=25, deadline=None)
@given(result=RESULTS, landmarks=st.booleans())
def test_documents_are_valid_and_make_an_exact_round_trip(
    result: FrameResult, landmarks: bool
) -> None:
    document = result.to_dict(landmarks=landmarks)
    VALIDATOR.validate(document)
    again = FrameResult.from_dict(document)
    assert again.to_dict(landmarks=landmarks) == document
    assert [list(row.items()) for row in again.to_rows()] == [
        list(row.items()) for row in result.to_rows()
    ]


@settings(max_examples=25, deadline=None)
@given(result=RESULTS)
def test_results_make_a_round_trip_up_to_the_declared_rounding(result: FrameResult) -> None:
    again = FrameResult.from_dict(result.to_dict(landmarks=True))
    assert len(again) == len(result)
    for face, other in zip(result, again, strict=True):
        assert np.allclose(face.box.to_array(), other.box.to_array(), atol=0.006)
        assert other.score == pytest.approx(face.score, abs=0.51e-4)
        if face.expression is not None and other.expression is not None:
            assert other.expression.labels == face.expression.labels
            assert other.expression.label is face.expression.label
            assert other.expression.uncertain is face.expression.uncertain
            assert np.allclose(
                other.expression.probabilities, face.expression.probabilities, atol=0.6e-5
            )
        if face.track is not None and other.track is not None:
            rounded = dataclasses.replace(
                face.track,
                age_s=other.track.age_s,
                blink_rate_per_min=other.track.blink_rate_per_min,
                perclos=other.track.perclos,
                eyes_closed_s=other.track.eyes_closed_s,
                mood_valence=other.track.mood_valence,
                mood_arousal=other.track.mood_arousal,
            )
            assert other.track == rounded


def document() -> dict[str, Any]:
    scores = ExpressionScores(tuple(Expression), np.full(8, 0.125, np.float32))
    face = Face(Detection(Box(0, 0, 4, 4), 0.5), expression=scores, quality=Quality(4.0))
    return FrameResult((face,), (8, 8)).to_dict()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ([], [], r"expected result to be an object, got \[\]"),
        (["schema_version"], 2, "expected a result of schema_version 1, got 2"),
        (["image_size_wh"], [8], "expected result.image_size_wh to be 2 items"),
        (["faces"], None, "expected result.faces to be an array, got None"),
        (["faces", 0, "score"], "high", r"expected result.faces\[0\].score to be a number"),
        (["faces", 0, "score"], 1.5, "expected a detection score"),
        (["faces", 0, "box", "x_min"], True, "x_min to be a number, got True"),
        (["faces", 0, "expression", "label"], "", "to be a label, got ''"),
        (["faces", 0, "expression", "probabilities"], {"": 1.0}, "to be a label"),
        (["faces", 0, "quality", "reasons"], "dark", "reasons to be an array, got 'dark'"),
    ],
)
def test_rejects_invalid_documents(path: list[Any], value: Any, message: str) -> None:
    bad: Any = document()
    if path:
        part = bad
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
    else:
        bad = value
    with pytest.raises(InputError, match=message):
        FrameResult.from_dict(bad)


def test_rejects_documents_without_a_required_key() -> None:
    bad = document()
    del bad["faces"][0]["box"]
    with pytest.raises(InputError, match=r"expected result.faces\[0\].box in the document"):
        FrameResult.from_dict(bad)


def test_parts_are_documents_too() -> None:
    box = Box(1, 2, 3, 4)
    assert Box.from_dict(box.to_dict()) == box
    face = Face(Detection(box, 0.5), track_id=3)
    assert Face.from_dict(face.to_dict()) == face


def test_an_empty_result_has_the_same_columns_and_no_rows() -> None:
    pytest.importorskip("pandas")
    result = FrameResult.from_dict(document())
    empty = dataclasses.replace(result, faces=()).to_dataframe()
    assert len(empty) == 0
    assert list(empty.columns) == list(result.to_dataframe().columns)


def test_the_table_of_faces_has_types_and_all_cells() -> None:
    result = FrameResult.from_dict(document())
    row = face_row(result, result[0])
    types = face_columns(Expression)
    assert types["blinks"] is int
    assert types["uncertain"] is bool
    assert types["reasons"] is str
    for name, value in row.items():
        if value is not None and name != "source":
            assert isinstance(value, types[name])


@pytest.mark.parametrize(
    ("tool", "file"),
    [
        ("write_result_types", "client/src/documents.ts"),
        ("write_web_constants", "client/mien-web/src/constants.ts"),
    ],
)
def test_the_typescript_modules_are_up_to_date(tmp_path: Path, tool: str, file: str) -> None:
    written = tmp_path / "written.ts"
    command = [sys.executable, f"tools/{tool}.py", str(written)]
    subprocess.run(command, check=True, cwd=ROOT)
    committed = (ROOT / file).read_text(encoding="utf-8")
    assert committed == written.read_text(encoding="utf-8"), f"run python tools/{tool}.py"


_NEW_FIELD = """    dimples: Annotated[int, Declared("Number of dimples.", minimum=0)] = 2
    reasons: Annotated["""

_EVERY_OUTPUT = """
import io, runpy, sys
from pathlib import Path
from PIL import Image
from typer.testing import CliRunner
import mien.pipeline
from mien.cli.app import app as cli
from mien.testing import FakePipeline, face_image
from mien.types import Box
from mien.web.app import create_app
from mien.web.config import WebConfig
mien.pipeline.FacePipeline = lambda settings: FakePipeline()
photo = io.BytesIO()
Image.fromarray(face_image([(Box(110, 60, 210, 160), "happiness")])).save(photo, "PNG")
Path("face.png").write_bytes(photo.getvalue())
for line in ("image face.png --json --csv out.csv", "schema"):
    done = CliRunner().invoke(cli, line.split(), catch_exceptions=False)
    print(done.stdout.replace(chr(10), " "))
app = create_app(WebConfig(rate_limits=False, data_dir=Path("data")), FakePipeline())
client = app.test_client()
print(client.post("/api/v1/analyze", data=photo.getvalue()).json)
print(client.get("/openapi.json").json)
sys.argv[1:] = ["documents.ts"]
runpy.run_path(TOOL, run_name="__main__")
"""


def test_a_new_field_needs_one_line_in_one_file(tmp_path: Path) -> None:
    pytest.importorskip("flask")
    package = Path(mien.__file__).parent
    shutil.copytree(package, tmp_path / "mien", ignore=shutil.ignore_patterns("dist"))
    declarations = tmp_path / "mien/types/face.py"
    source = declarations.read_text(encoding="utf-8")
    assert source.count("    reasons: Annotated[") == 1
    source = source.replace("    reasons: Annotated[", _NEW_FIELD)
    declarations.write_text(source, encoding="utf-8")

    script = _EVERY_OUTPUT.replace("TOOL", repr(str(ROOT / "tools/write_result_types.py")))
    output = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "MIEN_DATA_DIR": str(tmp_path)},
        cwd=tmp_path,
    ).stdout
    image, schema, api, openapi, *_ = output.splitlines()
    assert '"dimples": 2' in image
    assert '"dimples"' in schema
    header, row = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["dimples"] == "2"
    assert "'dimples': 2" in api
    assert "Number of dimples." in openapi
    typescript = (tmp_path / "documents.ts").read_text(encoding="utf-8")
    assert "  dimples: number;" in typescript
    assert 'name: "dimples", path: ["quality", "dimples"]' in typescript
