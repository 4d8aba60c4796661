"""Several data sets in one table."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.adaptation import domains
from mien.adaptation.domains import Domain, _rows, read_domains
from mien.cli.app import app
from mien.errors import DataError
from mien.labels import Expression


def test_one_table_for_all_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "_DRAWS", 1)
    rng = np.random.default_rng(0)
    for name, count in (("large", 32), ("small", 4)):
        for shade, label in enumerate(("happy", "sad")):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            for row in range(count):
                pixels = rng.integers(0, 60, (48, 48)) + 190 * shade
                (folder / f"{row}.png").write_bytes(
                    cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()
                )
    file = tmp_path / "domains.toml"
    file.write_text('[one]\npath = "large"\ncrops = true\n[two]\npath = "small"\ncrops = true\n')
    written = tmp_path / "results.json"
    done = CliRunner().invoke(
        app, ["evaluate", "--domains", str(file), "--model", "scratch", "--json", str(written)]
    )
    assert done.exit_code == 0, done.stderr
    assert "two" in done.stdout
    one, two = json.loads(written.read_text())["results"]
    assert (one["domain"], one["n"], two["n"]) == ("one", 64, 8)
    # Brightness decides, so that adapting gives what the model does not know.
    assert one["adapted_10"]["after"]["balanced_accuracy"] > 0.9
    assert one["adapted_10"]["before"]["balanced_accuracy"] < 0.9
    assert two["adapted_10"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a TOML file of data sets"),
        ("[a", "expected a TOML file of data sets"),
        ("a = " + 5000 * "[", "expected a TOML file of data sets"),
        ("", "expected a table for each data set"),
        ("[a]\n", "expected path in"),
        ('[a]\npath = "x"\nsplits = 1\n', "expected keys out of path"),
    ],
)
def test_rejects_bad_files(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "d.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_domains(tmp_path / "d.toml")


def test_labels_of_a_domain_are_those_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("image,label\na.png,happy\nb.png,bored\n")
    for labels, message in (
        (("happy", "bored"), "got bored"),
        (("happy",), "at least two labels"),
    ):
        domain = Domain(str(tmp_path / "rows.csv"), labels=labels)
        with pytest.raises(DataError, match=message):
            _rows(domain, tuple(Expression))
