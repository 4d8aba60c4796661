"""The code of the pages runs, in the order of each page, in a clean folder and without a network.

A block in `console` or `py` is only shown: it needs a camera, a server, another library, or runs
until Ctrl-C. One in `r` runs where R is installed. `make docs` runs this file, not `make test`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")
pytest.importorskip("pandas", reason="the dataframe extra is not installed")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python|r)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# tests/e2e/test_examples.py runs those of docs/api.md beside a server.
ELSEWHERE = {"docs/api.md"}
# What a page prints, where that can be known.
WANTED = {
    "docs/index.md": "happiness",
    "docs/get-started.md": "photo.jpg 2 of 4 clear faces smile",
}
# The blocks of a page share a process: a fork of this one, so that mien is loaded once.
RUNNER = """
import json, os, shutil, subprocess, sys, traceback
import mien.pipeline, mien.streaming.video

def run(blocks, folder, output, environment):
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(1, 2)
    os.chdir(folder)
    os.environ.update(environment)
    sys.path.insert(0, os.path.abspath("examples"))
    page = {"__name__": "__main__"}
    for language, code in blocks:
        if language == "sh":
            subprocess.run(["bash", "-euc", code], check=True)
        elif language == "r":
            if shutil.which("Rscript"):
                subprocess.run(["Rscript", "-e", code], check=True)
        else:
            exec(compile(code, code[:60], "exec"), page)

for line in sys.stdin:
    child = os.fork()
    if not child:
        status = 1
        try:
            run(**json.loads(line))
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def runner() -> Iterator[tuple[IO[str], IO[str]]]:
    """Where pages are written, one a line, and where their exit statuses are read."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", RUNNER],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{os.environ.get('PYTHONPATH', '')}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout


def pages() -> dict[str, list[tuple[str, str]]]:
    """The blocks that can run of each page."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = {
        path.relative_to(ROOT).as_posix(): BLOCK.findall(path.read_text(encoding="utf-8"))
        for path in files
    }
    return {page: blocks for page, blocks in found.items() if blocks and page not in ELSEWHERE}


@pytest.mark.parametrize("page", pages())
def test_code_of_page_runs(
    page: str,
    runner: tuple[IO[str], IO[str]],
    tmp_path: Path,
    samples: dict[str, Path],
    sparse_clip: Path,
) -> None:
    folder = tmp_path / "work"
    (folder / "holiday").mkdir(parents=True)
    for place in ("photo.jpg", "a.jpg", "b.jpg", "holiday/one.jpg"):
        shutil.copy(samples["group"], folder / place)
    shutil.copy(samples["person-a-smiling"], folder / "smiling.jpg")
    shutil.copy(samples["person-a-neutral"], folder / "neutral.jpg")
    clips = ("clip.mp4", "drive.mp4", "lesson.mp4", "night.mp4")
    for place in (*clips, "recordings/s01.mp4", "recordings/P1/t1.mp4"):
        (folder / place).parent.mkdir(exist_ok=True)
        shutil.copy(sparse_clip, folder / place)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name, path in samples.items():
        if name != "group":
            label = folder / "pictures" / name.rpartition("-")[2]
            label.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, label)
    command = tmp_path / "bin"
    command.mkdir()
    for name, words in {"mien": "-m mien", "python": ""}.items():
        (command / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (command / name).chmod(0o755)
    source = f"{ROOT / 'src'}:{folder / 'examples'}"
    environment = {
        "PATH": f"{command}:{os.environ['PATH']}",
        "PYTHONPATH": f"{source}:{os.environ.get('PYTHONPATH', '')}",
    }
    output = tmp_path / "output.txt"
    task = {"folder": str(folder), "output": str(output), "environment": environment}
    tasks, statuses = runner
    print(json.dumps({"blocks": pages()[page], **task}), file=tasks, flush=True)
    status = statuses.readline()
    printed = output.read_text(encoding="utf-8")
    assert status == "0\n", printed[-6000:]
    assert WANTED.get(page, "") in printed


def test_the_site_has_every_program() -> None:
    # tools/stage_docs.py adds the programs that a page names.
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    programs = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert programs
    assert [name for name in programs if f"examples/{name}" not in text] == []
