"""One run at a time in a folder, and only files of mien are deleted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mien.errors import SettingError
from mien.streaming.outputs import LOCK_FILE, check_unused, delete_results, locked

HOLD = """
import sys, time
from pathlib import Path
from mien.streaming.outputs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_is_refused_until_its_process_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(SettingError, match=f"process {child.pid} writes"), locked(tmp_path):
            pass
        child.kill()
    assert (tmp_path / LOCK_FILE).exists()
    with locked(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text().strip() == str(os.getpid())
    assert not (tmp_path / LOCK_FILE).exists()


def test_two_runs_in_one_process_are_refused_too(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(SettingError, match="no other run"), locked(tmp_path):
        pass


def test_only_results_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "crops" / "1").mkdir(parents=True)
    for name in (
        "faces.csv",
        "run.json",
        "faces.parquet",
        "thumbnails/1.jpg",
        "crops/1/000001.jpg",
        "annotated.part-000000000000.mp4",
        "faces.csv.partial",
    ):
        (tmp_path / name).write_text("old")
    for name in ("notes.txt", "faces-final.csv", "crops/mine.png"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(SettingError, match="--overwrite"):
        check_unused(tmp_path)
    delete_results(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["crops", "crops/mine.png", "faces-final.csv", "notes.txt"]
