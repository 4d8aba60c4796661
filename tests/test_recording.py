"""A recording holds whole lines at every moment, and everything is made again from it."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from mien.errors import InputError, SettingError
from mien.labels import Expression
from mien.media.sources import Frame
from mien.recording import (
    LineFile,
    Recording,
    RecordingSink,
    RunState,
    frame_document,
    read_frames,
)
from mien.streaming import FaceStream
from mien.tables import face_lines, write_tables
from mien.tables.csv_files import csv_to_parquet
from mien.tables.write import _track_lines
from mien.testing import FakePipeline, face_frames
from mien.types import FrameResult, face_columns

pytest.importorskip("lap", reason="tracking needs lapx")


def record(folder: Path, count: int = 50, *, stop: bool = False, kill: bool = False) -> FaceStream:
    """A recording of a fake face, stopped or killed at its last frame."""
    stream = FaceStream(FakePipeline(), source="clip.mp4")
    sink = RecordingSink(folder, RunState(title="clip.mp4", labels=_labels(stream)))
    for index, (image, timestamp_s) in enumerate(face_frames(count)):
        result = stream.update(image, timestamp_s)
        sink.write(Frame(image, timestamp_s, index), result, stream.events)
    if kill:
        sink._file.close()
    else:
        sink.close(stream.finish(), complete=not stop)
    return stream


def _labels(stream: FaceStream) -> tuple[str, ...]:
    return tuple(label.value for label in stream.pipeline.classifier.spec.labels)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_line_file_never_holds_half_a_line(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "lines.txt")
    for number in range(5000):
        file.write(f"{number:06}" * 20 + "\n")
        if number % 500 == 0:
            file.flush()
        text = (tmp_path / "lines.txt").read_text()
        assert text == "" or text.endswith("\n")
    file.close()
    assert len((tmp_path / "lines.txt").read_text().splitlines()) == 5000


def test_every_line_is_the_result_of_a_frame_with_its_events(tmp_path: Path) -> None:
    record(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    assert [line["frame_index"] for line in lines] == list(range(50))
    assert [event["event"] for event in lines[0]["events"]] == ["track_started", "expression"]
    assert [event["event"] for event in lines[-1]["closing_events"]][-1] == "track_ended"
    assert lines[7]["faces"][0]["expression"]["label"] == "neutral"


def test_reading_and_writing_again_gives_the_same_lines(tmp_path: Path) -> None:
    record(tmp_path)
    frames = list(Recording(tmp_path).frames())
    for line, frame in zip(Recording(tmp_path).documents(), frames, strict=True):
        again = frame_document(frame.result, frame.events)
        closing = line.pop("closing_events", [])
        for face in (*line["faces"], *again["faces"]):
            face.pop("landmarks")
        assert again == line
        assert [event.to_dict() for event in frame.closing_events] == closing


def test_tables_begin_with_the_promised_columns_and_are_filled(tmp_path: Path) -> None:
    record(tmp_path)
    assert write_tables(Recording(tmp_path), tmp_path) == 1
    promised = "frame_index,timestamp_s,track_id,x_min,y_min,x_max,y_max,score,expression,"
    assert (tmp_path / "faces.csv").read_text().startswith(promised)
    faces = rows(tmp_path / "faces.csv")
    labels = FakePipeline().classifier.spec.labels
    assert list(faces[0]) == list(face_columns(labels))
    assert float(faces[2]["timestamp_s"]) == pytest.approx(0.08)
    raw = [sum(float(row[f"p_raw_{label.value}"]) for label in labels) for row in faces]
    assert raw == pytest.approx([1.0] * 50, abs=1e-4)
    (track,) = rows(tmp_path / "tracks.csv")
    assert (track["frames"], track["gaps"]) == ("50", "0")
    assert float(track["share_happiness"]) + float(track["share_neutral"]) == pytest.approx(1)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["track_started", "expression", "expression", "episode"]


def test_documents_without_events_give_the_same_tables(tmp_path: Path) -> None:
    record(tmp_path)
    documents = list(Recording(tmp_path).documents())
    plain = [
        {name: value for name, value in line.items() if not name.endswith("events")}
        for line in documents
    ]
    assert "".join(face_lines(plain)) == "".join(face_lines(documents))
    first, second = (
        next(csv.DictReader(_track_lines(e for frame in read_frames(d) for e in frame.all_events)))
        for d in (plain, documents)
    )
    assert list(first) == list(second)
    # Replayed statistics see rounded values.
    for name, value in second.items():
        assert float(first[name] or -1) == pytest.approx(float(value or -1), abs=1e-3)


def test_without_faces_the_tables_are_empty(tmp_path: Path) -> None:
    RecordingSink(tmp_path, RunState()).close((), complete=True)
    assert write_tables(Recording(tmp_path), tmp_path) == 0
    assert rows(tmp_path / "faces.csv") == []
    assert rows(tmp_path / "tracks.csv") == []
    assert (tmp_path / "tracks.csv").read_text().startswith("track_id,first_s,last_s,frames,")


def test_a_killed_run_has_whole_lines_and_tables(tmp_path: Path) -> None:
    record(tmp_path, kill=True)
    assert RunState.read(tmp_path).status == "running"  # type: ignore[union-attr]
    with (tmp_path / "frames.jsonl").open("a") as file:
        file.write('{"frame_index": 49, "fac')
    (tmp_path / "run.json").unlink()
    recording = Recording(tmp_path)
    state = recording.state()
    assert (state.title, state.size_wh, state.frames) == ("clip.mp4", (320, 240), 49)
    assert write_tables(recording, tmp_path) == 1
    (track,) = rows(tmp_path / "tracks.csv")
    assert track["frames"] == "49"
    kinds = [
        json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()
    ]
    assert kinds[-1] == "episode"


@pytest.mark.parametrize("torn", ["", '{"frame_index": 50, "faces"'])
def test_a_cut_recording_continues_after_its_last_frame(tmp_path: Path, torn: str) -> None:
    record(tmp_path, stop=True)
    with (tmp_path / "frames.jsonl").open("a") as file:
        file.write(torn)
    state = Recording(tmp_path).cut(float("inf"))
    assert (state.status, state.frames, state.timestamp_s) == ("running", 50, 1.96)
    text = (tmp_path / "frames.jsonl").read_text()
    assert text.endswith("}\n")
    assert "closing_events" not in text
    assert len(text.splitlines()) == 50
    state = Recording(tmp_path).cut(1.0)
    assert (state.frames, state.frame_index) == (26, 25)
    assert Recording(tmp_path).cut(-1.0).frames == 0
    assert (tmp_path / "frames.jsonl").read_text() == ""


def test_another_plan_cannot_be_resumed(tmp_path: Path) -> None:
    RunState(plan={"every": 1, "start_s": 0.0}).write(tmp_path)
    state = RunState.read(tmp_path)
    assert state is not None
    state.check_plan({"every": 1, "start_s": 0.0})
    with pytest.raises(SettingError, match=r"every.*omit --resume"):
        state.check_plan({"every": 2, "start_s": 0.0})


def test_rejects_folders_and_lines_that_are_not_recordings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"frames\.jsonl"):
        Recording(tmp_path)
    (tmp_path / "frames.jsonl").write_text("nonsense\n")
    with pytest.raises(InputError, match="line 1"):
        list(Recording(tmp_path).documents())


@pytest.mark.parametrize("times", [(1.0, 0.5), (0.0, math.nan), (math.nan,), (math.inf,)])
def test_rejects_frames_in_another_order(times: tuple[float, ...]) -> None:
    documents = [{**FrameResult((), (8, 8)).to_dict(), "timestamp_s": time_s} for time_s in times]
    with pytest.raises(InputError, match="expected frames by time, got"):
        list(read_frames(documents))


def test_parquet_agrees_with_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")
    record(tmp_path)
    write_tables(Recording(tmp_path), tmp_path)
    types = face_columns(Expression)
    csv_to_parquet(tmp_path / "faces.csv", tmp_path / "faces.parquet", types)
    table = parquet.read_table(tmp_path / "faces.parquet")
    assert table.num_rows == 50
    assert table.column("timestamp_s").to_pylist() == pytest.approx([n / 25 for n in range(50)])
    assert set(table.column("uncertain").to_pylist()) <= {True, False}
    assert table.column("reasons").null_count == 50


@pytest.mark.parametrize(
    "line", ["[]", "{}", '"x"', "null", '{"faces": 3}', "{", "9" * 5000, "[" * 100_000]
)
def test_rejects_lines_that_are_no_results(tmp_path: Path, line: str) -> None:
    (tmp_path / "frames.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match="expected"):
        Recording(tmp_path).state()
    with pytest.raises(InputError, match="expected"):
        list(Recording(tmp_path).frames())


def test_the_size_of_a_run_is_that_of_its_first_frame(tmp_path: Path) -> None:
    sink = RecordingSink(tmp_path, RunState(size_wh=(6, 4)))
    for number, shape in enumerate([(6, 4, 3), (8, 8, 3)]):
        image = np.zeros(shape, np.uint8)
        result = FrameResult((), (shape[1], shape[0]), number, number / 10)
        sink.write(Frame(image, number / 10, number), result, ())
    sink.close((), complete=True)
    assert sink.state.size_wh == (4, 6)
