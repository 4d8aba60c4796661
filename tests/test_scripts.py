"""The scripts of benchmarks, tools and examples import names that exist."""

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("benchmarks", "tools", "examples")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_imports_exist(script: Path) -> None:
    tree = ast.parse((ROOT / script).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        name = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        needs_torch = name.startswith("mien.training") and find_spec("torch") is None
        if not isinstance(node, ast.ImportFrom) or not name.startswith("mien") or needs_torch:
            continue
        module = importlib.import_module(name)
        for alias in node.names:
            if not hasattr(module, alias.name):
                importlib.import_module(f"{name}.{alias.name}")
