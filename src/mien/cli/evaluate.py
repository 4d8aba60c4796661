"""``mien evaluate``: how right a model is."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown

from mien.cli.console import ProgressBar, stdout_console
from mien.cli.options import takes_settings
from mien.config import Settings
from mien.errors import SettingError
from mien.evaluation.compare import compare as compare_answers
from mien.evaluation.compare import to_markdown as comparison_to_markdown
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.evaluate import Question, parse_labels
from mien.evaluation.evaluate import evaluate as evaluate_pipeline
from mien.evaluation.plots import write_plots
from mien.evaluation.predictions import Answers
from mien.evaluation.readers import read_data
from mien.evaluation.readers.ferplus_npz import parse_labeling
from mien.evaluation.report import read_answers, to_markdown, write_json
from mien.pipeline import FacePipeline

app = typer.Typer(add_completion=False)


@app.command(epilog="What each figure means, and how data may lie: docs/evaluation.md.")
@takes_settings
def evaluate(  # noqa: PLR0917
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with one folder per expression, a CSV file of image,expression, "
            "fer2013.csv, FER+'s folders, or a .npz file.",
            show_default=False,
        ),
    ] = None,
    crops: Annotated[
        bool | None,
        typer.Option(
            "--crops/--photographs",
            help="Whether the pictures are tight face crops, or photographs for the whole "
            "pipeline. FER2013's are known to be crops; all else counts as photographs.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="Allow only these answers, with commas between them.", metavar="NAMES"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, valid, test or all; valid where there is one, else all.",
            show_default=False,
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slice", help="Figures for each value of this column.", metavar="COLUMN"),
    ] = None,
    labeling: Annotated[
        str, typer.Option(help="Whose labels, where there are two: ferplus or fer2013.")
    ] = "ferplus",
    limit: Annotated[int, typer.Option(help="At most so many pictures, at random.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn at random.", min=0)] = 0,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Measure under corruption as well: 36 times.")
    ] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two models, or two files of --json, on the same pictures."),
    ] = None,
    json: Annotated[
        str | None, typer.Option(help="Write everything here; - is stdout.", metavar="FILE")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the tables here.", metavar="FILE")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Write plots (PNG) here.", metavar="FOLDER")
    ] = None,
    *,
    settings: Settings,
) -> None:
    """Measure a model on labeled pictures.

    Figures are fractions; a missed face and the wrong face count as wrong.
    """
    question = Question(
        crops=crops,
        split=split,
        only=parse_labels(labels) if labels else None,
        slices=tuple(slices or ()),
        limit=limit,
        robustness=robustness,
        seed=seed,
    )
    labeled = None if data is None else read_data(data, parse_labeling(labeling))
    if compare is not None:
        a, b = (_answers(name, labeled, question, settings) for name in compare)
        document = compare_answers(a, b, seed=seed)
        _show(document, comparison_to_markdown(document), json, markdown)
        return
    if labeled is None:
        raise typer.BadParameter("expected a labeled data set: mien evaluate DATA")
    document, _ = _evaluate(labeled, question, settings)
    if plots is not None:
        write_plots(document, plots)
    _show(document, to_markdown(document), json, markdown)


def _answers(
    name: str, labeled: LabeledSet | None, question: Question, settings: Settings
) -> Answers:
    if name.endswith(".json"):
        return read_answers(Path(name))
    if labeled is None:
        raise SettingError(
            f"expected a data set to compare the model {name!r} on: "
            "mien evaluate DATA --compare A B"
        )
    return _evaluate(labeled, question, dataclasses.replace(settings, model=name))[1]


def _evaluate(
    labeled: LabeledSet, question: Question, settings: Settings
) -> tuple[dict[str, Any], Answers]:
    with ProgressBar(len(labeled), "pictures") as bar:
        return evaluate_pipeline(labeled, FacePipeline(settings), question, progress=bar.set)


def _show(document: dict[str, Any], page: str, json: str | None, markdown: Path | None) -> None:
    if markdown is not None:
        markdown.write_text(page, encoding="utf-8")
    if json == "-":
        typer.echo(json_module.dumps(document))
        return
    if json is not None:
        write_json(Path(json), document)
    stdout_console().print(Markdown(page))
