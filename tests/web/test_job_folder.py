"""A job's private folder, and what becomes of it when its worker is killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mien.web.jobs import job_folder, remove_abandoned_folders

_HOLD = """
import sys, time
from mien.web.jobs import job_folder
with job_folder() as folder:
    (folder / "walk.mp4").write_bytes(b"a video")
    print(folder, flush=True)
    time.sleep(60)
"""


def _grow_old(folder: Path) -> None:
    os.utime(folder, (0, 0))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_ours_alone_and_goes_at_the_end(temporary: Path) -> None:
    with job_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
        _grow_old(folder)
        remove_abandoned_folders()
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_what_a_killed_worker_left_goes(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        folder = Path(worker.stdout.readline().strip())
        _grow_old(folder)
        remove_abandoned_folders()
        assert (folder / "walk.mp4").is_file()
        worker.send_signal(signal.SIGKILL)
    # One that was just made may not be locked yet.
    young = temporary / "mien-job-young"
    young.mkdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / "mien-job-link").symlink_to(elsewhere)
    remove_abandoned_folders()
    assert not folder.exists()
    assert young.is_dir()
    assert elsewhere.is_dir()
