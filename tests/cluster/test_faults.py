"""What inputs, disks and killed processes do to a run."""

import contextlib
import gc
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from tests.cluster.conftest import rows, run

from mien.cluster.attempts import SCRATCH, Journal, delete_left_scratch
from mien.cluster.folder import Folder
from mien.cluster.inputs import Input, find_inputs
from mien.cluster.output import batch_status
from mien.cluster.plan import Part, make_plan
from mien.cluster.storage import StorageError
from mien.cluster.worker import Worker, WorkSettings
from mien.config import Settings
from mien.errors import SettingError
from mien.streaming.outputs import LOCK_FILE, locked
from mien.testing import FakePipeline

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_an_input_that_ends_the_process_twice_is_a_failure(images: Path, tmp_path: Path) -> None:
    plan = make_plan(find_inputs([str(images)]), workers=1, part_size=3)
    out, part = tmp_path / "out", plan.part(0)
    for _ in range(2):  # What two processes leave that die in the second input.
        Journal(Folder(str(out)), part).start(part.inputs[1])
    worker = Worker(WorkSettings(str(out), Settings(), {}), FakePipeline())
    commit = worker.run(part, careful=True)
    assert commit["counts"]["failures"] == 1
    (failure,) = rows(out, "failures")
    assert failure["uri"] == part.inputs[1].uri
    assert "ended the process of its worker 2 times" in str(failure["error"])
    assert len(rows(out, "faces")) == 2
    assert list((out / "attempts").iterdir()) == []


def test_a_shard_that_ends_the_process_while_it_is_read(images: Path, tmp_path: Path) -> None:
    """The files before are analyzed."""
    path, out = tmp_path / "a.tar", tmp_path / "out"
    with tarfile.open(path, "w") as shard:
        for number in range(4):
            shard.add(images / f"{number}.png", f"{number}.png")
    part = make_plan(find_inputs([str(path)]), workers=1).part(0)
    program = f"""
import os, sys
from mien.cluster import worker
from mien.cluster.inputs import find_inputs
from mien.cluster.plan import make_plan
from mien.config import Settings
from mien.testing import FakePipeline

def dying(event, arguments):
    # The third file is taken out of the shard.
    if event == "open" and str(arguments[0]).endswith("member.png") and arguments[1] == "w":
        opened.append(1)
        if len(opened) == 3:
            os._exit(9)

opened = []
sys.addaudithook(dying)
part = make_plan(find_inputs([{str(path)!r}]), workers=1).part(0)
work = worker.WorkSettings({str(out)!r}, Settings(), {{}})
worker.Worker(work, FakePipeline()).run(part, careful=True)
"""
    command = [sys.executable, "-c", program]
    for total in (1, 2):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 9, ran.stderr
        assert Journal(Folder(str(out)), part).total == total
    worker = Worker(WorkSettings(str(out), Settings(), {}), FakePipeline())
    worker.run(part, careful=True)
    assert [row["uri"] for row in rows(out, "frames")] == [f"{path}#0.png", f"{path}#1.png"]
    (failure,) = rows(out, "failures")
    assert failure["uri"] == str(path)
    assert "the shard cannot be read: ended the process of its worker 2 times" in str(
        failure["error"]
    )


def test_an_output_that_cannot_be_written_is_no_failure_of_an_input(
    images: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "out"
    blocked.write_text("a file in the way")
    plan = make_plan(find_inputs([str(images)]), workers=1)
    with pytest.raises(StorageError, match="--resume"):
        run(plan, blocked)
    with pytest.raises(SettingError, match="expected --out to be a folder"):
        Folder(str(blocked)).make()


def test_what_a_killed_process_leaves_is_hidden_and_deleted(images: Path, tmp_path: Path) -> None:
    out = Folder(str(tmp_path / "out"))
    run(make_plan(find_inputs([str(images)]), workers=1), tmp_path / "out")
    faces = parquet.read_table(tmp_path / "out" / "faces").num_rows
    writing = out._writing("faces/part-000009.parquet")
    with contextlib.suppress(KeyboardInterrupt), writing as file:
        file.write(b"half")
        (partial,) = (tmp_path / "out" / "faces").glob(".*.partial")
        shutil.copy(partial, copy := partial.with_name(f".copy{partial.suffix}"))
        raise KeyboardInterrupt
    assert parquet.read_table(tmp_path / "out" / "faces").num_rows == faces
    assert (partial.exists(), copy.exists()) == (False, True)
    out.delete_partial()
    assert not copy.exists()


def test_deletes_scratch_folders_of_killed_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used, left, new = (tmp_path / f"{SCRATCH}{name}" for name in ("used", "left", "new"))
    new.mkdir()
    left.mkdir()
    (left / LOCK_FILE).touch()
    with locked(used):
        delete_left_scratch()
        # Perhaps not locked yet.
        assert sorted(tmp_path.iterdir()) == [left, new, used]
        for folder in (left, used):
            os.utime(folder / LOCK_FILE, (0, 0))
        delete_left_scratch()
        assert sorted(tmp_path.iterdir()) == [new, used]


def test_an_input_that_hangs_ends_the_process(images: Path, tmp_path: Path) -> None:
    program = f"""
import time
from mien.cluster.inputs import Input
from mien.cluster.plan import Part
from mien.cluster.worker import Worker, WorkSettings
from mien.config import Settings
from mien.streaming.outputs import LOCK_FILE, locked
from mien.testing import FakePipeline

class Hanging(FakePipeline):
    def analyze_opened(self, image):
        time.sleep(600)

part = Part(0, (Input("0.png", {str(images / "0.png")!r}),))
work = WorkSettings({str(tmp_path / "out")!r}, Settings(), {{}})
Worker(work, Hanging(), stall_s=1).run(part, careful=True)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert "Timeout" in ran.stderr
    part = Part(0, (Input("0.png", str(images / "0.png")),))
    assert Journal(Folder(str(tmp_path / "out")), part).crashes(part.inputs[0]) == 1


def test_a_damaged_state_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"")
    with pytest.raises(SettingError, match=r"expected JSON in .*run\.json, got .*restore the file"):
        batch_status(str(tmp_path))


def test_a_full_disk_stops_the_run_and_is_no_failure_of_an_input(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(out)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    plan = make_plan(find_inputs([str(images)]), workers=1, part_size=3)
    try:
        with contextlib.suppress(OSError), (out / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        with pytest.raises(StorageError, match=r"No space left on device.*--resume"):
            run(plan, out)
        (out / "filler").unlink()
        run(plan, out)
        found = [str(row["uri"]) for table in ("frames", "failures") for row in rows(out, table)]
        left = list(out.rglob("*.partial"))
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)
    assert len(found) == len(set(found)) == plan.inputs
    assert left == []


@pytest.mark.parametrize("full", ["member", "lock", "plan"])
def test_a_full_scratch_disk_stops_the_run_and_is_no_failure_of_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """Also without a traceback from a file that is closed."""
    scratch, shard = tmp_path / "scratch", tmp_path / "a.tar"
    scratch.mkdir()
    (tmp_path / "large.png").write_bytes(bytes(2 << 20))
    with tarfile.open(shard, "w") as made:
        made.add(tmp_path / "large.png", "large.png")
    size = {"member": "1m", "lock": "4k", "plan": "8k"}[full]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(scratch)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    many = (Input(f"{n:0600}", f"{n}") for n in range(60))
    found = many if full == "plan" else find_inputs([str(shard)])
    try:
        with pytest.raises(StorageError, match=r"expected room in .*set TMPDIR"):
            run(make_plan(found, workers=1), tmp_path / "out")
        gc.collect()
    finally:
        subprocess.run(["umount", "-l", str(scratch)], check=True)


def test_storage_that_does_not_answer_stops_the_run_and_is_no_failure_of_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        found = [Input(uri, uri) for uri in ("s3://silent/a.mp4", "s3://silent/b.png")]
        warnings: list[str] = []
        plan = make_plan(found, workers=1, segment_s=600, on_warning=warnings.append)
        assert len(plan) == 2
        (warning,) = warnings
        assert warning.startswith("one worker analyzes the whole video, of unknown length: s3://")
        for number in range(2):
            worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), FakePipeline())
            with pytest.raises(StorageError, match=r"s3://silent/.* to answer, .* use --resume"):
                worker.run(plan.part(number))
    assert not (tmp_path / "out" / "commits").exists()
