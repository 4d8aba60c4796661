"""Where results of stills go: a table, JSON, JSON lines, CSV, annotated pictures.

Every output takes one result after the other and keeps none, however many pictures there are.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Protocol, TextIO

import numpy as np
from PIL import Image as PillowImage
from rich.table import Table
from rich.text import Text

from mien import drawing
from mien.cli.console import ProgressBar, stdout_console
from mien.errors import SettingError
from mien.labels import Expression
from mien.types import (
    SCHEMA_VERSION,
    Affect,
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Image,
    Quality,
    Signals,
    flat_row,
)

# A table's columns have fixed widths, so that long ones can be printed piece by piece.
_TABLE_ROWS = 200
_JPEG_QUALITY = 92
# What the first column holds in a line where stdout is no terminal.
_LONG_NAME = 38


class Output(Protocol):
    """Something that results are written to."""

    def add(self, result: FrameResult, image: Image, relative: PurePath) -> None:
        """Write the result of one picture.

        Args:
            result: of the picture.
            image: its pixels.
            relative: its place in an output folder.
        """

    def fail(self, source: str, message: str) -> None:
        """Write that a picture could not be analyzed."""

    def close(self) -> None:
        """Write what remains; also called after an interruption."""


class JsonOutput:
    """One JSON document, written as it grows: schema_version, results, errors."""

    def __init__(self, file: TextIO, *, landmarks: bool) -> None:
        self._file = file
        self._landmarks = landmarks
        self._errors: list[dict[str, str]] = []
        self._separator = "\n"
        file.write(f'{{"schema_version": {SCHEMA_VERSION}, "results": [')

    def add(self, result: FrameResult, image: Image, relative: PurePath) -> None:
        document = json.dumps(result.to_dict(landmarks=self._landmarks))
        self._file.write(self._separator + document)
        self._separator = ",\n"

    def fail(self, source: str, message: str) -> None:
        self._errors.append({"source": source, "error": message})

    def close(self) -> None:
        self._file.write(f'\n], "errors": {json.dumps(self._errors)}}}\n')


class JsonLinesOutput:
    """One result on each line. Failures are told on stderr only, so that every line is a result."""

    def __init__(self, file: TextIO, *, landmarks: bool) -> None:
        self._file = file
        self._landmarks = landmarks

    def add(self, result: FrameResult, image: Image, relative: PurePath) -> None:
        self._file.write(json.dumps(result.to_dict(landmarks=self._landmarks)) + "\n")
        self._file.flush()

    def fail(self, source: str, message: str) -> None:
        pass

    def close(self) -> None:
        pass


class CsvOutput:
    """One row for each face; a picture without faces has none."""

    def __init__(self, file: TextIO, labels: Sequence[Expression]) -> None:
        self._file = file
        self._writer = csv.DictWriter(file, _columns(labels), lineterminator="\n")
        self._writer.writeheader()

    def add(self, result: FrameResult, image: Image, relative: PurePath) -> None:
        self._writer.writerows(result.to_rows())
        self._file.flush()

    def fail(self, source: str, message: str) -> None:
        pass

    def close(self) -> None:
        pass


class TableOutput:
    """A table for people, printed in pieces of a few hundred rows."""

    def __init__(self, bar: ProgressBar) -> None:
        self._console = stdout_console()
        self._bar = bar
        self._table = _empty_table(header=True)

    def add(self, result: FrameResult, image: Image, relative: PurePath) -> None:
        source = result.source or ""
        if not result.faces:
            self._table.add_row(_name(source), "", Text("no face", style="dim"))
        for number, face in enumerate(result.faces, start=1):
            self._table.add_row(_name(source if number == 1 else ""), str(number), *_cells(face))
        if self._table.row_count >= _TABLE_ROWS:
            self._print()

    def fail(self, source: str, message: str) -> None:
        self._table.add_row(_name(source), "", Text("not analyzed", style="red"))

    def close(self) -> None:
        self._print()

    def _print(self) -> None:
        if self._table.row_count:
            self._bar.hide()
            self._console.print(self._table)
            self._table = _empty_table(header=False)


class AnnotatedOutput:
    """Pictures with the results drawn in, in the folders that the originals have."""

    def __init__(self, folder: Path, *, blur_faces: bool, landmarks: bool) -> None:
        self._folder = folder
        self._blur_faces = blur_faces
        self._landmarks = landmarks
        self._taken: set[str] = set()

    def add(self, result: FrameResult, image: Image, relative: PurePath) -> None:
        if self._blur_faces:
            image = drawing.blur_faces(image, result)
        drawn = PillowImage.fromarray(drawing.annotate(image, result, landmarks=self._landmarks))
        path = self._folder / self._free_name(relative)
        if result.source is not None and _same_file(path, Path(result.source)):
            raise SettingError(
                f"{path}: the annotated picture would take the place of the original; "
                "choose another folder for --annotate"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            drawn.save(path)
        else:
            drawn.save(path, quality=_JPEG_QUALITY)

    def fail(self, source: str, message: str) -> None:
        pass

    def close(self) -> None:
        pass

    def _free_name(self, relative: PurePath) -> PurePath:
        suffix = ".png" if relative.suffix.lower() == ".png" else ".jpg"
        name = relative.with_suffix(suffix)
        number = 2
        while str(name).casefold() in self._taken:
            name = relative.with_name(f"{relative.stem}-{number}{suffix}")
            number += 1
        self._taken.add(str(name).casefold())
        return name


def _columns(labels: Sequence[Expression]) -> list[str]:
    """The columns of a face of which everything was measured; the header comes before the rows."""
    face = Face(
        Detection(Box(0, 0, 1, 1), score=1.0),
        expression=ExpressionScores(tuple(labels), np.full(len(labels), 1 / len(labels))),
        quality=Quality(size_px=1.0),
        affect=Affect(0.0, 0.0, ""),
        signals=Signals(),
    )
    return list(flat_row(FrameResult((face,), (1, 1)), face))


def _same_file(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


def _empty_table(*, header: bool) -> Table:
    table = Table(box=None, show_header=header, expand=True, header_style="bold", pad_edge=False)
    table.add_column("Picture", ratio=3, overflow="fold")
    table.add_column("Face", width=4, justify="right")
    table.add_column("Looks like", width=12)
    table.add_column("Share", width=5, justify="right")
    table.add_column("Next", width=15)
    table.add_column("Size", width=7, justify="right")
    table.add_column("Doubts", ratio=2, overflow="fold")
    return table


def _name(source: str) -> Text:
    """A picture's path; a long one is broken after its folder rather than within its name."""
    folder, slash, name = source.rpartition("/")
    line_break = "\n" if slash and len(source) > _LONG_NAME else ""
    return Text.assemble((f"{folder}{slash}", "dim"), f"{line_break}{name}")


def _cells(face: Face) -> list[Any]:
    cells = ["", "", ""]
    doubts: list[str] = []
    if face.expression is not None:
        (top, share), *others = face.expression.ranked()
        cells = [top.value, f"{share:.0%}"]
        cells.append(f"{others[0][0].value} {others[0][1]:.0%}" if others else "")
        doubts += ["uncertain"] if face.expression.uncertain else []
    doubts += face.quality.reasons if face.quality else ()
    return [*cells, f"{face.box.width:.0f} px", Text(", ".join(doubts), style="yellow")]
