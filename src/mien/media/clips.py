"""Clips that paths, folders, patterns and lists refer to: video files and numbered pictures."""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import ImageReadError, InputError, VideoReadError, valid_text
from mien.files import text_lines
from mien.media.clock import KeyFrame
from mien.media.formats import SUFFIXES
from mien.media.images import decode_image
from mien.media.sources import Frame, Selection, SourceInfo
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
DEFAULT_RATE = 25.0
_RECORDING_FILE = "frames.jsonl"
_LIST_SUFFIXES = (".csv", ".tsv", ".txt")
_NUMBER = re.compile(r"%0?(\d*)d")


class ImageSequenceSource:
    """The frames of a sequence of pictures, in the order of the numbers in their names.

    The first picture is at 0 s. A missing number is a missing frame: its time is left out. Pictures
    that cannot be read are left out too, with a warning; others may have been read in part.

    Args:
        pictures: paths, in any order.
        frame_rate: in frames per second.
        selection: which frames to use.
        name: of the sequence.

    Attributes:
        info: name, frame rate and duration.

    Raises:
        VideoReadError: there is no picture.
    """

    def __init__(
        self,
        pictures: Sequence[Path],
        *,
        frame_rate: float = DEFAULT_RATE,
        selection: Selection | None = None,
        name: str = "pictures",
    ) -> None:
        if not pictures:
            raise VideoReadError(f"expected numbered pictures in {name}, but there are none")
        self._unreadable: list[str] = []
        self._noted: dict[str, int] = {}
        self._pictures = sorted(pictures, key=_number_in_name)
        self._numbers = _frame_numbers(self._pictures)
        self._selection = selection or Selection()
        self.info = SourceInfo(
            name, frame_rate=frame_rate, duration_s=(self._numbers[-1] + 1) / frame_rate
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Pictures that could not be read so far, and missing numbers."""
        found = []
        if self._unreadable:
            found.append(
                f"pictures that could not be read and were skipped: {len(self._unreadable)}"
            )
        found += [
            f"{text} (one picture)" if count == 1 else f"{text} ({count} pictures)"
            for text, count in self._noted.items()
        ]
        missing = self._numbers[-1] + 1 - len(self._numbers)
        if missing:
            found.append(f"numbers without a picture: {missing}")
        names = {_number_in_name(path)[0] for path in self._pictures}
        if len(names) < len(self._pictures) and -1 not in names:
            found.append(
                f"{len(self._pictures)} pictures have {len(names)} numbers: each was read as a "
                "frame, in the order of their names"
            )
        return tuple(found)

    def frames(self) -> Iterator[Frame]:
        """The selected frames, in order.

        Raises:
            VideoReadError: no picture can be read.
        """
        selected, rate = self._selection.selector(), self.info.frame_rate or DEFAULT_RATE
        found, timestamp_s = False, 0.0
        for path, number in zip(self._pictures, self._numbers, strict=True):
            timestamp_s = round(number / rate, 6)
            if self._selection.is_over(timestamp_s):
                break
            if not selected(number, timestamp_s):
                continue
            try:
                decoded = decode_image(path)
            except ImageReadError as error:
                self._unreadable.append(str(error))
                continue
            found = True
            for text in decoded.warnings:
                self._noted[text] = self._noted.get(text, 0) + 1
            yield Frame(decoded.pixels, timestamp_s, number)
        if self._unreadable and not found:
            raise VideoReadError(
                f"no picture of {self.info.name} can be read: {self._unreadable[0]}"
            )
        if not found:
            raise self._selection.nothing_in(self.info.name, timestamp_s)


def _number_in_name(path: Path) -> tuple[int, str]:
    """The last number in a file's name, for sorting; -1 where there is none."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else -1, path.name


def is_sequence(pictures: Sequence[Path]) -> bool:
    """Whether pictures are numbered: at least two, and their names differ only by a number."""
    stems = {re.sub(r"\d+(?=\D*$)", "#", path.stem, count=1) for path in pictures}
    return len(pictures) > 1 and len(stems) == 1 and "#" in stems.pop()


def _frame_numbers(pictures: Sequence[Path]) -> list[int]:
    """Frame numbers from 0; without distinct numbers in the names, the positions."""
    numbers = [_number_in_name(path)[0] for path in pictures]
    if numbers[0] < 0 or len(set(numbers)) < len(numbers):
        return list(range(len(pictures)))
    return [number - numbers[0] for number in numbers]


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
            f"expected a video, got the list {path}: use --list for a table, or @{path} for a "
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
            ordered = tuple(sorted(files, key=_number_in_name))
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
        yield Clip(name, folder.absolute(), tuple(sorted(pictures, key=_number_in_name)))
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
    pictures = sorted((p for p in names if pattern.fullmatch(p.name)), key=_number_in_name)
    if not pictures:
        raise VideoReadError(f"expected pictures like {path}, but there are none")
    return Clip(path, folder.absolute(), tuple(pictures))


def _lines(path: Path) -> list[str]:
    """The entries of a text file; relative paths are relative to its folder."""
    if path.suffix.lower() in (".csv", ".tsv"):
        raise InputError(f"expected a text file after @, got {path}: use --list for a table")
    try:
        lines = list(text_lines(path.open("rb"), str(path)))
    except OSError as error:
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
        InputError: a clip is missing, or its cell is empty.
    """
    found: list[Clip] = []
    for row in rows:
        if not row["clip"].strip():  # the folder itself, with all that is in it
            others = ", ".join(value for name, value in row.items() if name != "clip" and value)
            raise InputError(
                "expected a file, a folder or a pattern in the column clip of each row, got an "
                f"empty cell beside {others or 'empty cells'}"
            )
        columns = {name: value for name, value in row.items() if name != "clip"}
        # Absolute, so that results have the same names from every working folder.
        clips = find_clips([str(folder.absolute() / row["clip"])], sequence_fps=sequence_fps)
        for clip in clips:
            name = row["clip"] if len(clips) == 1 else f"{row['clip']}/{clip.name}"
            found.append(replace(clip, name=name, columns=columns))
    return found
