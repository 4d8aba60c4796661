"""The analysis of parts; none of it needs Ray."""

import importlib.util
import json
import threading
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import ExifTags
from PIL import Image as PillowImage
from tests.cluster.conftest import rows, run
from typer.testing import CliRunner

from mien.cli.app import app
from mien.cluster.folder import Folder
from mien.cluster.inputs import find_inputs
from mien.cluster.plan import make_plan
from mien.cluster.summary import summarize
from mien.cluster.worker import Worker, WorkSettings
from mien.config import Settings
from mien.errors import SettingError
from mien.media.images import open_image
from mien.pipeline import FacePipeline
from mien.testing import FakeClassifier, FakePipeline
from mien.types import ExpressionScores, Image, face_row

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_each_input_has_exactly_one_row_set(images: Path, tmp_path: Path) -> None:
    plan = make_plan(find_inputs([str(images)]), workers=1, part_size=3)
    out = tmp_path / "out"
    worker = run(plan, out)
    worker.run(plan.part(1))  # Again, as after a crash: its files are replaced.
    faces = [(Path(str(r["uri"])).name, r["expression"]) for r in rows(out, "faces")]
    labels = ("happiness", "anger")
    assert faces == [(f"{n}.png", labels[n % 2]) for n in range(6)]
    assert [row["faces"] for row in rows(out, "frames")] == [1, 1, 1, 1, 1, 1, 0]
    (failure,) = rows(out, "failures")
    assert str(failure["uri"]).endswith("text.jpg")
    assert "expected an image" in str(failure["error"])
    assert rows(out, "tracks") == rows(out, "events") == []


def test_photographs_have_the_results_of_single_ones(
    samples: dict[str, Path], tmp_path: Path
) -> None:
    """Also what the file says of its camera, and of parts that are missing."""
    photo, torn = tmp_path / "photo.jpg", tmp_path / "torn.jpg"
    exif = PillowImage.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 72
    with PillowImage.open(samples["person-a-smiling"]) as sample:
        sample.save(photo, exif=exif, quality=95)
    torn.write_bytes(photo.read_bytes()[:-2000])
    names = [str(path) for path in (photo, samples["group"], torn)]
    plan = make_plan(find_inputs(names), workers=1, part_size=3)
    pipeline = FacePipeline()
    worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), pipeline)
    commit = worker.run(plan.part(0))
    # Some faces share a run of the expression model, and the last ones do not.
    results = [pipeline.analyze_opened(open_image(name)) for name in names]
    expected = [face_row(result, face) for result in results for face in result.faces]
    found = rows(tmp_path / "out", "faces")
    assert len(found) == len(expected) > 4
    for row, one in zip(found, expected, strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value, abs=2e-4), name
            elif value not in ("", None):
                assert row[name] == value, name
    assert commit["warnings"] == [f"{torn}: {warning}" for warning in results[-1].warnings]
    assert commit["warnings"]


def test_an_image_whose_faces_cannot_be_classified_is_one_failure(
    images: Path, tmp_path: Path
) -> None:
    class Failing(FakeClassifier):
        def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
            scores = super().classify(crops)
            if any(one.label == "anger" for one in scores):
                raise ValueError("not this face")
            return scores

    part = make_plan(find_inputs([str(images)]), workers=1, part_size=99).part(0)
    work = WorkSettings(str(tmp_path / "out"), Settings(), {})
    commit = Worker(work, FakePipeline(classifier=Failing())).run(part)
    assert [row["expression"] for row in rows(tmp_path / "out", "faces")] == ["happiness"] * 3
    assert commit["counts"]["failures"] == 4
    assert sum("ValueError: not this face" in error for error in commit["errors"]) == 3


def test_reads_remote_images_while_others_are_analyzed(images: Path, tmp_path: Path) -> None:
    together = threading.Barrier(3)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            # The first three are answered when all of them are asked for; a later one is asked for
            # when the first is analyzed, which may take its time.
            if self.path[1] in "012":
                together.wait(120)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(images))) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        base = f"http://127.0.0.1:{server.server_port}"
        names = [f"{base}/{number}.png" for number in range(5)]
        plan = make_plan(find_inputs([*names, f"{base}/missing.png"]), workers=1, part_size=6)
        run(plan, tmp_path / "out")
        server.shutdown()
        serving.join()
    assert [row["uri"] for row in rows(tmp_path / "out", "faces")] == names
    (failure,) = rows(tmp_path / "out", "failures")
    assert str(failure["error"]).startswith(f"{base}/missing.png: the file cannot be read")


def test_summarizes_beside_foreign_files_and_says_what_is_damaged(
    images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("duckdb")
    manifest = tmp_path / "people.csv"
    manifest.write_text('uri,"a ""site"""\nimages/0.png,x [/b]\nimages/1.png,y\n')
    # A folder whose name is a pattern.
    out = tmp_path / "[o]ut's"
    plan = make_plan(find_inputs([str(manifest)]), workers=1, part_size=2)
    run(plan, out)
    Folder(str(out)).write(
        "run.json", json.dumps({"inputs_planned": 2, "status": "complete"}).encode()
    )
    for table in ("commits", "faces", "failures"):
        (file,) = (out / table).iterdir()
        file.with_name(f"._{file.name}").write_bytes(b"Mac OS X")
    found = summarize(str(out), group='a "site"')
    assert [(row["group"], row["expression"]) for row in found["shares"]] == [
        *(("x [/b]", "happiness"), ("y", "anger"))
    ]
    ran = CliRunner().invoke(app, ["summarize", str(out), "--group", 'a "site"'])
    assert "x [/b]" in ran.stdout
    file = out / "faces" / "part-000000.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(
        SettingError, match=r"expected the tables of `mien batch` in .*use --resume"
    ):
        summarize(str(out))


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_names_the_extra_without_ray(images: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["batch", str(images), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 2
    assert "pip install 'mien[cluster]'" in ran.stderr
