"""Inputs, plans and the analysis of parts; none of it needs Ray."""

import contextlib
import gzip
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as PillowImage
from typer.testing import CliRunner

from mien.cli.app import app
from mien.cluster.attempts import SCRATCH, Journal, delete_left_scratch
from mien.cluster.folder import Folder
from mien.cluster.inputs import Input, find_inputs
from mien.cluster.output import batch_status
from mien.cluster.plan import Part, Plan, make_plan
from mien.cluster.storage import StorageError
from mien.cluster.summary import summarize
from mien.cluster.worker import BatchOptions, Worker, WorkSettings
from mien.config import Settings
from mien.errors import InputError, SettingError
from mien.media.images import open_image
from mien.pipeline import FacePipeline
from mien.streaming.outputs import LOCK_FILE, locked
from mien.testing import FakePipeline, face_image
from mien.types import Box, face_row

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six images with one face each, an empty one, and a text file with the name of an image."""
    folder = tmp_path / "images"
    (folder / "nested").mkdir(parents=True)
    for number in range(6):
        label = ("happiness", "anger")[number % 2]
        picture = face_image([(Box(40, 30, 120, 110), label)])
        PillowImage.fromarray(picture).save(folder / f"{number}.png")
    PillowImage.fromarray(face_image()).save(folder / "nested" / "empty.png")
    (folder / "nested" / "text.jpg").write_text("no image")
    return folder


def run(plan: Plan, out: Path, **options: object) -> Worker:
    worker = Worker(
        WorkSettings(str(out), Settings(), plan.columns, BatchOptions(**options)),  # type: ignore[arg-type]
        FakePipeline(),
    )
    for number in range(len(plan)):
        worker.run(plan.part(number))
    return worker


def rows(out: Path, table: str) -> list[dict[str, object]]:
    found = [parquet.read_table(path) for path in sorted((out / table).glob("*.parquet"))]
    made: list[dict[str, object]] = pyarrow.concat_tables(found).to_pylist()
    return made


def test_finds_folders_patterns_and_lists_once(images: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("# two\nimages/0.png\nimages/1.png\n")
    sources = [str(images), f"{images}/*.png", str(listed)]
    found = [one.uri for one in find_inputs(sources)]
    assert found == [
        *(f"{images}/{number}.png" for number in range(6)),
        f"{images}/nested/empty.png",
        f"{images}/nested/text.jpg",
    ]


def test_manifest_carries_columns(images: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "people.csv"
    manifest.write_text("uri,group,age,score\nimages/0.png,a,3,1\nimages/1.png,b,4,0.5\n")
    plan = make_plan(find_inputs([str(manifest)]), workers=1)
    assert plan.columns == {"group": "str", "age": "str", "score": "str"}
    table = tmp_path / "people.parquet"
    typed = {"uri": ["images/0.png"], "age": [3], "score": [0.5]}
    parquet.write_table(pyarrow.table(typed), table)
    plan = make_plan(find_inputs([str(table)]), workers=1)
    assert plan.columns == {"age": "int", "score": "float"}
    run(plan, tmp_path / "out")
    (face,) = rows(tmp_path / "out", "faces")
    # The table of faces has no such columns of its own.
    assert (face["uri"], face["age"], face["list_score"]) == ("images/0.png", 3, 0.5)


def test_manifest_columns_of_any_name_and_type(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "odd.parquet"
    columns = {
        "uri": ["images/0.png", "images/nested/text.jpg"],
        "error": ["a", "b"],
        "list_error": ["c", "d"],
        "timestamp_s": [None, None],
        "huge": pyarrow.array([1, 2**64 - 1], pyarrow.uint64()),
        "nested": [{"x": 1}, {"x": 2}],
        "": [True, None],
    }
    parquet.write_table(pyarrow.table(columns), table)
    plan = make_plan(find_inputs([str(table)]), workers=1)
    out = tmp_path / "out"
    run(plan, out)
    (face,) = rows(out, "faces")
    carried = ("error", "list_error", "list_timestamp_s", "huge", "nested", "")
    assert [face[name] for name in carried] == ["a", "c", None, "1", "{'x': 1}", True]
    (failure,) = rows(out, "failures")
    assert "expected an image" in str(failure["error"])
    names = ("list_error", "list_list_error", "timestamp_s", "huge")
    assert [failure[name] for name in names] == ["d", "b", None, str(2**64 - 1)]


def test_file_names_that_are_not_utf8(images: Path, tmp_path: Path) -> None:
    (images / "nested" / "text.jpg").unlink()
    folder = os.fsencode(images)
    os.rename(folder + b"/0.png", folder + b"/\xff.png")
    Path(os.fsdecode(folder + b"/\xfe.jpg")).write_text("no image")
    shard = tmp_path / "a.tar"
    with tarfile.open(shard, "w") as made:
        made.add(images / "1.png", os.fsdecode(b"\xfd.png"))
    plan = make_plan(find_inputs([str(images), str(shard)]), workers=1)
    plan.write(Folder(str(tmp_path)))
    read = Plan.read(Folder(str(tmp_path)))
    assert read is not None
    assert read.digest == plan.digest
    run(read, tmp_path / "out")
    uris = {str(row["uri"]).rpartition("images/")[2] for row in rows(tmp_path / "out", "frames")}
    assert {r"\xff.png", rf"{shard}#\xfd.png"} < uris
    (failure,) = rows(tmp_path / "out", "failures")
    assert str(failure["error"]).startswith(rf"{images}/\xfe.jpg: expected an image")


def test_names_rows_that_are_not_analyzed_again(images: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "people.csv"
    manifest.write_text("uri,group\nimages/0.png,a\nimages/../images/0.png,b\n")
    again: list[str] = []
    (found,) = find_inputs([str(manifest)], on_again=again.append)
    assert (found.columns, again) == ({"group": "a"}, ["images/../images/0.png"])
    # The output may be in the source.
    kept = list(find_inputs([str(images)], exclude=str(images / "nested")))
    assert len(kept) == 6


def test_two_files_need_two_names(images: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(images / "0.png", tmp_path / folder / "x.png")
        (tmp_path / folder / "list.csv").write_text("uri,group\nx.png,1\n")
    sources = [str(tmp_path / folder / "list.csv") for folder in ("a", "b")]
    with pytest.raises(InputError, match=r"x\.png of .*/b/list\.csv is another file"):
        list(find_inputs(sources))


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_follows_links_but_finds_each_file_once(images: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "z").mkdir(parents=True)
    for name in ("back", "again"):  # Which glob would follow 2 ** 40 times.
        (top / "z" / name).symlink_to(top)
    (images / "nested" / "text.jpg").unlink()
    (top / "linked").symlink_to(images)
    recording = top / "results"
    recording.mkdir()
    for name in ("annotated.mp4", "frames.jsonl"):
        (recording / name).touch()
    expected = [f"{top}/linked/{n}.png" for n in range(6)] + [f"{top}/linked/nested/empty.png"]
    for sources in ([f"{top}/**/*.png"], [f"{top}/**/*.png", f"{images}/*.png", str(top / "z")]):
        assert [one.uri for one in find_inputs(sources)] == expected
    assert [one.uri for one in find_inputs([str(top)], exclude=str(images / "nested"))] == (
        expected[:6]
    )
    # Names that are patterns too.
    (top / "people[1].csv").write_text("uri\nlinked/0.png\n")
    assert [one.uri for one in find_inputs([f"{top}/people[1].csv"])] == ["linked/0.png"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing", None, "does not exist"),
        ("no-uri.csv", "path\na.png\n", "expected a column 'uri'"),
        ("empty.csv", "uri\n", "has none"),
        ("wide.csv", "uri\na,b\n", "expected 1 cells in line 2"),
        ("damaged.parquet", "x", "expected a Parquet table"),
        ("no-cell.csv", "uri,site\na.png,x\n,y\n", "got '' in row 2"),
        ("encoding.csv", "uri\nä.png\n", "expected UTF-8"),
    ],
)
def test_rejects_bad_sources(tmp_path: Path, name: str, content: str | None, expected: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=expected):
        list(find_inputs([str(tmp_path / name)]))


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
    plan = make_plan(find_inputs([str(photo), str(torn)]), workers=1, part_size=2)
    pipeline = FacePipeline()
    worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), pipeline)
    commit = worker.run(plan.part(0))
    results = [pipeline.analyze_opened(open_image(path)) for path in (photo, torn)]
    expected = [face_row(result, face) for result in results for face in result.faces]
    found = rows(tmp_path / "out", "faces")
    assert [row["head_z_cm"] for row in found] == [row["head_z_cm"] for row in expected]
    assert [row["reasons"] for row in found] == [row["reasons"] for row in expected]
    assert commit["warnings"] == [f"{torn}: {warning}" for warning in results[1].warnings]
    assert commit["warnings"]


def test_reads_tar_shards(images: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "a.tar", tmp_path / "b.tar"
    with tarfile.open(whole, "w") as shard:
        shard.add(images / "0.png", "0.png")
        shard.add(images / "nested" / "text.jpg", "text.jpg")
        shard.add(__file__, "0.txt")
    torn.write_bytes(b"no shard" * 100)
    plan = make_plan(find_inputs([str(whole), str(torn)]), workers=1)
    run(plan, tmp_path / "out")
    assert [row["uri"] for row in rows(tmp_path / "out", "faces")] == [f"{whole}#0.png"]
    failed = {str(r["uri"]): str(r["error"]) for r in rows(tmp_path / "out", "failures")}
    assert list(failed) == [f"{whole}#text.jpg", str(torn)]
    assert "the shard cannot be read" in failed[str(torn)]


def test_a_shard_that_has_a_name_twice(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as shard:
        shard.add(images / "0.png", "0.png")
        shard.add(images / "1.png", "0.png")
    worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), FakePipeline())
    commit = worker.run(make_plan(find_inputs([str(path)]), workers=1).part(0))
    assert commit["warnings"] == [f"{path}#0.png: the first of several is analyzed"]
    assert [row["expression"] for row in rows(tmp_path / "out", "faces")] == ["happiness"]


@pytest.mark.parametrize("place", ["header", "file", "end", "mark"])
@pytest.mark.parametrize("damage", ["cut", "ones"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_shard_is_a_failure_after_its_first_files(
    images: Path, tmp_path: Path, place: str, damage: str, compressed: bool
) -> None:
    """:mod:`tarfile` itself would end at many of these without an error."""
    path = tmp_path / "a.tar"
    noise = np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8)
    with tarfile.open(path, "w") as shard:
        for number in range(3):
            PillowImage.fromarray(noise).save(tmp_path / "a.png")
            shard.add(tmp_path / "a.png", f"{number}.png")
            pass
    with tarfile.open(path) as shard:
        second = shard.getmembers()[1]
    whole = path.read_bytes()
    at = {
        "header": second.offset + 100,
        "file": second.offset_data + 1000,
        "end": second.offset_data + -(-second.size // 512) * 512,
        "mark": len(whole.rstrip(b"\0")) // 512 * 512 + 512,
    }[place]
    if compressed:
        whole, at = gzip.compress(whole), int(at / len(whole) * len(gzip.compress(whole)))
    rest = b"\xff" * 700 + whole[at + 700 :] if damage == "ones" else b""
    path.write_bytes(whole[:at] + rest)
    worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), FakePipeline())
    commit = worker.run(make_plan(find_inputs([str(path)]), workers=1).part(0))
    # Where the damage is within a picture, only this one says so.
    said = commit["errors"] or commit["warnings"]
    expected = "the shard cannot be read" if commit["errors"] else "is truncated or damaged"
    assert expected in said[-1]
    if not compressed:
        before = {"header": 1, "file": 1, "end": 2, "mark": 3}[place]
        assert commit["counts"]["inputs"] > before


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
    manifest.write_text('uri,"a ""site"""\nimages/0.png,x\nimages/1.png,y\n')
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
        *(("x", "happiness"), ("y", "anger"))
    ]
    file = out / "faces" / "part-000000.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(
        SettingError, match=r"expected the tables of `mien batch` in .*use --resume"
    ):
        summarize(str(out))


def test_names_of_a_parquet_table_are_taken_as_they_are(images: Path, tmp_path: Path) -> None:
    odd = "images/ a\nb\N{GRINNING FACE}%20.png "
    shutil.copy(images / "0.png", tmp_path / odd)
    parquet.write_table(pyarrow.table({"uri": [odd]}), tmp_path / "odd.parquet")
    run(make_plan(find_inputs([str(tmp_path / "odd.parquet")]), workers=1), tmp_path / "out")
    (frame,) = rows(tmp_path / "out", "frames")
    assert frame["uri"] == odd


def test_an_input_that_ends_the_process_twice_is_a_failure(images: Path, tmp_path: Path) -> None:
    plan = make_plan(find_inputs([str(images)]), workers=1, part_size=3)
    out, part = tmp_path / "out", plan.part(0)
    for _ in range(2):  # What two processes leave that die in the second input.
        Journal(Folder(str(out)), part).start(part.inputs[1])
    worker = Worker(WorkSettings(str(out), Settings(), {}), FakePipeline())
    commit = worker.run(part, careful=True)
    assert commit["counts"]["failures"] == 1
    (failure,) = rows(out, "failures")
    assert failure["uri"] == part.inputs[1].uri
    assert "ended the process of its worker 2 times" in str(failure["error"])
    assert len(rows(out, "faces")) == 2
    assert list((out / "attempts").iterdir()) == []


def test_an_output_that_cannot_be_written_is_no_failure_of_an_input(
    images: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "out"
    blocked.write_text("a file in the way")
    plan = make_plan(find_inputs([str(images)]), workers=1)
    with pytest.raises(StorageError, match="--resume"):
        run(plan, blocked)
    with pytest.raises(SettingError, match="expected --out to be a folder"):
        Folder(str(blocked)).make()


def test_what_a_killed_process_leaves_is_hidden_and_deleted(images: Path, tmp_path: Path) -> None:
    out = Folder(str(tmp_path / "out"))
    run(make_plan(find_inputs([str(images)]), workers=1), tmp_path / "out")
    faces = parquet.read_table(tmp_path / "out" / "faces").num_rows
    writing = out._writing("faces/part-000009.parquet")
    with contextlib.suppress(KeyboardInterrupt), writing as file:
        file.write(b"half")
        (partial,) = (tmp_path / "out" / "faces").glob(".*.partial")
        shutil.copy(partial, copy := partial.with_name(f".copy{partial.suffix}"))
        raise KeyboardInterrupt
    assert parquet.read_table(tmp_path / "out" / "faces").num_rows == faces
    assert (partial.exists(), copy.exists()) == (False, True)
    out.delete_partial()
    assert not copy.exists()


def test_deletes_scratch_folders_of_killed_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used, left, new = (tmp_path / f"{SCRATCH}{name}" for name in ("used", "left", "new"))
    new.mkdir()
    left.mkdir()
    (left / LOCK_FILE).touch()
    with locked(used):
        delete_left_scratch()
        assert sorted(tmp_path.iterdir()) == [new, used]


def test_an_input_that_hangs_ends_the_process(images: Path, tmp_path: Path) -> None:
    program = f"""
import time
from mien.cluster.inputs import Input
from mien.cluster.plan import Part
from mien.cluster.worker import Worker, WorkSettings
from mien.config import Settings
from mien.streaming.outputs import LOCK_FILE, locked
from mien.testing import FakePipeline

class Hanging(FakePipeline):
    def analyze_opened(self, image):
        time.sleep(600)

part = Part(0, (Input("0.png", {str(images / "0.png")!r}),))
work = WorkSettings({str(tmp_path / "out")!r}, Settings(), {{}})
Worker(work, Hanging(), stall_s=1).run(part, careful=True)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "Timeout" in ran.stderr
    part = Part(0, (Input("0.png", str(images / "0.png")),))
    assert Journal(Folder(str(tmp_path / "out")), part).crashes(part.inputs[0]) == 1


def test_a_damaged_state_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"")
    with pytest.raises(SettingError, match=r"expected JSON in .*run\.json, got .*restore the file"):
        batch_status(str(tmp_path))


def test_a_full_disk_stops_the_run_and_is_no_failure_of_an_input(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(out)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    plan = make_plan(find_inputs([str(images)]), workers=1, part_size=3)
    try:
        with contextlib.suppress(OSError), (out / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        with pytest.raises(StorageError, match=r"No space left on device.*--resume"):
            run(plan, out)
        (out / "filler").unlink()
        run(plan, out)
        found = [str(row["uri"]) for table in ("frames", "failures") for row in rows(out, table)]
        left = list(out.rglob("*.partial"))
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)
    assert len(found) == len(set(found)) == plan.inputs
    assert left == []


def test_a_full_scratch_disk_stops_the_run_and_is_no_failure_of_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, shard = tmp_path / "scratch", tmp_path / "a.tar"
    scratch.mkdir()
    (tmp_path / "large.png").write_bytes(bytes(2 << 20))
    with tarfile.open(shard, "w") as made:
        made.add(tmp_path / "large.png", "large.png")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(scratch)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    try:
        with pytest.raises(StorageError, match=r"expected room in .*set TMPDIR"):
            run(make_plan(find_inputs([str(shard)]), workers=1), tmp_path / "out")
    finally:
        subprocess.run(["umount", "-l", str(scratch)], check=True)


def test_storage_that_does_not_answer_stops_the_run_and_is_no_failure_of_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        found = [Input(uri, uri) for uri in ("s3://silent/a.mp4", "s3://silent/b.png")]
        warnings: list[str] = []
        plan = make_plan(found, workers=1, segment_s=600, on_warning=warnings.append)
        assert len(plan) == 2
        (warning,) = warnings
        assert warning.startswith("one worker analyzes the whole video, of unknown length: s3://")
        for number in range(2):
            worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), FakePipeline())
            with pytest.raises(StorageError, match=r"s3://silent/.* to answer, .* use --resume"):
                worker.run(plan.part(number))
    assert not (tmp_path / "out" / "commits").exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_names_the_extra_without_ray(images: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["batch", str(images), "--out", str(tmp_path / "out")])
    assert ran.exit_code == 2
    assert "pip install 'mien[cluster]'" in ran.stderr
