"""The built client: which files belong to which page. Absent where it was not built."""

import json
from functools import cache
from pathlib import Path
from typing import Any

_DIST = Path(__file__).parent / "static" / "dist"


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """Vite's manifest; empty where the client was not built."""
    path = _DIST / ".vite" / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def is_built() -> bool:
    """Whether the browser client was built."""
    return bool(manifest())


def script(name: str) -> str | None:
    """The script of a page, below `static/`; None where the client was not built."""
    entry = manifest().get(f"src/{name}.ts")
    return f"dist/{entry['file']}" if entry else None


def styles(name: str) -> list[str]:
    """The style sheets that a page's script and its shared parts bring, below `static/`."""
    sheets: list[str] = []
    pending = [f"src/{name}.ts"]
    while pending:
        entry: dict[str, Any] = manifest().get(pending.pop(), {})
        sheets += entry.get("css", [])
        pending += entry.get("imports", [])
    return [f"dist/{sheet}" for sheet in sheets]
