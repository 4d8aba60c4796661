"""Folders, patterns and lists become clips; the pictures of a sequence are in order."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from mien.errors import InputError, VideoReadError
from mien.media.clips import ImageSequenceSource, find_clips, is_sequence, listed_clips
from mien.media.sources import Selection


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def picture(path: Path, level: int) -> Path:
    PillowImage.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
    return path


def test_folders_are_searched_without_hidden_files_and_results(tmp_path: Path) -> None:
    touch(tmp_path, "b.MP4", "a.mov", ".hidden.mp4", "notes.txt", "cover.png", "sub/c.mkv")
    touch(tmp_path, "old/c/frames.jsonl", "old/c/annotated.mp4", "results/x.mp4")
    found = find_clips([str(tmp_path)], exclude=tmp_path / "results")
    assert [clip.name for clip in found] == ["a.mov", "b.MP4", "sub/c.mkv"]


def test_numbered_pictures_are_one_clip_in_numeric_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"walk/frame{number}.png" for number in (1, 2, 10, 9)), "walk/notes.txt")
    (clip,) = find_clips([str(tmp_path)], sequence_fps=10)
    assert [path.stem for path in clip.pictures] == ["frame1", "frame2", "frame9", "frame10"]
    assert clip.frame_rate == 10
    (same,) = find_clips([str(tmp_path / "walk" / "frame%d.png")])
    assert same.pictures == clip.pictures
    (globbed,) = find_clips([str(tmp_path / "walk" / "*.png")])
    assert globbed.pictures == clip.pictures


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a1.png", "a2.png"), True),
        (("a_2x_1.png", "a_2x_2.png"), True),
        (("a1.png",), False),
        (("anna1.png", "ben2.png"), False),
        (("anna.png", "ben.png"), False),
    ],
)
def test_pictures_are_a_sequence_if_only_a_number_differs(
    names: tuple[str, ...], expected: bool
) -> None:
    assert is_sequence([Path(name) for name in names]) is expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_lists_are_relative_to_their_folder(tmp_path: Path, encoding: str) -> None:
    touch(tmp_path, "in/a.mp4")
    text = "# clips\r\n\r\na.mp4\r\nmissing.mp4\r\n"
    (tmp_path / "in" / "list.txt").write_bytes(text.encode(encoding))
    found = find_clips([f"@{tmp_path / 'in' / 'list.txt'}"])
    assert [clip.path.name for clip in found] == ["a.mp4", "missing.mp4"]
    assert found[0].path.is_file()


def test_rows_of_a_list_carry_their_columns(tmp_path: Path) -> None:
    touch(tmp_path, "day/a.mp4", "day/b.mp4", "c.mp4")
    rows = [{"clip": "day", "person": "P1"}, {"clip": "c.mp4", "person": "P2"}]
    found = listed_clips(rows, tmp_path)
    assert [(clip.name, clip.columns["person"]) for clip in found] == [
        ("day/a.mp4", "P1"),
        ("day/b.mp4", "P1"),
        ("c.mp4", "P2"),
    ]
    with pytest.raises(InputError, match="got an empty cell beside P3"):
        listed_clips([*rows, {"clip": " ", "person": "P3"}], tmp_path)


@pytest.mark.parametrize("path", ["empty", "*.avi", "img_%03d.png", "list.csv", "@list.csv"])
def test_names_what_has_no_clip(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "list.csv")
    with pytest.raises(InputError, match=path.strip("@*").replace("%", ".")):
        find_clips([path])


def test_a_sequence_skips_unreadable_pictures_with_warnings(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / f"p{number}.png", 20 * number) for number in (5, 6, 9)]
    pictures[1].write_text("no picture")
    source = ImageSequenceSource(pictures, frame_rate=10)
    frames = list(source.frames())
    assert [(frame.index, frame.timestamp_s) for frame in frames] == [(0, 0.0), (4, 0.4)]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [100, 180]
    assert source.warnings == (
        "pictures that could not be read and were skipped: 1",
        "numbers without a picture: 2",
    )
    late = ImageSequenceSource(pictures, frame_rate=10, selection=Selection(start_s=0.2))
    assert [frame.index for frame in late.frames()] == [4]
    with pytest.raises(VideoReadError, match=r"p6\.png"):
        list(ImageSequenceSource(pictures[1:2]).frames())


def test_a_sequence_says_that_numbers_are_repeated(tmp_path: Path) -> None:
    names = ("1.jpg", "1.png", "2.jpg", "2.png")
    source = ImageSequenceSource([picture(tmp_path / name, 90) for name in names])
    assert [frame.index for frame in source.frames()] == [0, 1, 2, 3]
    assert source.warnings[0].startswith("4 pictures have 2 numbers")


def test_a_sequence_says_which_pictures_were_read_in_part(tmp_path: Path) -> None:
    pictures = [tmp_path / f"{number}.jpg" for number in range(3)]
    shades = np.tile(np.arange(200, dtype=np.uint8), (150, 1))
    for path in pictures:
        PillowImage.fromarray(shades).save(path)
    pictures[1].write_bytes(pictures[1].read_bytes()[:-150])
    source = ImageSequenceSource(pictures)
    assert sum(1 for _ in source.frames()) == 3
    (warning,) = source.warnings
    assert warning.startswith("the file is truncated or damaged: ")
    assert warning.endswith(" (one picture)")
