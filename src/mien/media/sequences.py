"""Numbered pictures as the frames of a video."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.errors import ImageReadError, VideoReadError
from mien.media.images import decode_image
from mien.media.sources import Frame, Selection, SourceInfo

DEFAULT_RATE = 25.0


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
        self._pictures = sorted(pictures, key=number_in_name)
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
        names = {number_in_name(path)[0] for path in self._pictures}
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


def number_in_name(path: Path) -> tuple[int, str]:
    """The last number in a file's name, for sorting; -1 where there is none."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else -1, path.name


def is_sequence(pictures: Sequence[Path]) -> bool:
    """Whether pictures are numbered: at least two, and their names differ only by a number."""
    stems = {re.sub(r"\d+(?=\D*$)", "#", path.stem, count=1) for path in pictures}
    return len(pictures) > 1 and len(stems) == 1 and "#" in stems.pop()


def _frame_numbers(pictures: Sequence[Path]) -> list[int]:
    """Frame numbers from 0; without distinct numbers in the names, the positions."""
    numbers = [number_in_name(path)[0] for path in pictures]
    if numbers[0] < 0 or len(set(numbers)) < len(numbers):
        return list(range(len(pictures)))
    return [number - numbers[0] for number in numbers]
