"""Memory while very many clients come and go; run by `make soak`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_memory_is_flat_while_200_clients_come_and_go(tmp_path: Path) -> None:
    output = tmp_path / "soak.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "web" / "load.py"), "--soak", "600"]
    subprocess.run([*command, "--json", str(output)], check=True)
    report = json.loads(output.read_text())
    assert len(report["memory_pss_mb"]) > 30
    assert report["growth_mb"] < 20
    # The server answered, told others to slow down or to come back, and health was always known.
    assert min(report["answered"], report["full"]) > 0
    assert report["healthz_worst_ms"] < 10_000
