"""``mien data``: labeled data sets."""

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien.cli.console import ProgressBar, printable, stdout_console
from mien.cli.options import DATA_HELP, JsonFlag, LabelingOption
from mien.evaluation.data_check import check as check_data
from mien.evaluation.readers import read_data

app = typer.Typer(add_completion=False)

_NAMES_SHOWN = 5


@app.callback()
def data() -> None:
    """Labeled data sets, for training and evaluation."""


@app.command(epilog="Exit status: 0 no problems found, 1 problems found.")
def check(
    path: Annotated[Path, typer.Argument(help=DATA_HELP, metavar="DATA")],
    labeling: LabelingOption = "ferplus",
    json: JsonFlag = False,
) -> None:
    """Count classes; find unreadable files, label conflicts and duplicates across splits."""
    labeled = read_data(path, labeling)
    with ProgressBar(len(labeled), "pictures") as bar:
        report = check_data(labeled, bar.set)
    if json:
        typer.echo(json_module.dumps(report, indent=2))
    else:
        _print(report)
    findings = ("unreadable", "across_splits", "label_conflicts")
    if report["left_out"] or any(report[finding]["count"] for finding in findings):
        raise typer.Exit(1)


def _print(report: dict[str, Any]) -> None:
    console = stdout_console()
    table = Table(box=None, header_style="bold")
    table.add_column("Expression")
    splits = report["counts"]
    for split in splits:
        table.add_column("Pictures" if split == "-" else split, justify="right")
    for label in next(iter(splits.values())):
        table.add_row(label, *(str(counts[label]) for counts in splits.values()))
    console.print(table)
    console.print(f"{report['n']} rows, {report['unlabeled']} of them without a usable label")
    _print_named("cannot be read", report["unreadable"])
    for reason, named in report["left_out"].items():
        _print_named(f"left out: {reason}", named)
    duplicates = report["near_duplicates"]
    console.print(f"{duplicates['rows']} near-duplicates in {duplicates['groups']} groups")
    if "known_near_duplicates" in report:
        known = report["known_near_duplicates"]
        console.print(
            f"  {known['pairs']} pairs are known: recall {known['recall']:.1%}, precision "
            f"{known['precision']:.1%} of the {known['found']} pairs found"
        )
    _print_named("training rows have duplicates in other splits", report["across_splits"])
    conflicts = report["label_conflicts"]
    if conflicts["count"]:
        console.print(f"{conflicts['count']} groups of duplicates have different labels, such as")
        for group in conflicts["groups"][:_NAMES_SHOWN]:
            listed = ", ".join(f"{name} {label}" for name, label in group.items())
            typer.echo(printable(f"  {listed}"))


def _print_named(what: str, named: dict[str, Any]) -> None:
    if named["count"]:
        shown = ", ".join(named["names"][:_NAMES_SHOWN])
        more = ", …" if named["count"] > _NAMES_SHOWN else ""
        typer.echo(printable(f"{named['count']} {what}: {shown}{more}"))
