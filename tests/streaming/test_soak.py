"""Memory over an hour of video; run by hand, with the result in benchmarks/results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_memory_is_bounded_over_an_hour_of_video(tmp_path: Path) -> None:
    output = tmp_path / "soak.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "streams"), "soak"]
    subprocess.run([*command, "--minutes", "60", "--output", str(output)], check=True)
    figures = json.loads(output.read_text())["figures"]
    assert figures["frames"] == 36_000
    assert figures["growth_mb"] < 20
