"""``mien video`` and ``mien live`` as a person or a script would call them."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli.app import app

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def short_clip(
    tmp_path_factory: pytest.TempPathFactory,
    write_clip: Callable[..., Path],
    smile_frames: list[tuple[np.ndarray, float]],
) -> Path:
    """The first half second of the sample clip."""
    return write_clip(tmp_path_factory.mktemp("clips") / "short.mp4", smile_frames[:12])


def test_writes_a_folder_per_clip_and_continues_after_a_bad_one(
    tmp_path: Path, short_clip: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "short.mp4").write_bytes(short_clip.read_bytes())
    clips = [str(tmp_path / "bad.mp4"), str(short_clip), str(tmp_path / "other" / "short.mp4")]
    result = RUNNER.invoke(
        app, ["video", *clips, "--out", str(tmp_path / "out"), "--no-annotate", "--every", "3"]
    )
    assert result.exit_code == 1
    assert "bad.mp4" in result.stderr
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == ["short", "short-2"]
    for name in ("short", "short-2"):
        with (tmp_path / "out" / name / "faces.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["frame_index"] for row in rows] == ["0", "3", "6", "9"]
        assert (tmp_path / "out" / name / "report.html").is_file()


def test_rejects_an_end_before_the_start(tmp_path: Path, short_clip: Path) -> None:
    words = ["video", str(short_clip), "--out", str(tmp_path), "--start", "5", "--end", "2"]
    assert RUNNER.invoke(app, words).exit_code == 2


@pytest.mark.e2e
def test_an_interrupted_and_resumed_run_has_each_frame_once(
    tmp_path: Path, smile_clip: Path
) -> None:
    words = [sys.executable, "-m", "mien", "video", str(smile_clip), "--out", str(tmp_path)]
    folder = tmp_path / smile_clip.stem
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not (folder / "run.json").is_file():
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=600)
    assert child.returncode == 130, stderr
    assert "--resume" in stderr
    state = json.loads((folder / "run.json").read_text())
    with (folder / "faces.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == state["frames"]
    assert state["status"] == "partial"
    subprocess.run([*words, "--resume"], check=True)
    with (folder / "faces.csv").open(newline="") as file:
        assert [int(row["frame_index"]) for row in csv.DictReader(file)] == list(range(75))


def test_live_prints_results_as_json_lines(short_clip: Path) -> None:
    result = RUNNER.invoke(app, ["live", "--camera", str(short_clip), "--json"])
    assert result.exit_code == 0
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert 1 <= len(documents) <= 12
    assert documents[0]["schema_version"] == 1
    assert documents[0]["faces"][0]["track_id"] == 1


def test_live_sends_events_to_a_command_and_writes_a_recording(
    tmp_path: Path, short_clip: Path
) -> None:
    log = tmp_path / "events.jsonl"
    script = f"import sys; open({str(log)!r}, 'a').write(sys.stdin.read() + chr(10))"
    words = ["live", "--camera", str(short_clip), "--record", str(tmp_path / "rec")]
    words += ["--on-event", f'{sys.executable} -c "{script}"']
    assert RUNNER.invoke(app, words).exit_code == 0
    kinds = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert kinds[0] == "track_started"
    assert kinds[-1] == "track_ended"
    written = sorted(path.name for path in (tmp_path / "rec").iterdir())
    tables = ["events.csv", "events.jsonl", "faces.csv", "frames.csv", "frames.jsonl"]
    pages = ["report.html", "run.json", "thumbnails", "tracks.csv"]
    assert written == ["annotated.mp4", *tables, *pages]
    recorded = (tmp_path / "rec" / "events.jsonl").read_text().splitlines()
    assert json.loads(recorded[0])["event"] == "track_started"


def test_report_makes_the_same_tables_again(tmp_path: Path, short_clip: Path) -> None:
    words = ["video", str(short_clip), "--out", str(tmp_path), "--no-annotate"]
    assert RUNNER.invoke(app, words).exit_code == 0
    first, again = tmp_path / "short", tmp_path / "again"
    # The recorded frames alone are enough.
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "frames.jsonl").write_bytes((first / "frames.jsonl").read_bytes())
    result = RUNNER.invoke(app, ["report", str(tmp_path / "only"), "--out", str(again)])
    assert result.exit_code == 0
    assert "1 track" in result.stdout
    for name in ("faces.csv", "tracks.csv", "events.jsonl"):
        assert (again / name).read_bytes() == (first / name).read_bytes()
    assert "Person 1" in (again / "report.html").read_text()


def test_report_warns_of_a_recording_that_lost_frames(tmp_path: Path, short_clip: Path) -> None:
    words = ["video", str(short_clip), "--out", str(tmp_path), "--no-annotate"]
    assert RUNNER.invoke(app, words).exit_code == 0
    frames = tmp_path / "short" / "frames.jsonl"
    whole = frames.read_bytes().splitlines(keepends=True)
    for left in (whole, whole[:1], []):
        frames.write_bytes(b"".join(left))
        words = ["report", str(frames.parent), "--out", str(tmp_path / f"only{len(left)}")]
        result = RUNNER.invoke(app, words)
        assert result.exit_code == 0
        warning = f"has {len(left)} of the {len(whole)} frames of the run"
        assert (warning in " ".join(result.stderr.split())) == (left is not whole)


def test_report_warns_of_a_damaged_state_of_the_run(tmp_path: Path, short_clip: Path) -> None:
    words = ["video", str(short_clip), "--out", str(tmp_path), "--no-annotate"]
    assert RUNNER.invoke(app, words).exit_code == 0
    state = tmp_path / "short" / "run.json"
    for index, damage in enumerate([state.read_bytes(), b"{", b"{}", b"[]", b"\xff\xfe", b""]):
        state.write_bytes(damage)
        words = ["report", str(state.parent), "--out", str(tmp_path / f"again{index}")]
        result = RUNNER.invoke(app, words)
        assert result.exit_code == 0
        assert ("run.json cannot be read" in " ".join(result.stderr.split())) == (index > 0)
        page = (tmp_path / f"again{index}" / "report.html").read_text()
        assert ("run.json cannot be read" in page) == (index > 0)
    # A recording needs no such file.
    state.unlink()
    result = RUNNER.invoke(app, ["report", str(state.parent), "--out", str(tmp_path / "none")])
    assert (result.exit_code, result.stderr) == (0, "")


def test_report_rejects_folders_without_a_recording(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "frames.jsonl" in result.stderr


def test_an_application_of_the_eyes_prints_its_limits_and_predicts_no_expression(
    short_clip: Path,
) -> None:
    words = ["live", "--camera", str(short_clip), "--json", "--application", "driver"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 0
    assert "Not a safety device" in result.stderr
    document = json.loads(result.stdout.splitlines()[0])
    assert document["faces"][0]["expression"] is None
    assert document["models"]["expression"] == "none"


def test_a_camera_is_not_started_without_confirmation() -> None:
    result = RUNNER.invoke(app, ["live"])
    assert result.exit_code == 2
    assert "--yes" in result.stderr


def test_names_a_missing_camera() -> None:
    result = RUNNER.invoke(app, ["live", "--camera", "97", "--yes"])
    assert result.exit_code == 1
    assert "camera 97" in result.stderr
