"""The examples of public classes and functions run."""

import doctest
import shutil
from pathlib import Path

import pytest

import mien

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")

# They train; `make e2e` runs them.
HEAVY = {"Adaptation", "adapt"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.e2e] if n in HEAVY else []) for n in mien.__all__],
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
    test = doctest.DocTestParser().get_doctest(
        getattr(mien, name).__doc__, {"mien": mien}, f"mien.{name}", None, None
    )
    assert test.examples
    printed: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=printed.append)
    assert failed == 0, "".join(printed)
