"""The notebooks run from start to end; `make docs` installs what most of them need.

A notebook that needs torch or Ray names it in its metadata. `make docs` skips it, and `make e2e`
runs its code without Jupyter.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples/notebooks").glob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def needs(path: Path) -> list[str]:
    """The modules that a notebook needs beyond those of `make docs`."""
    found: list[str] = read(path)["metadata"].get("mien", {}).get("needs", [])
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="the group docs is not installed")
    nbformat = pytest.importorskip("nbformat", reason="the group docs is not installed")
    pytest.importorskip("ipykernel", reason="the group docs is not installed")
    for module in needs(path):
        pytest.importorskip(module, reason=f"needs {module}; `make e2e` runs its code")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()


@pytest.mark.e2e
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if needs(p)], ids=lambda path: path.stem)
def test_code_runs_without_jupyter(path: Path, tmp_path: Path) -> None:
    for module in needs(path):
        pytest.importorskip(module)
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_committed_and_small(path: Path) -> None:
    assert path.stat().st_size < 200_000
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert any(cell["outputs"] for cell in cells)
