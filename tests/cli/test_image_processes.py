"""``mien image`` in a process of its own: interrupted, without a reader, a disk or memory."""

import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from mien.types import result_schema

DOCUMENT = jsonschema.Draft202012Validator({**result_schema(), "$ref": "#/$defs/document"})


def linked(picture: Path, folder: Path, count: int) -> Path:
    """A folder with many hard links to one image."""
    folder.mkdir()
    first = folder / f"0{picture.suffix}"
    shutil.copy(picture, first)
    for number in range(1, count):
        os.link(first, folder / f"{number}{picture.suffix}")
    return folder


def test_exits_when_the_reader_closes_the_pipe(
    start_mien: Any, group: Path, tmp_path: Path
) -> None:
    folder = linked(group, tmp_path / "many", 300)
    with start_mien("image", folder, "--jsonl") as running:
        assert json.loads(running.stdout.readline())["faces"]
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_leaves_a_complete_document(start_mien: Any, group: Path, tmp_path: Path) -> None:
    folder = linked(group, tmp_path / "many", 3000)
    csv_file = tmp_path / "faces.csv"
    with start_mien("image", folder, "--json", "--csv", csv_file) as running:
        while not csv_file.exists() or csv_file.read_text().count("\n") < 3:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        printed, errors = running.communicate(timeout=600)
    assert running.returncode == 130
    assert errors == "Error: interrupted\n"
    document = json.loads(printed)
    DOCUMENT.validate(document)
    assert 1 <= len(document["results"]) < 3000
    faces = sum(len(result["faces"]) for result in document["results"])
    assert csv_file.read_text().count("\n") == faces + 1


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"


@pytest.mark.parametrize(("option", "name"), [("--csv", "faces.csv"), ("--annotate", "group.jpg")])
def test_a_full_disk_is_reported_with_the_file(
    start_mien: Any, group: Path, tmp_path: Path, option: str, name: str
) -> None:
    path = tmp_path / name if option == "--csv" else tmp_path
    with start_mien("image", *([group] * 9), option, path, setup=LIMIT) as running:
        _, errors = running.communicate(timeout=600)
    assert running.returncode == 1
    assert errors == f"Error: {tmp_path / name}: {os.strerror(errno.EFBIG)}\n"
    assert (tmp_path / name).exists() == (option == "--csv")


PRINT_PEAK = r"""
import atexit, re, sys

def print_peak():
    # Not ru_maxrss: it starts at the memory of the parent process at the fork.
    with open("/proc/self/status") as status:
        print(re.search(r"VmHWM:\s+(\d+)", status.read())[1], file=sys.stderr)

atexit.register(print_peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_number_of_images(start_mien: Any, tmp_path: Path) -> None:
    picture = tmp_path / "gray.png"
    Image.new("RGB", (600, 600), "gray").save(picture)
    peaks_kb = []
    for count in (3, 23):
        folder = linked(picture, tmp_path / str(count), count)
        with start_mien("image", folder, "--jsonl", setup=PRINT_PEAK) as running:
            printed, peak = running.communicate(timeout=600)
        assert printed.count("\n") == count
        peaks_kb.append(int(peak))
    # A decoded image takes 1 MB; only its path is kept.
    assert peaks_kb[1] - peaks_kb[0] < 12_000
