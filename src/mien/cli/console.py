"""The terminal: tables on stdout, errors and progress on stderr, Ctrl-C."""

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mien.errors import valid_text

if TYPE_CHECKING:
    from mien.media.clips import Clip
    from mien.streaming.video import VideoProgress

_PIPED_WIDTH = 120
_BAR_DELAY_S = 2.0
# All but the line feed, and the marks that turn the direction of a text around.
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PlainConsole(Console):
    """A console that prints texts as they are: brackets in a name or a label are not markup."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


class _StdoutConsole(PlainConsole):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout_console() -> Console:
    """A console on stdout, with a fixed width if stdout is not a terminal."""
    return _StdoutConsole(width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def printable(text: str) -> str:
    """A text whose control characters, such as ESC in a file name, are shown and not obeyed."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", valid_text(text))


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print a document on stdout; without `indent` on one line."""
    # An encoding that lacks a character would put an escape there that is no JSON.
    is_unicode = sys.stdout.encoding.lower().startswith("utf")
    typer.echo(json.dumps(document, indent=indent, ensure_ascii=not is_unicode))


def print_error(message: str) -> None:
    """Print ``Error: message`` on stderr."""
    _print_line("Error:", "bold red", message)


def print_warning(message: str) -> None:
    """Print ``Warning: message`` on stderr."""
    _print_line("Warning:", "yellow", message)


def _print_line(word: str, style: str, message: str) -> None:
    text = Text.assemble((word, style), f" {printable(message)}")
    PlainConsole(stderr=True).print(text, soft_wrap=True)


def progress_bars(progress: ProgressColumn, *, transient: bool = True) -> Progress:
    """Bars on stderr; `progress` is the column between the bar and the remaining time."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        progress,
        TimeRemainingColumn(),
        console=PlainConsole(stderr=True),
        transient=transient,
    )


def text_progress() -> Progress:
    """Bars on stderr with the field `text` of each task; they show nothing but on a terminal."""
    bars = progress_bars(TextColumn("{task.fields[text]}", markup=False))
    bars.disable = not sys.stderr.isatty()
    return bars


class ProgressBar:
    """A progress bar on stderr, shown after two seconds and only on a terminal.

    It is not `enabled` where it would mix with other output on the same terminal.
    """

    def __init__(self, total: int | None, label: str, *, enabled: bool = True) -> None:
        self._progress = progress_bars(MofNCompleteColumn())
        self._task = self._progress.add_task(label, total=total)
        self._enabled = enabled and total != 1 and sys.stderr.isatty()
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
        if self._enabled and not self._shown and time.monotonic() >= self._show_at:
            self._progress.start()
            self._shown = True

    def set(self, done: int, total: int | None) -> None:
        """Set the number of completed steps and the total."""
        self._progress.update(self._task, completed=done, total=total)
        self.advance(0)

    def hide(self) -> None:
        """Hide the bar until the next step, so that other output can be printed."""
        if self._shown:
            self._progress.stop()
            self._shown = False


class ClipBars:
    """Progress bars on stderr, if it is a terminal: of the clip, and of several clips."""

    def __init__(self, clips: int) -> None:
        self._progress = text_progress()
        self._all = self._progress.add_task(
            "all clips", total=clips, text=f"0 of {clips}", visible=clips > 1
        )
        self._clips, self._done = clips, 0
        self._clip: Clip | None = None
        self._task: TaskID | None = None
        self._already = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        self._progress.stop()

    def show(self, clip: "Clip", now: "VideoProgress") -> None:
        """Show the progress of a clip."""
        if clip is not self._clip or self._task is None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(printable(clip.title), total=None, text="")
            self._clip, self._already = clip, now.frames - 1
        elapsed = self._progress.tasks[-1].elapsed
        rate = (now.frames - self._already) / elapsed if elapsed else 0.0
        self._progress.update(
            self._task,
            total=None if now.share is None else 1.0,
            completed=now.share or 0.0,
            text=f"{now.frames} frames, {rate:.0f} per second",
        )
        self._progress.update(self._all, completed=self._done + (now.share or 0.0))

    def advance(self) -> None:
        """One more clip is done."""
        self._done += 1
        text = f"{self._done} of {self._clips}"
        self._progress.update(self._all, completed=self._done, text=text)


@contextmanager
def graceful_stop(is_waiting: Callable[[], bool] = lambda: False) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT or SIGTERM was received.

    The first signal only sets this flag, so that the current frame is finished and no output is
    left half written. The second one raises KeyboardInterrupt, for a program that hangs; so does
    the first if `is_waiting` returns True, because then no frame is in progress.
    """
    stopped = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped or is_waiting():
            raise KeyboardInterrupt
        stopped = True

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may handle signals.
        yield lambda: False
        return
    previous = {number: signal.signal(number, handle) for number in _STOP_SIGNALS}
    try:
        yield lambda: stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
