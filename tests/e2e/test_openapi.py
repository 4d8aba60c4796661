"""The API checked against its OpenAPI description by schemathesis."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def test_schemathesis_finds_no_problem(server: Any, missing: Callable[[str], Any]) -> None:
    if find_spec("schemathesis") is None:
        missing("schemathesis: the dependency group e2e")
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
            "--checks", "all",
            # A schema cannot say which bytes are an image.
            "--exclude-checks", "positive_data_acceptance",
            "--max-examples", "25", "--phases", "examples,coverage,fuzzing",
            "--generation-deterministic", "--request-timeout", "30",
        ],
        capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
