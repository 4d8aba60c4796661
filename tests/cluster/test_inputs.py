"""Inputs of a run: folders, patterns, tables, lists and shards."""

import gzip
import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from tests.cluster.conftest import rows, run

from mien.cluster import storage
from mien.cluster.folder import Folder
from mien.cluster.inputs import find_inputs
from mien.cluster.plan import Plan, make_plan
from mien.cluster.shards import shard_files
from mien.cluster.worker import Worker, WorkSettings
from mien.config import Settings
from mien.errors import InputError
from mien.testing import FakePipeline

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


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


def test_a_pattern_may_name_tables(images: Path, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.csv").write_text(f"uri;site\nimages/{number}.png;{number}\n")
    found = list(find_inputs([f"{tmp_path}/[01].csv"]))
    assert [(one.uri, one.columns) for one in found] == [
        (f"images/{number}.png", {"site": str(number)}) for number in range(2)
    ]


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
    (recording / "thumbnails").mkdir()
    for name in ("annotated.mp4", "frames.jsonl", "thumbnails/1.jpg"):
        (recording / name).touch()
    expected = [f"{top}/linked/{n}.png" for n in range(6)] + [f"{top}/linked/nested/empty.png"]
    for sources in ([f"{top}/**/*.png"], [f"{top}/**/*.png", f"{images}/*.png", str(top / "z")]):
        assert [one.uri for one in find_inputs(sources)] == expected
    assert [one.uri for one in find_inputs([str(top)], exclude=str(images / "nested"))] == (
        expected[:6]
    )
    # A recording beside the video of which it was made.
    (recording / "clip.mp4").touch()
    assert [one.uri for one in find_inputs([str(recording)])] == [f"{recording}/clip.mp4"]
    # Names that are patterns too.
    (top / "people[1].csv").write_text("uri\nlinked/0.png\n")
    assert [one.uri for one in find_inputs([f"{top}/people[1].csv"])] == ["linked/0.png"]


def in_storage(bucket: str, names: Sequence[str]) -> str:
    """The address of a file system in memory with these files."""
    base = f"mock://{bucket}/photos"
    for name in names:
        files, path = storage.filesystem(f"{base}/{name}")
        files.create_dir(path.rpartition("/")[0])
        files.open_output_stream(path).close()
    return base


def test_patterns_find_hidden_files_only_where_they_name_the_dot(tmp_path: Path) -> None:
    names = (".hid/a.png", "b.png", "sub/.c.png", "sub/.hid/d.png", "sub/e.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = {
        "**/*.png": ["b.png", "sub/e.png"],
        "**": ["b.png", "sub/e.png"],
        "**/.hid/*": [".hid/a.png", "sub/.hid/d.png"],
        ".hid/**/*.png": [".hid/a.png"],
        "sub/**/.*.png": ["sub/.c.png"],
        "**/.*/[!x]*": [".hid/a.png", "sub/.hid/d.png"],
    }
    for base in (str(tmp_path), in_storage("hidden", names)):
        for pattern, found in expected.items():
            uris = [one.uri for one in find_inputs([f"{base}/{pattern}"])]
            assert sorted(uris) == [f"{base}/{name}" for name in found], pattern
        assert len(list(find_inputs([base]))) == 2


def test_remote_recordings_are_left_out_as_local_ones(tmp_path: Path) -> None:
    results = ("frames.jsonl", "annotated.mp4", "thumbnails/1.jpg", "crops/1/2.jpg")
    names = (*results, "clip.mp4", "old/annotated.mp4", "thumbnails.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for base in (in_storage("recordings", names), str(tmp_path)):
        found = {one.uri.removeprefix(f"{base}/") for one in find_inputs([base])}
        assert found == {"clip.mp4", "old/annotated.mp4", "thumbnails.png"}


@pytest.mark.skipif(os.name == "nt", reason="paths have other limits there")
def test_a_folder_that_cannot_be_read_is_a_failure(images: Path, tmp_path: Path) -> None:
    opened = [os.open(images, os.O_RDONLY)]
    for _ in range(17):  # Deeper than a path may be long, which no right changes.
        os.mkdir("x" * 250, dir_fd=opened[-1])
        opened.append(os.open("x" * 250, os.O_RDONLY, dir_fd=opened[-1]))
    for descriptor in opened:
        os.close(descriptor)
    (deep,) = [one.uri for one in find_inputs([str(images)]) if one.uri.endswith("x")]
    sources = [f"{images}/**/*.png"]
    assert deep in [one.uri for one in find_inputs(sources)]
    run(make_plan(find_inputs(sources), workers=1), tmp_path / "out")
    (failure,) = rows(tmp_path / "out", "failures")
    assert failure["uri"] == deep
    assert str(failure["error"]).endswith("File name too long")
    assert len(rows(tmp_path / "out", "frames")) == 7


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing", None, "does not exist"),
        ("no-uri.csv", "path\na.png\n", "expected a column 'uri'"),
        ("empty.csv", "uri\n", "has none"),
        ("wide.csv", "uri\na,b\n", "expected 1 cells in line 2"),
        ("damaged.parquet", "x", "expected a Parquet table"),
        ("no-cell.csv", "uri,site\na.png,x\n,y\n", "got '' in row 2"),
        ("nul.csv", "uri\na\0.png\n", r"got 'a\\x00\.png' in row 1"),
        (
            "quote.csv",
            'uri\na.png\n"b.png\nc.png\n',
            "row at line 3 cannot be read: unexpected end",
        ),
        ("encoding.csv", "uri\nä.png\n", "expected UTF-8"),
    ],
)
def test_rejects_bad_sources(tmp_path: Path, name: str, content: str | None, expected: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=expected):
        list(find_inputs([str(tmp_path / name)]))


def test_rejects_addresses_of_file_systems_that_need_more() -> None:
    with pytest.raises(InputError, match="expected a path, or an address such as s3"):
        list(find_inputs(["ftp://nowhere.invalid/photos"]))


def test_an_empty_source_is_not_the_current_folder() -> None:
    with pytest.raises(InputError, match="expected a folder, a file or an address, got ''"):
        list(find_inputs([""]))


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "txz", "tar.zst"])
def test_reads_tar_shards(images: Path, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    whole, torn = folder / f"a.{suffix}", folder / "b.tar"
    modes = {"tar.gz": "w:gz", "tar.bz2": "w:bz2", "txz": "w:xz"}
    with tarfile.open(whole, modes.get(suffix, "w")) as shard:  # type: ignore[call-overload]
        shard.add(images / "0.png", "./0.png")
        shard.add(images / "nested" / "text.jpg", "text.jpg")
        for name in ("0.txt", "sub/._0.png", ".hidden/1.png"):
            shard.add(__file__, name)
        for name in ("link.png", "other.png"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "0.png"
            shard.addfile(link)
    if suffix == "tar.zst":
        whole.write_bytes(pyarrow.compress(whole.read_bytes(), "zstd", asbytes=True))
    torn.write_bytes(b"no shard" * 100)
    plan = make_plan(find_inputs([str(folder)]), workers=1)
    commit = run(plan, tmp_path / "out").run(plan.part(0))
    assert [row["uri"] for row in rows(tmp_path / "out", "faces")] == [f"{whole}#./0.png"]
    failed = {str(r["uri"]): str(r["error"]) for r in rows(tmp_path / "out", "failures")}
    assert list(failed) == [f"{whole}#text.jpg", str(torn)]
    assert "the shard cannot be read" in failed[str(torn)]
    (warning,) = commit["warnings"]
    assert warning.startswith(f"{whole}: 2 links such as link.png left out")


@pytest.mark.parametrize("kept", [0.9, 1.0])
def test_a_damaged_shard_with_zstd_is_read_as_far_as_it_can_be(tmp_path: Path, kept: float) -> None:
    noise = np.random.default_rng(0)
    path, content = tmp_path / "a.tar.zst", io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as shard:
        for name in ("0.png", "1.png"):
            member = tarfile.TarInfo(name)
            member.size = 200_000
            shard.addfile(member, io.BytesIO(noise.bytes(member.size)))
    packed = pyarrow.compress(content.getvalue(), "zstd", asbytes=True)
    # It begins with a frame without data, as those of parallel compressors do.
    end = b"" if kept < 1 else b"odd"
    path.write_bytes(b"\x50\x2a\x4d\x18\1\0\0\0x" + packed[: int(kept * len(packed))] + end)
    found = shard_files(path, tmp_path, print)
    assert next(found)[0] == "0.png"
    with pytest.raises((OSError, tarfile.TarError)):
        list(found)


def test_a_shard_that_has_a_name_twice(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as shard:
        shard.add(images / "0.png", "0.png")
        shard.add(images / "1.png", "0.png")
    worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), FakePipeline())
    commit = worker.run(make_plan(find_inputs([str(path)]), workers=1).part(0))
    assert commit["warnings"] == [f"{path}#0.png: the first of several is analyzed"]
    assert [row["expression"] for row in rows(tmp_path / "out", "faces")] == ["happiness"]


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_odd_at_the_end_of_a_shard_is_a_warning(
    images: Path, tmp_path: Path, compressed: bool
) -> None:
    with tarfile.open(tmp_path / "whole", "w") as shard:
        shard.add(images / "0.png", "0.png")
    whole = (tmp_path / "whole").read_bytes()
    data = whole.rstrip(b"\0")
    contents = {
        "mark.tar": (whole, []),
        "no-mark.tar": (data + bytes(-len(data) % 512), ["the shard has no end mark"]),
        "no-padding.tar": (data, ["the shard has no end mark"]),
        "two.tar": (whole * 2, ["data after the end mark of the shard was not read"]),
    }
    for name, (content, expected) in contents.items():
        (tmp_path / name).write_bytes(gzip.compress(content) if compressed else content)
        plan = make_plan(find_inputs([str(tmp_path / name)]), workers=1)
        worker = Worker(WorkSettings(str(tmp_path / "out"), Settings(), {}), FakePipeline())
        commit = worker.run(plan.part(0))
        assert [w.removeprefix(f"{tmp_path / name}: ")[:20] for w in commit["warnings"]] == [
            text[:20] for text in expected
        ]
        assert (commit["counts"]["faces"], commit["counts"]["failures"]) == (1, 0)


def test_a_compressed_shard_with_a_wrong_checksum_is_a_failure(
    images: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as shard:
        shard.add(images / "0.png", "0.png")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # CRC-32
    path.write_bytes(content)
    run(make_plan(find_inputs([str(path)]), workers=1), tmp_path / "out")
    (failure,) = rows(tmp_path / "out", "failures")
    assert "the shard cannot be read: CRC check failed" in str(failure["error"])
    assert len(rows(tmp_path / "out", "faces")) == 1


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
    said = commit["errors"] or commit["warnings"]
    expected = "the shard cannot be read" if commit["errors"] else "is truncated or damaged"
    if not compressed and damage == "cut" and place in ("end", "mark"):
        # A shard without an end mark, which is perhaps whole, looks the same.
        assert not commit["errors"]
        expected = "no end mark: files may be missing"
    # Where the damage is within a picture, only this one says so.
    assert expected in said[-1]
    if not compressed:
        before = {"header": 1, "file": 1, "end": 2, "mark": 3}[place]
        assert commit["counts"]["inputs"] >= before + bool(commit["errors"])


def test_names_of_a_parquet_table_are_taken_as_they_are(images: Path, tmp_path: Path) -> None:
    odd = "images/ a\nb\N{GRINNING FACE}%20.png "
    shutil.copy(images / "0.png", tmp_path / odd)
    parquet.write_table(pyarrow.table({"uri": [odd]}), tmp_path / "odd.parquet")
    run(make_plan(find_inputs([str(tmp_path / "odd.parquet")]), workers=1), tmp_path / "out")
    (frame,) = rows(tmp_path / "out", "frames")
    assert frame["uri"] == odd
