"""``mien data``: labeled data sets."""

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mien.cli.console import ProgressBar, stdout_console
from mien.evaluation.data_check import check as check_data
from mien.evaluation.readers import read_data
from mien.evaluation.readers.ferplus_npz import parse_labeling

app = typer.Typer(add_completion=False)

_NAMES_SHOWN = 5


@app.callback()
def data() -> None:
    """Labeled data sets, for training and evaluation."""


@app.command(epilog="Exit status: 0 nothing found wrong, 1 something was.")
def check(
    path: Annotated[
        Path,
        typer.Argument(
            help="A folder with one folder per expression, a CSV file of image,expression, "
            "fer2013.csv, FER+'s folders, or a .npz file.",
            metavar="DATA",
        ),
    ],
    labeling: Annotated[
        str, typer.Option(help="Whose labels, where there are two: ferplus or fer2013.")
    ] = "ferplus",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count classes; find unreadable files, label conflicts and twins across splits."""
    labeled = read_data(path, parse_labeling(labeling))
    with ProgressBar(len(labeled), "pictures") as bar:
        document = check_data(labeled, bar.set)
    if json:
        typer.echo(json_module.dumps(document, indent=2))
    else:
        _print(document)
    findings = ("unreadable", "across_splits", "label_conflicts")
    if document["left_out"] or any(document[finding]["count"] for finding in findings):
        raise typer.Exit(1)


def _print(document: dict[str, Any]) -> None:
    console = stdout_console()
    table = Table(box=None, header_style="bold")
    table.add_column("Expression")
    splits = document["counts"]
    for split in splits:
        table.add_column("Pictures" if split == "-" else split, justify="right")
    for label in next(iter(splits.values())):
        table.add_row(label, *(str(counts[label]) for counts in splits.values()))
    console.print(table)
    console.print(f"{document['n']} rows, {document['unlabeled']} of them without a usable label")
    _print_named("cannot be read", document["unreadable"])
    for reason, named in document["left_out"].items():
        _print_named(f"left out: {reason}", named)
    twins = document["near_duplicates"]
    console.print(f"{twins['rows']} near-duplicates in {twins['groups']} groups")
    if "known_near_duplicates" in document:
        known = document["known_near_duplicates"]
        console.print(
            f"  of the {known['pairs']} pairs that the data set tells, {known['recall']:.1%} are "
            f"among the {known['found']} found; {known['precision']:.1%} of these are right"
        )
    _print_named("training rows are twins of held-out ones", document["across_splits"])
    conflicts = document["label_conflicts"]
    if conflicts["count"]:
        console.print(f"{conflicts['count']} groups of twins have different labels, such as")
        for group in conflicts["groups"][:_NAMES_SHOWN]:
            typer.echo("  " + ", ".join(f"{name} {label}" for name, label in group.items()))


def _print_named(what: str, named: dict[str, Any]) -> None:
    if named["count"]:
        shown = ", ".join(named["names"][:_NAMES_SHOWN])
        more = ", …" if named["count"] > _NAMES_SHOWN else ""
        typer.echo(f"{named['count']} {what}: {shown}{more}")
