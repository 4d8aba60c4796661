"""How training reports on a terminal; shared by ``mien train`` and ``mien export``."""

import contextlib
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.cli.console import stdout_console
from mien.runtime.catalog import CatalogEntry
from mien.training.progress import Progress as Step
from mien.training.progress import Told


@contextlib.contextmanager
def told_on_terminal() -> Iterator[Told]:
    """Bars on stderr: for pictures prepared, for the teachers' answers, for the epoch that runs.

    Where stderr is a file, which shows no bars, each epoch leaves a line there.
    """
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    pictures = bars.add_task("aligning faces", visible=False)
    lessons = bars.add_task("asking the teachers", visible=False)
    steps = bars.add_task("", visible=False)

    def prepared(done: int, total: int) -> None:
        bars.update(pictures, completed=done, total=total, visible=True)

    def answered(done: int, total: int) -> None:
        bars.update(lessons, completed=done, total=total, visible=True)

    def trained(step: Step) -> None:
        text = f"epoch {step.epoch + 1}/{step.epochs}, loss {step.loss:.3f}"
        total = step.steps * step.epochs
        bars.update(
            steps,
            description=text,
            completed=step.epoch * step.steps + step.step,
            total=total,
            visible=True,
        )
        if step.step == step.steps and not bars.console.is_terminal:
            bars.console.print(text)

    def stage(text: str) -> None:
        bars.console.print(text)

    with bars:
        yield Told(prepared, answered, trained, stage)


def print_files(entries: Sequence[CatalogEntry]) -> None:
    """A table of the files written, with their main figures."""
    if not entries:
        return
    table = Table("file", "MB", "figure", "value", box=None)
    for entry in entries:
        size = f"{entry.path.stat().st_size / 1e6:.2f}"
        for name, value in entry.spec.metrics.items():
            table.add_row(str(entry.path), size, name, f"{value:.4f}")
    stdout_console().print(table)
