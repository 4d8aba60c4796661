"""The code of Home and Get started runs, in the order of the page, without a network."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")
pytest.importorskip("pandas", reason="the dataframe extra is not installed")

ROOT = Path(__file__).parents[2]
# A block in the language `console` is only shown: it needs a camera, or runs until Ctrl-C.
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "wanted"),
    [("index", "happiness"), ("get-started", "photo.jpg 2 of 4 clear faces smile")],
)
def test_code_of_page_runs(
    page: str, wanted: str, tmp_path: Path, samples: dict[str, Path], smile_clip: Path
) -> None:
    shutil.copy(samples["group"], tmp_path / "photo.jpg")
    shutil.copy(smile_clip, tmp_path / "clip.mp4")
    for name, path in samples.items():
        if name != "group":
            folder = tmp_path / "pictures" / name.rpartition("-")[2]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
    blocks = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    assert len(blocks) > 2
    shell = "\n".join(code for language, code in blocks if language == "sh")
    command = tmp_path / "bin" / "mien"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m mien "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}
    run(["bash", "-euc", shell], tmp_path, environment)
    assert (tmp_path / "results/clip/report.html").is_file()
    program = "\n".join(code for language, code in blocks if language == "python")
    assert wanted in run([sys.executable, "-W", "error", "-c", program], tmp_path, environment)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
