"""Every column of every table and every kind of event is declared, and docs/tables.md has them."""

import csv
import io
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from mien.labels import Expression
from mien.media.sources import Frame
from mien.recording import Recording, RecordingSink, RunState
from mien.streaming import FaceStream
from mien.tables import TableOptions, Trial, write_tables
from mien.tables.columns import EVENTS, tables
from mien.tables.combined import ClipTables, write_combined
from mien.testing import FakeLandmarks, FakePipeline, face_frames
from mien.tracking.events import _EventKind

pytest.importorskip("lap", reason="tracking needs lapx")

ROOT = Path(__file__).parents[2]
DECLARED = {name: columns for name, _, columns in tables()}


def header(path: Path) -> list[str]:
    return next(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


def undeclared(name: str, columns: Iterable[str]) -> list[str]:
    """The columns that the declaration of a table lacks."""
    known = set()
    for column in DECLARED[name]:
        if "LABEL" in column:
            known |= {column.replace("LABEL", label.value) for label in Expression}
        elif "_N_" in column:
            known |= {column.replace("N", str(number)) for number in range(468)}
        else:
            known.add(column)
    return [column for column in columns if column not in known]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tables of a recording with a blink."""
    folder = tmp_path_factory.mktemp("recording")
    landmarks = FakeLandmarks()
    stream = FaceStream(FakePipeline(landmarks=landmarks), source="clip.mp4")
    labels = tuple(label.value for label in Expression)
    sink = RecordingSink(folder, RunState(labels=labels), landmarks=True)
    for index, (image, timestamp_s) in enumerate(face_frames(60)):
        landmarks.eye_opening = 0.05 if 40 <= index < 45 else 0.3
        result = stream.update(image, timestamp_s)
        sink.write(Frame(image, timestamp_s, index), result, stream.events)
    sink.close(stream.finish(), complete=True)
    options = TableOptions(landmarks=True, trials=(Trial("one", 0.0, 1.0),))
    assert write_tables(Recording(folder), folder, options) == 1
    return folder


def test_every_column_of_a_recording_is_declared(folder: Path) -> None:
    files = sorted(path.name for path in folder.glob("*.csv"))
    assert files == sorted(set(DECLARED) - {"clips.csv", "groups.csv"})
    for name in files:
        columns = header(folder / name)
        assert undeclared(name, columns) == []
        if name not in ("faces.csv", "landmarks.csv"):
            assert columns == list(DECLARED[name])


def test_every_detail_of_a_track_is_in_its_table(folder: Path) -> None:
    for frame in Recording(folder).frames():
        for event in (*frame.events, *frame.closing_events):
            assert event.kind in EVENTS
            if event.kind == "track_ended":
                assert list(event.details) == list(DECLARED["tracks.csv"])


def test_every_column_over_clips_is_declared(folder: Path, tmp_path: Path) -> None:
    clips = [ClipTables("a.mp4", folder, "complete", columns={"person": "P1", "frames": "x"})]
    write_combined(tmp_path, clips, group="person")
    columns = header(tmp_path / "clips.csv")
    assert columns[:3] == ["clip", "person", "list_frames"]
    assert undeclared("clips.csv", [*columns[:1], *columns[3:]]) == []
    assert undeclared("groups.csv", header(tmp_path / "groups.csv")[1:]) == []


def test_every_kind_of_event_is_declared() -> None:
    assert set(EVENTS) == set(get_args(_EventKind))


def test_every_column_has_a_description() -> None:
    for name, columns in DECLARED.items():
        assert [column for column, text in columns.items() if not text] == [], name


def test_the_page_matches_the_declarations() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tools'); import write_tables_page as tool\n"
        "now = tool.PAGE.read_text(encoding='utf-8')\n"
        "assert now == tool.page(), 'run python tools/write_tables_page.py'"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
