"""Finding the clips that paths, folders, patterns and lists refer to."""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import InputError, VideoReadError, valid_text
from mien.media.formats import SUFFIXES
from mien.media.key_frames import KeyFrame
from mien.media.sequences import DEFAULT_RATE, ImageSequenceSource, is_sequence, number_in_name
from mien.media.sources import Selection
from mien.media.video import VideoSource

VIDEO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".flv", ".gif", ".m2ts", ".m2v", ".m4v"),
        *(".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".qt", ".ts", ".vob"),
        *(".webm", ".wmv", ".y4m"),
    )
)
"""Files with these endings are videos when a folder is searched."""

# A folder with this file was written by mien: its video and pictures are no clips.
_RECORDING_FILE = "frames.jsonl"
_LIST_SUFFIXES = (".csv", ".tsv", ".txt")
_NUMBER = re.compile(r"%0?(\d*)d")


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, or numbered pictures.

    Attributes:
        name: the path as it was given, or relative to the given folder.
        path: of the file, or of the folder of the pictures.
        pictures: of a sequence; none for a video.
        frame_rate: of a sequence.
        columns: what a list says about the clip.
        entry: where reading a video begins; by default at its first frame.
    """

    name: str
    path: Path
    pictures: tuple[Path, ...] = ()
    frame_rate: float = DEFAULT_RATE
    columns: Mapping[str, str] = field(default_factory=dict)
    entry: KeyFrame | None = None

    @property
    def title(self) -> str:
        return valid_text(self.path.name) or self.name

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", valid_text(self.name))

    def open(self, selection: Selection | None = None) -> VideoSource | ImageSequenceSource:
        """The frames of the clip.

        Raises:
            VideoReadError: not a readable video.
        """
        if not self.pictures:
            return VideoSource(self.path, selection, self.entry)
        return ImageSequenceSource(
            self.pictures, frame_rate=self.frame_rate, selection=selection, name=self.title
        )

    def identity(self) -> dict[str, Any]:
        """What distinguishes the clip from another one of the same name, for resumed runs."""
        if not self.pictures:
            return {"clip": valid_text(self.path.name), "bytes": self.path.stat().st_size}
        size = sum(path.stat().st_size for path in self.pictures)
        return {"clip": self.title, "bytes": size, "sequence_fps": self.frame_rate}


def find_clips(
    paths: Iterable[str], *, sequence_fps: float = DEFAULT_RATE, exclude: Path | None = None
) -> list[Clip]:
    """All clips that paths refer to, in order.

    Args:
        paths: videos; folders, which are searched with their subfolders for videos and, where a
            folder has none, for numbered pictures (folders that mien wrote are left out); patterns
            with ``*``, ``?`` or ``[``; patterns of numbered pictures such as ``img_%04d.png``;
            ``@list.txt``, a text file with one of these on each line.
        sequence_fps: frame rate of numbered pictures.
        exclude: a folder that is not searched, such as the output folder.

    Raises:
        InputError: a folder, pattern or list has no clip.
    """
    found: list[Clip] = []
    for path in paths:
        if path.startswith("@"):
            found += find_clips(_lines(Path(path[1:])), sequence_fps=sequence_fps, exclude=exclude)
        else:
            found += _clips_at(path, exclude)
    return [replace(clip, frame_rate=sequence_fps) if clip.pictures else clip for clip in found]


def _clips_at(path: str, exclude: Path | None) -> list[Clip]:
    given = Path(path)
    if given.is_dir():
        found = list(_in_folder(given, given, exclude))
        if not found:
            raise InputError(f"expected videos or numbered pictures in {path}, but it has none")
        return found
    if given.suffix.lower() in _LIST_SUFFIXES and given.is_file():
        raise InputError(
            f"expected a video, got the list {path}: use --list for a CSV file, or @{path} for a "
            "text file with one path on each line"
        )
    if given.exists():
        return [Clip(path, given)]
    if _NUMBER.search(given.name):
        return [_numbered(path)]
    if glob.has_magic(path):
        matches = [Path(match) for match in sorted(glob.iglob(path, recursive=True))]
        files = [match for match in matches if match.is_file()]
        if not files:
            raise InputError(f"expected files that match the pattern {path}, but none does")
        if all(match.suffix.lower() in SUFFIXES - VIDEO_SUFFIXES for match in files):
            ordered = tuple(sorted(files, key=number_in_name))
            return [Clip(path, files[0].parent, pictures=ordered)]
        return [Clip(str(match), match) for match in files]
    return [Clip(path, given)]


def _in_folder(folder: Path, root: Path, exclude: Path | None) -> Iterator[Clip]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read: {error.strerror}") from None
    files = [entry for entry in entries if entry.is_file()]
    if any(file.name == _RECORDING_FILE for file in files):
        return
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    for video in videos:
        yield Clip(video.relative_to(root).as_posix(), video)
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not videos and is_sequence(pictures):
        name = folder.name if folder == root else folder.relative_to(root).as_posix()
        yield Clip(name, folder.absolute(), tuple(sorted(pictures, key=number_in_name)))
    for entry in entries:
        is_output = exclude is not None and exclude.exists() and entry.samefile(exclude)
        if entry.is_dir() and not entry.is_symlink() and not is_output:
            yield from _in_folder(entry, root, exclude)


def _numbered(path: str) -> Clip:
    """The clip of a pattern such as ``img_%04d.png``."""
    given = Path(path)
    before, width, after = _NUMBER.split(given.name, maxsplit=1)
    digits = rf"\d{{{int(width)},}}" if width else r"\d+"
    pattern = re.compile(re.escape(before) + digits + re.escape(after))
    folder = given.parent
    names = folder.iterdir() if folder.is_dir() else ()
    pictures = sorted((p for p in names if pattern.fullmatch(p.name)), key=number_in_name)
    if not pictures:
        raise VideoReadError(f"expected pictures like {path}, but there are none")
    return Clip(path, folder.absolute(), tuple(pictures))


def _lines(path: Path) -> list[str]:
    """The entries of a text file; relative paths are relative to its folder."""
    if path.suffix.lower() == ".csv":
        raise InputError(f"expected a text file after @, got {path}: use --list for a CSV file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a text file with one clip per line at {path}: {error}"
        ) from None
    entries = [line.strip() for line in lines]
    return [
        entry if entry.startswith("@") else str(path.parent / entry)
        for entry in entries
        if entry and not entry.startswith("#")
    ]


def listed_clips(
    rows: Iterable[Mapping[str, str]], folder: Path, *, sequence_fps: float = DEFAULT_RATE
) -> list[Clip]:
    """The clips of a list, with its other columns.

    Args:
        rows: of the list; the column ``clip`` holds a path relative to `folder`, which may be a
            folder of videos or a pattern.
        folder: of the list.
        sequence_fps: frame rate of numbered pictures.

    Raises:
        InputError: a clip is missing.
    """
    found: list[Clip] = []
    for row in rows:
        columns = {name: value for name, value in row.items() if name != "clip"}
        clips = find_clips([str(folder / row["clip"])], sequence_fps=sequence_fps)
        for clip in clips:
            name = row["clip"] if len(clips) == 1 else f"{row['clip']}/{clip.name}"
            found.append(replace(clip, name=name, columns=columns))
    return found
