"""The examples of docs/api.md, run unchanged."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(
    r"```(sh|python|js)\n(.*?)```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.DOTALL
)
COMMANDS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "js": ["node", "--input-type=module", "-e"],
}
WANTED = [
    '"label":"happiness"',
    "happiness",
    "happiness",
    "happiness",
    '"results"',
    "track_id",
    "",
    "",
]


@pytest.mark.parametrize(
    ("language", "code", "wanted"),
    [(language, code, word) for (language, code), word in zip(EXAMPLES, WANTED, strict=True)],
)
def test_example_works(
    server: Any, missing: Callable[[str], Any], language: str, code: str, wanted: str
) -> None:
    command = COMMANDS[language]
    if shutil.which(command[0]) is None:
        missing(command[0])
    here = code.replace("http://localhost:8000", server.url)
    done = subprocess.run(
        [*command, here], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert wanted in done.stdout
