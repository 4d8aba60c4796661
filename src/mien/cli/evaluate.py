"""``mien evaluate``, ``adapt``, ``data`` and ``explain``: what a model is measured by, and why."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np
import typer
from rich.markdown import Markdown
from rich.table import Table

from mien.cli.console import (
    ProgressBar,
    print_error,
    print_json,
    print_warning,
    printable,
    stdout_console,
)
from mien.cli.options import JsonFlag, takes_settings
from mien.cli.output_files import ImageFiles, check_images, check_outputs, naming
from mien.config import Settings
from mien.errors import InputError, SettingError, counted, valid_text
from mien.evaluation.data_check import check as check_data
from mien.evaluation.explain import MASKS, draw_explanation
from mien.evaluation.explain import explain as explain_image
from mien.evaluation.predict import Predictions, Selection
from mien.evaluation.readers import read_data
from mien.evaluation.report import (
    PLOT_FILES,
    read_predictions,
    require_matplotlib,
    to_markdown,
    write_json,
    write_plots,
)
from mien.evaluation.report import evaluate as run_evaluation
from mien.evaluation.summary import compare as compare_predictions
from mien.evaluation.summary import compared_markdown, first_names
from mien.labels import Expression, ReadLabels, labels_of, parse_expression
from mien.media.images import read_image
from mien.pipeline import FacePipeline

app = typer.Typer(add_completion=False)
adapt_app = typer.Typer(add_completion=False)
data_app = typer.Typer(add_completion=False)
explain_app = typer.Typer(add_completion=False)

_NAMES_SHOWN = 5

_DATA_HELP = (
    "Labeled pictures: a folder with one folder per label, a CSV file of image,label, "
    "fer2013.csv, FER+'s folders, or a .npz file."
)
_Labeling = Annotated[
    str, typer.Option(help="Labels to use where there are two: ferplus or fer2013.")
]
_Data = Annotated[Path | None, typer.Argument(help=_DATA_HELP, show_default=False)]
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


@app.command(
    "evaluate",
    epilog="Exit status: 0 measured, 1 unusable data, 2 invalid usage. Data formats and the "
    "meaning of each figure: the page 'Evaluate on your images' of the documentation.",
)
@takes_settings
def _evaluate(
    data: _Data = None,
    *,
    crops: _Crops = None,
    labels: _Labels = None,
    split: _Split = None,
    slices: _Slices = None,
    labeling: _Labeling = "ferplus",
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
        [("--json", json, "json"), ("--markdown", markdown, "markdown")],
        [data, domains, *(compare or ()), *dataclasses.astuple(settings)],
    )
    check_images(plots, "--plots", PLOT_FILES)
    if plots is not None:
        require_matplotlib()
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


def _show(
    summary: dict[str, Any], page: str, json: str | None, markdown: Path | None = None
) -> None:
    """Write the results to the files that are wanted; print them as JSON, or else as a page."""
    if markdown is not None:
        with naming(markdown):
            markdown.write_text(page, encoding="utf-8")
    if json == "-":
        print_json(summary, indent=None)
        return
    if json is not None:
        with naming(json):
            write_json(Path(json), summary)
    stdout_console().print(Markdown(printable(page)))


@adapt_app.command(
    "adapt",
    epilog="Exit status: 0 also where no better model was found, 1 unusable data, 2 invalid usage. "
    "The page 'Adapt to your labels' of the documentation explains it.",
)
@takes_settings
def _adapt(
    data: Annotated[Path, typer.Argument(help=_DATA_HELP, show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="ONNX file to write.", metavar="FILE.onnx")],
    crops: _Crops = None,
    labeling: _Labeling = "ferplus",
    json: _Json = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write the results as a page beside the model.")
    ] = False,
    settings: Settings,
) -> None:
    """Adapt a model to labels of your own, with 3 to 500 pictures of each.

    The labels may have any names. The model is written only if it is better than before.
    """
    from mien.adaptation import adapt as run_adaptation
    from mien.adaptation.report import to_html

    page = out.parent / f"{out.stem}.html"
    check_outputs(
        [
            ("--out", out, "model"),
            ("--json", json, "json"),
            ("--report", page if report else None, "page"),
        ],
        [data, *dataclasses.astuple(settings)],
    )
    with ProgressBar(None, "pictures") as bar:
        result = run_adaptation(
            data, out, crops=crops, labeling=labeling, settings=settings, progress=bar.set
        )
    document = result.to_dict()
    if report:
        with naming(page):
            page.write_text(to_html(document), encoding="utf-8")
    _show(document, result.to_markdown(), json)
    for warning in result.warnings:
        print_warning(warning)
    if result.model is not None and json != "-":
        typer.echo(f"wrote {result.model}; use it with --model {result.model}")


@data_app.callback()
def _data() -> None:
    """Labeled data sets, for training and evaluation."""


@data_app.command(
    "check",
    epilog="Exit status: 0 no problems found, 1 problems found or unusable data, 2 invalid usage.",
)
def _check(
    path: Annotated[Path, typer.Argument(help=_DATA_HELP, metavar="DATA")],
    labeling: _Labeling = "ferplus",
    json: JsonFlag = False,
) -> None:
    """Count labels; find unreadable files, near-duplicates with other labels or in other splits."""
    labeled = read_data(path, labeling)
    with ProgressBar(len(labeled), "pictures") as bar:
        report = check_data(labeled, bar.set)
    if json:
        print_json(report)
    else:
        _print_check(report)
    findings = ("unreadable", "across_splits", "label_conflicts")
    if report["left_out"] or any(report[finding]["count"] for finding in findings):
        raise typer.Exit(1)


def _print_check(report: dict[str, Any]) -> None:
    console = stdout_console()
    table = Table(box=None, header_style="bold")
    table.add_column("Expression")
    splits = report["counts"]
    for split in splits:
        table.add_column("Pictures" if split == "-" else split, justify="right")
    for label in next(iter(splits.values())):
        table.add_row(label, *(str(counts[label]) for counts in splits.values()))
    console.print(table)
    rows, unlabeled = counted(report["n"], "row"), report["unlabeled"]
    console.print(f"{rows}, {unlabeled} of them without a usable label")
    _print_named("cannot be read", report["unreadable"])
    for reason, named in report["left_out"].items():
        _print_named(f"left out: {reason}", named)
    duplicates = report["near_duplicates"]
    groups = counted(duplicates["groups"], "group")
    console.print(f"{counted(duplicates['rows'], 'near-duplicate')} in {groups}")
    if "known_near_duplicates" in report:
        known = report["known_near_duplicates"]
        console.print(
            f"  {known['pairs']} pairs are known: recall {known['recall']:.1%}, precision "
            f"{known['precision']:.1%} of the {known['found']} pairs found"
        )
    _print_named("training rows have duplicates in other splits", report["across_splits"])
    conflicts = report["label_conflicts"]
    if conflicts["count"]:
        groups = counted(conflicts["count"], "group")
        console.print(f"different labels in {groups} of duplicates, such as")
        for group in conflicts["groups"][:_NAMES_SHOWN]:
            listed = ", ".join(f"{name} {label}" for name, label in group.items())
            typer.echo(printable(f"  {listed}"))


def _print_named(what: str, named: dict[str, Any]) -> None:
    if named["count"]:
        shown = first_names(named["names"], named["count"])
        typer.echo(printable(f"{named['count']} {what}: {shown}"))


@explain_app.command(
    "explain",
    epilog="Exit status: 0 all explained, 1 some inputs failed, 2 invalid usage. An explanation "
    "describes the model, not the person.",
)
@takes_settings
def _explain(
    photographs: Annotated[list[Path], typer.Argument(help="Photographs.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder for the drawings, one per photograph.", metavar="FOLDER")
    ] = Path("explained"),
    masks: Annotated[
        int,
        typer.Option(help="Masks per face; more are more precise and slower.", min=2, max=100_000),
    ] = MASKS,
    seed: Annotated[int, typer.Option(help="Random seed of the masks.", min=0)] = 0,
    json: JsonFlag = False,
    *,
    settings: Settings,
) -> None:
    """Show which parts of each face determined its predicted expression."""
    files = ImageFiles(out, "--out", photographs, set())
    files.check(map(_explained_name, photographs))
    pipeline = FacePipeline(settings)
    documents, failures = [], 0
    with ProgressBar(len(photographs), "pictures", enabled=not json) as bar:
        for photograph in photographs:
            try:
                image = read_image(photograph, max_megapixels=settings.max_megapixels)
            except InputError as error:
                failures += 1
                bar.hide()
                print_error(str(error))
                continue
            result, explanations = explain_image(image, pipeline, masks=masks, seed=seed)
            drawn = [
                draw_explanation(image, face, explanation)
                for face, explanation in zip(result.faces, explanations, strict=True)
            ]
            path = None
            if drawn:
                path = files.write(np.vstack(drawn), _explained_name(photograph))
            faces = [
                {
                    "box": face.box.to_dict(),
                    "expression": explanation.expression.value,
                    "probability": round(explanation.probability, 4),
                    "parts": {name: round(s, 4) for name, s in explanation.parts.items()},
                }
                for face, explanation in zip(result.faces, explanations, strict=True)
            ]
            documents.append(
                {
                    "source": valid_text(str(photograph)),
                    "drawn": path and valid_text(str(path)),
                    "faces": faces,
                }
            )
            bar.hide()
            if not json:
                typer.echo(printable(f"{photograph}: {path or 'no face'}"))
            bar.advance()
    if json:
        print_json({"results": documents})
    if failures:
        raise typer.Exit(1)


def _explained_name(photograph: Path) -> PurePath:
    return PurePath(f"{photograph.stem}.explained.png")
