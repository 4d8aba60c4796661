"""MODELS.md says what the models' specs and the results say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_tables_match_specs_and_results() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tools'); import write_model_tables as tool\n"
        "for path, page in tool.pages().items():\n"
        "    now = path.read_text(encoding='utf-8')\n"
        "    assert now == page, f'{path}: run python tools/write_model_tables.py'"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
