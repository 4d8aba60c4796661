"""``mien image``: analyze images, and write tables, JSON, CSV or annotated images.

Each output writes results one by one and keeps none in memory.
"""

import contextlib
import csv as csv_module
import dataclasses
import json as json_module
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, TextIO

import typer
from rich.table import Table
from rich.text import Text

from mien import drawing
from mien.cli.console import (
    ProgressBar,
    graceful_stop,
    print_error,
    print_warning,
    printable,
    stdout_console,
)
from mien.cli.options import DrawOption, NeutralOption, parse_draw, read_neutral, takes_settings
from mien.cli.output_files import ImageFiles, check_folders, check_outputs, naming
from mien.config import Settings
from mien.errors import ImageReadError, InputError, valid_text
from mien.imaging import LargeImage, OpenedImage
from mien.media.images import open_image
from mien.media.inputs import STDIN, ImageInput, find_images
from mien.pipeline import FacePipeline
from mien.types import SCHEMA_VERSION, Face, FrameResult, Image, face_columns

app = typer.Typer(add_completion=False)

# Long tables are printed in parts; the columns have fixed widths, so that the parts line up.
_TABLE_ROWS = 200
# Width of the first column when stdout is not a terminal.
_LONG_NAME = 38

_FOLDER: dict[str, Any] = {"metavar": "FOLDER", "show_default": False}

_Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders (searched recursively) or patterns; - reads stdin.", show_default=False
    ),
]
_JsonLines = Annotated[
    bool, typer.Option("--jsonl", help="Print one JSON document per line, one per image.")
]
_Csv = Annotated[
    str | None,
    typer.Option(
        help="Write one row per face to this file; - writes to stdout.",
        metavar="FILE",
        show_default=False,
    ),
]
_AllRows = Annotated[
    bool, typer.Option("--all-rows", help="Write a CSV row for each image without a face, too.")
]
_Annotate = Annotated[
    Path | None, typer.Option(help="Write annotated images to this folder.", **_FOLDER)
]
_Crops = Annotated[
    Path | None, typer.Option(help="Write each face as an image file to this folder.", **_FOLDER)
]
_BlurFaces = Annotated[
    bool, typer.Option("--blur-faces", help="Blur the detected faces in the annotated images.")
]
_Points = Annotated[
    bool, typer.Option("--points", help="Include the landmark coordinates, and draw them.")
]


@app.command(
    "image",
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 invalid usage. "
    "Expressions are apparent: what a face shows, not what a person feels.",
)
@takes_settings
def _image(
    paths: _Paths,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    jsonl: _JsonLines = False,
    csv: _Csv = None,
    all_rows: _AllRows = False,
    annotate: _Annotate = None,
    crops: _Crops = None,
    draw: DrawOption = None,
    blur_faces: _BlurFaces = False,
    points: _Points = False,
    neutral: NeutralOption = None,
    settings: Settings,
) -> None:
    """Analyze images: faces, landmarks, apparent expressions, quality."""
    if json + jsonl + (csv == "-") > 1:
        raise typer.BadParameter(
            "expected at most one of --json, --jsonl and --csv -, because all print to stdout"
        )
    if blur_faces and annotate is None:
        raise typer.BadParameter("expected --annotate FOLDER together with --blur-faces")
    if all_rows and csv is None:
        raise typer.BadParameter("expected --csv FILE together with --all-rows")
    check_folders({"--annotate": annotate, "--crops": crops}, paths)
    inputs = list(find_images(paths, exclude=[annotate, crops]))
    sources = [entry.source for entry in inputs]
    check_outputs([("--csv", csv, "table")], [*sources, *dataclasses.astuple(settings)])
    annotated, cut_out = _image_files(inputs, neutral, annotate, crops)
    layers, settings = parse_draw(draw, settings, None if annotate else "--annotate FOLDER")
    pipeline = FacePipeline(settings if neutral is None else settings.with_blendshapes())
    read_neutral(pipeline, neutral)
    printing = json or jsonl or csv == "-"
    bar = ProgressBar(len(inputs), "images", enabled=not (printing and sys.stdout.isatty()))
    outputs: list[_Output] = []
    with bar, contextlib.ExitStack() as stack:
        should_stop = stack.enter_context(graceful_stop(lambda: STDIN in paths))
        if csv is not None:
            file = sys.stdout if csv == "-" else stack.enter_context(_writable(csv))
            labels, moves = pipeline.classifier.spec.labels, pipeline.blendshapes is not None
            columns = [*face_columns(labels, still=True, blendshapes=moves)]
            outputs.append(_CsvOutput(file, columns, all_rows=all_rows))
        if annotated is not None:
            outputs.append(
                _AnnotatedOutput(annotated, blur_faces=blur_faces, draw=layers, landmarks=points)
            )
        if cut_out is not None:
            outputs.append(_CropsOutput(cut_out))
        if json:
            outputs.append(_JsonOutput(sys.stdout, landmarks=points))
        elif jsonl:
            outputs.append(_JsonLinesOutput(sys.stdout, landmarks=points))
        elif csv != "-":
            outputs.append(_TableOutput(bar))
        for output in outputs:
            stack.callback(output.close)
        failed = 0
        for entry in inputs:
            failed += not _analyze(entry, pipeline, outputs, bar)
            _check_interrupted(should_stop)
    if failed:
        raise typer.Exit(1)


def _image_files(
    inputs: Sequence[ImageInput], neutral: Path | None, annotate: Path | None, crops: Path | None
) -> tuple[ImageFiles | None, ImageFiles | None]:
    """Where annotated images and faces are written, if they would replace nothing else."""
    kept: list[str | Path] = [entry.source for entry in inputs]
    kept += [neutral] if neutral else []
    names = [entry.relative for entry in inputs if entry.problem is None]
    used: set[str] = set()
    annotated = ImageFiles(annotate, "--annotate", kept, used) if annotate else None
    if annotated is not None:
        annotated.check(names)
    cut_out = ImageFiles(crops, "--crops", kept, used) if crops else None
    if cut_out is not None:
        cut_out.check_faces(names)
    return annotated, cut_out


def _check_interrupted(should_stop: Callable[[], bool]) -> None:
    """Stop between two images, so that all outputs have the same ones."""
    if should_stop():
        raise KeyboardInterrupt


def _analyze(
    entry: ImageInput, pipeline: FacePipeline, outputs: "list[_Output]", bar: ProgressBar
) -> bool:
    """Analyze one image. Return False, after reporting the error, if it cannot be read."""
    try:
        opened = _read(entry, pipeline.settings.max_megapixels)
        result = pipeline.analyze_opened(opened, source=entry.name)
    except InputError as error:
        bar.hide()
        print_error(str(error))
        for output in outputs:
            output.fail(entry.name, valid_text(str(error)))
        return False
    for warning in result.warnings:
        bar.hide()
        print_warning(f"{entry.name}: {warning}")
    for output in outputs:
        output.add(result, opened.pixels, entry.relative)
    bar.advance()
    return True


def _read(entry: ImageInput, max_megapixels: float) -> OpenedImage:
    if entry.problem is not None:
        raise ImageReadError(entry.problem)
    source = sys.stdin.buffer if entry.source == STDIN else entry.source
    return open_image(source, max_megapixels=max_megapixels)


@contextlib.contextmanager
def _writable(path: str) -> Iterator[TextIO]:
    # No `with`: only errors of closing are named here, those of writing already are.
    file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
    try:
        yield file
    finally:
        with naming(path):
            file.close()


class _Output:
    """A destination for results."""

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
        """Write the result of one image, which has a relative path below an output folder."""
        raise NotImplementedError

    def fail(self, source: str, message: str) -> None:
        """Write that an image could not be analyzed."""

    def close(self) -> None:
        """Finish writing; also called after an interruption."""


class _JsonLinesOutput(_Output):
    """One result per line. Failures are reported on stderr only, so every line is a result."""

    def __init__(self, file: TextIO, *, landmarks: bool) -> None:
        self._file = file
        self._landmarks = landmarks

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
        self._file.write(json_module.dumps(result.to_dict(landmarks=self._landmarks)) + "\n")
        self._file.flush()


class _JsonOutput(_JsonLinesOutput):
    """One JSON document, written incrementally: schema_version, results, errors."""

    def __init__(self, file: TextIO, *, landmarks: bool) -> None:
        super().__init__(file, landmarks=landmarks)
        self._errors: list[dict[str, str]] = []
        self._separator = "\n"
        file.write(f'{{"schema_version": {SCHEMA_VERSION}, "results": [')

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
        document = json_module.dumps(result.to_dict(landmarks=self._landmarks))
        self._file.write(self._separator + document)
        self._separator = ",\n"

    def fail(self, source: str, message: str) -> None:
        self._errors.append({"source": source, "error": message})

    def close(self) -> None:
        self._file.write(f'\n], "errors": {json_module.dumps(self._errors)}}}\n')


class _CsvOutput(_Output):
    """One row per face, and if wanted one with empty cells for an image without faces."""

    def __init__(self, file: TextIO, columns: Sequence[str], *, all_rows: bool) -> None:
        self._file = file
        self._all_rows = all_rows
        self._writer = csv_module.DictWriter(
            file, columns, extrasaction="ignore", lineterminator="\n"
        )
        self._writer.writeheader()

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
        with naming(self._file.name):
            self._writer.writerows(result.to_rows(empty=self._all_rows))
            self._file.flush()


class _TableOutput(_Output):
    """A table for the terminal, printed in parts of a few hundred rows."""

    def __init__(self, bar: ProgressBar) -> None:
        self._console = stdout_console()
        self._bar = bar
        self._table = _empty_table(header=True)

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
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


class _AnnotatedOutput(_Output):
    """Annotated images, in the same subfolders as the originals."""

    def __init__(
        self, files: ImageFiles, *, blur_faces: bool, draw: Sequence[str], landmarks: bool
    ) -> None:
        self._files = files
        self._blur_faces = blur_faces
        self._draw = draw
        self._landmarks = landmarks

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
        image = image.whole() if isinstance(image, LargeImage) else image
        if self._blur_faces:
            image = drawing.blur_faces(image, result)
        drawn = drawing.annotate(
            image, result, draw=self._draw, landmarks=self._landmarks, extend=True
        )
        self._files.write(drawn, relative)


class _CropsOutput(_Output):
    """A file for each face, named by the image and the number of the face in the table."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files

    def add(self, result: FrameResult, image: Image | LargeImage, relative: PurePath) -> None:
        image = image.whole() if isinstance(image, LargeImage) else image
        for number, face in enumerate(result.faces, start=1):
            crop = drawing.cut_out(image, face.box)
            self._files.write(crop, self._files.face_name(relative, number))


def _empty_table(*, header: bool) -> Table:
    table = Table(box=None, show_header=header, expand=True, header_style="bold", pad_edge=False)
    table.add_column("Image", ratio=3, overflow="fold")
    table.add_column("Face", width=4, justify="right")
    table.add_column("Expression", width=12)
    table.add_column("Probability", width=11, justify="right")
    table.add_column("Runner-up", width=15)
    table.add_column("Size", width=7, justify="right")
    table.add_column("Warnings", ratio=2, overflow="fold")
    return table


def _name(source: str) -> Text:
    """The path of an image; a long one breaks after its folder, not within its name."""
    folder, slash, name = printable(source).rpartition("/")
    line_break = "\n" if slash and len(source) > _LONG_NAME else ""
    return Text.assemble((f"{folder}{slash}", "dim"), f"{line_break}{name}")


def _cells(face: Face) -> list[Any]:
    cells = ["", "", ""]
    warnings: list[str] = []
    if face.expression is not None:
        (top, probability), *others = face.expression.ranked()
        cells = [top.value, f"{probability:.0%}"]
        cells.append(f"{others[0][0].value} {others[0][1]:.0%}" if others else "")
        warnings += ["uncertain"] if face.expression.uncertain else []
    warnings += face.quality.reasons if face.quality else ()
    return [*cells, f"{face.box.width:.0f} px", Text(", ".join(warnings), style="yellow")]
