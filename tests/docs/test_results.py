"""The pages of results have tables and plots that exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]


def test_every_table_of_results_has_a_place() -> None:
    code = (
        "import json, result_tables\n"
        "print(json.dumps({name: make() for name, make in result_tables.TABLES.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    tables = json.loads(done.stdout)
    placed = [
        name
        for page in PAGES
        for name in re.findall(r"<!-- table: ([a-z-]+) -->", page.read_text(encoding="utf-8"))
    ]
    assert sorted(placed) == sorted(tables)
    for text in tables.values():
        rows = [line.count("|") for line in text.splitlines()]
        assert len(rows) > 2
        assert len(set(rows)) == 1


def test_every_image_is_used() -> None:
    used = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    images = [path for path in (ROOT / "docs/images").iterdir() if path.name not in used]
    assert images == []
