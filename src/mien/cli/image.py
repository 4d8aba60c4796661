"""``mien image``: analyze images."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer

from mien.cli.console import ProgressBar, print_error
from mien.cli.options import takes_settings
from mien.cli.output import (
    AnnotatedOutput,
    CsvOutput,
    JsonLinesOutput,
    JsonOutput,
    Output,
    TableOutput,
)
from mien.config import Settings
from mien.errors import ImageReadError, InputError
from mien.media.images import read_image
from mien.media.inputs import STDIN, ImageInput, find_images
from mien.pipeline import FacePipeline
from mien.types import Image

app = typer.Typer(add_completion=False)


@app.command(
    epilog="Exit status: 0 all analyzed, 1 some inputs failed, 2 invalid usage. "
    "Expressions are apparent: what a face shows, not what a person feels."
)
@takes_settings
def image(  # noqa: PLR0917
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders (searched recursively) or patterns; - reads stdin.",
            show_default=False,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print one JSON document per line, one per image.")
    ] = False,
    csv: Annotated[
        str | None,
        typer.Option(
            help="Write one row per face to this file; - writes to stdout.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            help="Write annotated images to this folder.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    blur_faces: Annotated[
        bool,
        typer.Option("--blur-faces", help="Blur the detected faces in the annotated images."),
    ] = False,
    points: Annotated[
        bool,
        typer.Option("--points", help="Include the landmark coordinates, and draw them."),
    ] = False,
    *,
    settings: Settings,
) -> None:
    """Analyze images: faces, landmarks, apparent expressions, quality."""
    if json + jsonl + (csv == "-") > 1:
        raise typer.BadParameter(
            "expected at most one of --json, --jsonl and --csv -, because all print to stdout"
        )
    if blur_faces and annotate is None:
        raise typer.BadParameter("expected --annotate FOLDER together with --blur-faces")
    inputs = list(find_images(paths, exclude=annotate))
    pipeline = FacePipeline(settings)
    printing = json or jsonl or csv == "-"
    bar = ProgressBar(len(inputs), "images", enabled=not (printing and sys.stdout.isatty()))
    outputs: list[Output] = []
    with bar, contextlib.ExitStack() as stack:
        if csv is not None:
            file = sys.stdout if csv == "-" else stack.enter_context(_writable(csv))
            outputs.append(CsvOutput(file, pipeline.classifier.spec.labels))
        if annotate is not None:
            outputs.append(AnnotatedOutput(annotate, blur_faces=blur_faces, landmarks=points))
        if json:
            outputs.append(JsonOutput(sys.stdout, landmarks=points))
        elif jsonl:
            outputs.append(JsonLinesOutput(sys.stdout, landmarks=points))
        elif csv != "-":
            outputs.append(TableOutput(bar))
        for output in outputs:
            stack.callback(output.close)
        failed = [_analyze(entry, pipeline, outputs, bar) for entry in inputs].count(False)
    if failed:
        raise typer.Exit(1)


def _analyze(
    entry: ImageInput, pipeline: FacePipeline, outputs: list[Output], bar: ProgressBar
) -> bool:
    """Analyze one image. Return False, after reporting the error, if it cannot be read."""
    try:
        pixels = _read(entry, pipeline.settings.max_megapixels)
        result = pipeline.analyze(pixels, source=entry.source)
    except InputError as error:
        bar.hide()
        print_error(str(error))
        for output in outputs:
            output.fail(entry.source, str(error))
        return False
    for output in outputs:
        output.add(result, pixels, entry.relative)
    bar.advance()
    return True


def _read(entry: ImageInput, max_megapixels: float) -> Image:
    if entry.problem is not None:
        raise ImageReadError(entry.problem)
    source = sys.stdin.buffer if entry.source == STDIN else entry.source
    return read_image(source, max_megapixels=max_megapixels)


@contextlib.contextmanager
def _writable(path: str) -> Iterator[TextIO]:
    # A file name that is not valid text is written as its original bytes.
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield file
