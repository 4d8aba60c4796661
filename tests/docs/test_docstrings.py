"""What the page of the reference shows documents its parameters, and its examples run."""

import doctest
import importlib
import inspect
import re
import shutil
from pathlib import Path

import pytest

import mien
from mien import testing

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")

# They train; `make e2e` runs them.
HEAVY = {"mien.Adaptation", "mien.adapt"}
PAGE = Path(__file__).parents[2] / "docs/reference/python.md"
NAMES = re.findall(r"^::: (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
# The client's needs a server, and tests/web/test_client.py has one.
MODULES = {"mien.errors", "mien.testing"}
WITHOUT_EXAMPLE = MODULES | {"mien.client.Client"}
FAKES = [f"mien.testing.{name}" for name in testing.__all__]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.e2e] if n in HEAVY else [])
        for n in dict.fromkeys(
            [*(f"mien.{name}" for name in mien.__all__), *NAMES, *FAKES],
        )
        if n not in WITHOUT_EXAMPLE
    ],
)
def test_example_runs(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    samples: dict[str, Path],
    sparse_clip: Path,
) -> None:
    shutil.copy(samples["group"], tmp_path / "photo.jpg")
    shutil.copy(sparse_clip, tmp_path / "clip.mp4")
    for sample in samples.keys() - {"group"}:
        (tmp_path / "pictures" / sample[9:]).mkdir(parents=True, exist_ok=True)
        shutil.copy(samples[sample], tmp_path / "pictures" / sample[9:])
    monkeypatch.chdir(tmp_path)
    module, _, attribute = name.rpartition(".")
    home = importlib.import_module(module)
    documented = getattr(home, attribute).__doc__
    test = doctest.DocTestParser().get_doctest(
        documented, {**vars(home), "mien": mien}, name, None, None
    )
    assert test.examples
    printed: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=printed.append)
    assert failed == 0, "".join(printed)


# Their text says what the arguments are, or where they are described.
SHORT = {"align", "analyze_opened", "camera_of", "describe", "detect", "read_blendshapes"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MODULES])
def test_documents_every_parameter(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    described = getattr(importlib.import_module(module), attribute)
    members = [described]
    if inspect.isclass(described):
        public = {key: value for key, value in vars(described).items() if key[0] != "_"}
        members = [getattr(described, key) for key in public.keys() - SHORT]
    for member in members:
        if not inspect.isroutine(member):
            continue
        text = inspect.getdoc(member) or ""
        parameters = inspect.signature(member).parameters.keys() - {"self", "settings"}
        assert text, member
        assert not parameters or "Args:" in text, member
        missing = [p for p in parameters if not re.search(rf"\b{p}\b", text.split("Args:")[-1])]
        assert not missing, (member, missing)
