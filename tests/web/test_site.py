"""Exporting the static site."""

import json
import re
from pathlib import Path

import pytest

from mien.errors import InputError, ModelFileError
from mien.runtime import catalog
from mien.web import site


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library as the build leaves it, so that this test needs no Node."""
    library = tmp_path / "device"
    for name in ("mien-web.js", "mien-worker.js", "runtime/ort.wasm", "site/site.js"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text(name, encoding="utf-8")
    static = Path(__file__).parents[2] / "client/mien-web/site/static"
    for path in static.iterdir():
        (library / "site" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(site, "_LIBRARY", library)
    return library


def test_the_site_is_complete_and_lists_its_files(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    files = site.export_site(folder)
    written = {path.relative_to(folder).as_posix() for path in files}
    assert {"index.html", "site.js", "mien-web.js", "runtime/ort.wasm"} <= written
    assert f"models/{catalog.STREAM_EXPRESSION_MODEL}.onnx" in written
    worker = (folder / "service-worker.js").read_text(encoding="utf-8")
    listed = json.loads(re.findall(r"FILES = (\[.*\]);", worker)[0])
    assert set(listed) == written - {"service-worker.js"} | {"./"}
    for name in re.findall(r'(?:src|href)="([^"]+)"', (folder / "index.html").read_text("utf-8")):
        assert (folder / name).is_file()


def test_a_new_version_has_another_name_and_replaces_the_old(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    site.export_site(folder)
    first = (folder / "service-worker.js").read_text(encoding="utf-8")
    site.export_site(folder)
    assert (folder / "service-worker.js").read_text(encoding="utf-8") == first
    (built / "mien-web.js").write_text("changed", encoding="utf-8")
    site.export_site(folder)
    assert (folder / "service-worker.js").read_text(encoding="utf-8") != first


def test_other_files_are_not_touched(built: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="expected an empty folder"):
        site.export_site(tmp_path / "own")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="got the file"):
        site.export_site(tmp_path / "own" / "thesis.txt")


def test_a_client_that_is_not_built_is_reported(built: Path, tmp_path: Path) -> None:
    (built / "mien-web.js").unlink()
    with pytest.raises(ModelFileError, match="npm run build"):
        site.export_site(tmp_path / "out")
