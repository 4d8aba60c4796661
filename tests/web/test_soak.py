"""Memory use with many clients that connect and disconnect; run by `make soak`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_memory_is_stable_with_200_clients(tmp_path: Path) -> None:
    output = tmp_path / "soak.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "web" / "load.py"), "--soak", "600"]
    subprocess.run([*command, "--json", str(output)], check=True)
    report = json.loads(output.read_text())
    assert len(report["memory_pss_mb"]) > 30
    assert report["growth_mb"] < 20
    # The server answered some clients and refused others, and /healthz always answered.
    assert min(report["answered"], report["full"]) > 0
    assert report["healthz_worst_ms"] < 10_000
