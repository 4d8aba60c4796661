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


def test_each_clip_gets_a_folder_and_a_bad_one_does_not_stop_the_rest(
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
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["short", "short-2"]
    for name in ("short", "short-2"):
        with (tmp_path / "out" / name / "faces.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["frame_index"] for row in rows] == ["0", "3", "6", "9"]
        assert (tmp_path / "out" / name / "report.html").is_file()


def test_an_end_before_the_start_is_wrong_usage(tmp_path: Path, short_clip: Path) -> None:
    words = ["video", str(short_clip), "--out", str(tmp_path), "--start", "5", "--end", "2"]
    assert RUNNER.invoke(app, words).exit_code == 2


@pytest.mark.e2e
def test_ctrl_c_finishes_the_frame_in_hand_and_a_resumed_run_has_each_frame_once(
    tmp_path: Path, smile_clip: Path
) -> None:
    words = [sys.executable, "-m", "mien", "video", str(smile_clip), "--out", str(tmp_path)]
    folder = tmp_path / smile_clip.stem
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (folder / "run.json").is_file():
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
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


def test_live_tells_a_command_of_events_and_records_when_asked(
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
    assert (tmp_path / "rec" / "annotated.mp4").is_file()


def test_a_preset_of_the_eyes_states_its_limits_and_reads_no_expression(short_clip: Path) -> None:
    words = ["live", "--camera", str(short_clip), "--json", "--application", "driver"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 0
    assert "Not a safety device" in result.stderr
    document = json.loads(result.stdout.splitlines()[0])
    assert document["faces"][0]["expression"] is None
    assert document["models"]["expression"] == "none"


def test_a_camera_is_not_started_unasked() -> None:
    result = RUNNER.invoke(app, ["live"])
    assert result.exit_code == 2
    assert "--yes" in result.stderr


def test_a_camera_that_is_not_there_is_named() -> None:
    result = RUNNER.invoke(app, ["live", "--camera", "97", "--yes"])
    assert result.exit_code == 1
    assert "camera 97" in result.stderr
