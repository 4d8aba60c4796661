"""Finding images by files, folders and patterns."""

import os
import socket
from pathlib import Path

import pytest

from mien.media.inputs import find_images


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.jpg",
        "a.PNG",
        "notes.txt",
        ".hidden.jpg",
        ".thumbnails/c.jpg",
        "deep/er/d.heic",
        "deep/e.webp",
        "odd[1].jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources(*paths: str, exclude: Path | None = None) -> list[str]:
    found = list(find_images(paths, exclude=[exclude]))
    assert [entry.problem for entry in found] == [None] * len(found)
    return [Path(entry.source).as_posix() for entry in found]


def test_searches_folders_recursively_by_name(folder: Path) -> None:
    wanted = ["a.PNG", "b.jpg", "odd[1].jpg", "deep/e.webp", "deep/er/d.heic"]
    assert sources(".") == wanted
    relative = [entry.relative.as_posix() for entry in find_images([str(folder)])]
    assert relative == wanted


def test_skips_the_excluded_folder(folder: Path) -> None:
    assert sources(".", exclude=Path("deep")) == ["a.PNG", "b.jpg", "odd[1].jpg"]
    assert sources(".", exclude=Path("not there yet"))[-1] == "deep/er/d.heic"


def test_expands_patterns(folder: Path) -> None:
    assert sources("*.jpg") == ["b.jpg", "odd[1].jpg"]
    assert sources("**/*.webp") == ["deep/e.webp"]
    assert sources("odd[[]1].jpg") == ["odd[1].jpg"]


def test_accepts_file_names_that_look_like_patterns(folder: Path) -> None:
    assert sources("odd[1].jpg") == ["odd[1].jpg"]


def test_accepts_files_with_any_extension(folder: Path) -> None:
    assert sources("notes.txt", "-", "missing.jpg") == ["notes.txt", "-", "missing.jpg"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("*.tiff", "*.tiff: no file matches this pattern"),
        ("empty", "empty: no image in this folder"),
    ],
)
def test_reports_paths_without_images(folder: Path, path: str, problem: str) -> None:
    (folder / "empty").mkdir()
    [entry] = find_images([path])
    assert entry.problem == problem


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every folder")
def test_reports_unreadable_folders(folder: Path) -> None:
    (folder / "deep" / "er").chmod(0)
    try:
        problems = [entry.problem for entry in find_images(["."]) if entry.problem]
    finally:
        (folder / "deep" / "er").chmod(0o700)
    assert ["cannot be read: Permission denied" in problem for problem in problems] == [True]


def test_finds_images_without_an_extension_by_their_content(folder: Path) -> None:
    (folder / "deep" / "DSC0001").write_bytes(b"\xff\xd8\xff\xe0" + bytes(60))
    (folder / "deep" / "README").write_text("no image")
    (folder / "deep" / "empty").touch()
    assert sources("deep") == ["deep/DSC0001", "deep/e.webp", "deep/er/d.heic"]


@pytest.mark.parametrize("suffix", [".jif", ".jfif", ".pjpeg", ".mpo", ".apng", ".JPE", ".pbm"])
def test_finds_less_usual_extensions(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"photo{suffix}").touch()
    assert [entry.relative.name for entry in find_images([str(tmp_path)])] == [f"photo{suffix}"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_passes_over_pipes_and_sockets(folder: Path) -> None:
    os.mkfifo(folder / "deep" / "pipe.jpg")
    os.mkfifo(folder / "deep" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("deep/socket.png")
        for path in ("deep", "deep/*"):
            problems = [entry.problem for entry in find_images([path]) if entry.problem]
            assert (
                "deep/pipe.jpg: expected an image, got a named pipe, which is passed over"
                in problems
            )
            assert (
                "deep/socket.png: expected an image, got a socket, which is passed over" in problems
            )
    assert [e.source for e in find_images(["deep"]) if not e.problem] == [
        "deep/e.webp",
        "deep/er/d.heic",
    ]


def test_reports_broken_and_circular_links(folder: Path) -> None:
    (folder / "deep" / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "deep" / "circle.jpg").symlink_to("circle.jpg")
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    found = list(find_images(["deep"]))
    assert [entry.relative.name for entry in found] == [
        "broken.jpg",
        "circle.jpg",
        "e.webp",
        "d.heic",
    ]
    assert found[0].problem == "deep/broken.jpg: the file cannot be opened: a broken link"
    assert found[1].problem is not None


def test_names_camera_raw_files_where_there_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "DSC1.NEF").touch()
    [entry] = find_images([str(tmp_path)])
    assert entry.problem is not None
    assert "no image in this folder, but 1 camera raw files" in entry.problem
