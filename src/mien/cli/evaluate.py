"""``mien evaluate``: measure a model on labeled pictures."""

import dataclasses
import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markdown import Markdown

from mien.cli.console import ProgressBar, stdout_console
from mien.cli.options import DATA_HELP, LabelingOption, takes_settings
from mien.cli.output_files import JSON_ENDINGS, MARKDOWN_ENDINGS, check_images, check_outputs
from mien.config import Settings
from mien.errors import SettingError
from mien.evaluation.predict import Predictions, Selection
from mien.evaluation.readers import read_data
from mien.evaluation.report import (
    PLOT_FILES,
    read_predictions,
    to_markdown,
    write_json,
    write_plots,
)
from mien.evaluation.report import evaluate as run_evaluation
from mien.evaluation.summary import compare as compare_predictions
from mien.evaluation.summary import compared_markdown
from mien.labels import Expression, ReadLabels, labels_of, parse_expression
from mien.pipeline import FacePipeline

app = typer.Typer(add_completion=False)

_Data = Annotated[Path | None, typer.Argument(help=DATA_HELP, show_default=False)]
_Crops = Annotated[
    bool | None,
    typer.Option(
        "--crops/--photographs",
        help="Treat the pictures as tight face crops, or as photographs for the whole "
        "pipeline. By default FER2013 and FER+ are crops and other data are photographs.",
        show_default=False,
    ),
]
_Labels = Annotated[
    list[str] | None,
    typer.Option(help="Allow only these expressions, separated by commas.", metavar="NAMES"),
]
_Split = Annotated[
    str | None,
    typer.Option(
        help="Split: train, valid, test or all. By default valid if there is one, else all.",
        show_default=False,
    ),
]
_Slices = Annotated[
    list[str] | None,
    typer.Option("--slice", help="Add figures for each value of a column.", metavar="COLUMN"),
]
_Robustness = Annotated[
    bool, typer.Option("--robustness", help="Measure accuracy under corruption as well.")
]
_Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(help="Compare two models, or two files of --json, on the same pictures."),
]
_Domains = Annotated[
    Path | None,
    typer.Option(
        help="Measure on every data set of a TOML file, before and after adaptation with ten "
        "pictures of each label.",
        metavar="FILE.toml",
    ),
]
_Json = Annotated[
    str | None, typer.Option(help="Write all results as JSON; - for stdout.", metavar="FILE")
]
_Markdown = Annotated[
    Path | None, typer.Option(help="Write the tables as Markdown.", metavar="FILE")
]
_Plots = Annotated[Path | None, typer.Option(help="Write plots as PNG.", metavar="FOLDER")]


@app.command(epilog="Data formats and the meaning of each figure: docs/evaluation.md.")
@takes_settings
def evaluate(
    data: _Data = None,
    *,
    crops: _Crops = None,
    labels: _Labels = None,
    split: _Split = None,
    slices: _Slices = None,
    labeling: LabelingOption = "ferplus",
    limit: Annotated[int, typer.Option(help="Maximum number of pictures; 0 for all.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 0,
    robustness: _Robustness = False,
    compare: _Compare = None,
    domains: _Domains = None,
    json: _Json = None,
    markdown: _Markdown = None,
    plots: _Plots = None,
    settings: Settings,
) -> None:
    """Measure a model on labeled pictures.

    A missed face and the wrong face count as wrong.
    """
    check_outputs(
        [("--json", json, JSON_ENDINGS), ("--markdown", markdown, MARKDOWN_ENDINGS)],
        [data, domains, *(compare or ()), *dataclasses.astuple(settings)],
    )
    check_images(plots, "--plots", PLOT_FILES)
    if domains is not None:
        _run_domains(domains, settings, json, markdown)
        return

    def run(settings: Settings) -> tuple[dict[str, Any], Predictions]:
        if data is None:
            raise SettingError(
                "expected a data set with labeled pictures: mien evaluate DATA, or two JSON files "
                "for --compare"
            )
        pipeline = FacePipeline(settings)
        read_labels = labels_of(pipeline.classifier.spec.labels)
        labeled = read_data(data, labeling, read_labels)
        only = _parse_labels(labels, read_labels) if labels else None
        with ProgressBar(len(labeled), "pictures") as bar:
            return run_evaluation(
                labeled,
                pipeline,
                Selection(crops=crops, split=split, only=only, limit=limit, seed=seed),
                slices=tuple(slices or ()),
                robustness=robustness,
                progress=bar.set,
            )

    if compare is not None:
        a, b = (
            read_predictions(Path(name))
            if name.endswith(".json")
            else run(dataclasses.replace(settings, model=name))[1]
            for name in compare
        )
        summary = compare_predictions(a, b, seed=seed)
        _show(summary, compared_markdown(summary), json, markdown)
        return
    summary, _ = run(settings)
    if plots is not None:
        write_plots(summary, plots)
    _show(summary, to_markdown(summary), json, markdown)


def _run_domains(path: Path, settings: Settings, json: str | None, markdown: Path | None) -> None:
    from mien.adaptation import domains

    with ProgressBar(None, "pictures") as bar:
        results = domains.measure_domains(
            domains.read_domains(path), FacePipeline(settings), bar.set
        )
    _show({"results": results}, domains.to_markdown(results), json, markdown)


def _parse_labels(names: Sequence[str], read_labels: ReadLabels) -> tuple[Expression, ...]:
    words = [word for name in names for word in name.split(",") if word.strip()]
    meaning = read_labels(words)
    return tuple(dict.fromkeys(meaning.get(w) or parse_expression(w) for w in words))


def _show(summary: dict[str, Any], page: str, json: str | None, markdown: Path | None) -> None:
    if markdown is not None:
        markdown.write_text(page, encoding="utf-8")
    if json == "-":
        typer.echo(json_module.dumps(summary))
        return
    if json is not None:
        write_json(Path(json), summary)
    stdout_console().print(Markdown(page))
