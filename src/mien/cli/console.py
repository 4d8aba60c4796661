"""Printing for people: tables on stdout; errors and progress on stderr."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

_PIPED_WIDTH = 120
_BAR_DELAY_S = 2.0


class _StdoutConsole(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout_console() -> Console:
    """A console on stdout; of a fixed width where stdout is no terminal."""
    return _StdoutConsole(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)


def print_error(message: str) -> None:
    """Print ``Error: message`` on stderr; the message is taken as it is, brackets and all."""
    text = Text.assemble(("Error:", "bold red"), f" {message}")
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)


class ProgressBar:
    """A bar on stderr, shown after two seconds of work and only to a person at a terminal.

    Args:
        total: how many steps there will be; None where that is not known yet.
        what: the word before the bar.
        wanted: False where its lines would run into other output on the same terminal.
    """

    def __init__(self, total: int | None, what: str, *, wanted: bool = True) -> None:
        self._progress = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(what, total=total)
        self._wanted = wanted and total != 1 and sys.stderr.isatty()
        self._show_at = time.monotonic() + _BAR_DELAY_S
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hide()

    def advance(self, steps: int = 1) -> None:
        self._progress.advance(self._task, steps)
        if self._wanted and not self._shown and time.monotonic() >= self._show_at:
            self._progress.start()
            self._shown = True

    def set(self, done: int, total: int | None) -> None:
        """Say how far the work has come, where steps differ in size."""
        self._progress.update(self._task, completed=done, total=total)
        self.advance(0)

    def hide(self) -> None:
        """Take the bar away, so that something else can be printed; the next step shows it."""
        if self._shown:
            self._progress.stop()
            self._shown = False
