"""The table of commands. A command's module is imported when the command is used.

To add a command: write ``cli/NAME.py`` with ``app = typer.Typer(add_completion=False)`` and the
function under ``@app.command()`` (several functions make sub-commands), then add one line to
:data:`COMMANDS`. Everything that the command alone needs is imported in its module or deeper, so
that ``mien --help`` stays quick, and works where an extra is not installed. Raise MienError for
whatever goes wrong: this module prints it and chooses the exit status.
"""

import importlib
import io
import os
import sys
import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mien.cli.console import print_error
from mien.errors import (
    MienError,
    MissingExtraError,
    ModelError,
    ProviderError,
    SettingError,
)

FAILED = 1
"""Exit status when some inputs, or a check, failed."""
WRONG_USAGE = 2
"""Exit status when the command cannot be carried out as it was given; nothing was done."""
INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""
PIPE_CLOSED = 141
"""Exit status when the reader of our output went away: 128 + SIGPIPE."""

_USAGE_ERRORS = (SettingError, ModelError, ProviderError, MissingExtraError)


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is imported when it is used.

    Attributes:
        target: its module and the Typer application in it, as ``"module:name"``.
        help: one line for ``mien --help``.
        extra: the extra of mien that its imports need, if any.
    """

    target: str
    help: str
    extra: str | None = None

    def load(self, name: str) -> Any:
        """Import the command.

        Raises:
            MissingExtraError: something that the extra brings is not installed.
        """
        module_name, _, attribute = self.target.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if self.extra is None or missing == "mien":
                raise
            raise MissingExtraError(missing, self.extra, f"use `mien {name}`") from None
        return get_command(getattr(module, attribute))


# One line for each command, in the order of the help.
COMMANDS: dict[str, LazyCommand] = {
    "image": LazyCommand("mien.cli.image:app", "Tell the apparent expressions in photographs."),
    "video": LazyCommand(
        "mien.cli.video:app", "Turn videos into tables and reports.", extra="video"
    ),
    "live": LazyCommand("mien.cli.live:app", "Watch a camera as it happens.", extra="video"),
    "serve": LazyCommand("mien.cli.serve:app", "Serve the web page.", extra="web"),
    "evaluate": LazyCommand("mien.cli.evaluate:app", "Measure a model on labeled pictures."),
    "data": LazyCommand("mien.cli.data:app", "Check labeled data."),
    "explain": LazyCommand("mien.cli.explain:app", "Show which parts of a face decided."),
    "models": LazyCommand("mien.cli.models:app", "List, check, add and remove models."),
    "doctor": LazyCommand("mien.cli.doctor:app", "Look whether everything works here."),
    "settings": LazyCommand("mien.cli.settings:app", "List the settings and their values."),
    "schema": LazyCommand("mien.cli.schema:app", "Print the JSON Schema of the results."),
    "train": LazyCommand(
        "mien.cli.train:app", "Train an expression model of your own.", extra="train"
    ),
    "export": LazyCommand("mien.cli.export:app", "Export a trained model to ONNX.", extra="train"),
}


class _LazyGroup(TyperGroup):
    """Shows the table's commands, imports the one that is used, and reports errors."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in that knows only its name and help."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else TyperCommand(name=cmd_name, help=entry.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, stand_in, rest = super().resolve_command(ctx, args)
        if stand_in is None or name is None:
            return name, stand_in, rest
        return name, COMMANDS[name].load(name), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            value = super().invoke(ctx)
            sys.stdout.flush()
        except MienError as error:
            print_error(str(error))
            raise typer.Exit(WRONG_USAGE if isinstance(error, _USAGE_ERRORS) else FAILED) from None
        except BrokenPipeError:
            _let_go_of_stdout()
            raise typer.Exit(PIPE_CLOSED) from None
        except KeyboardInterrupt:
            print_error("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            print_error(f"{where}{error.strerror or error}")
            raise typer.Exit(FAILED) from None
        return value


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from mien import __version__

        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Apparent facial expressions from photographs, videos and live cameras.

    An expression is what a face apparently shows,
    and no evidence of what a person feels, thinks or intends.
    """
    # File names need not be text in the terminal's encoding; printing one must not fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Pillow warns of oddities in files that it reads all the same.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _let_go_of_stdout() -> None:
    """Point stdout elsewhere, so that Python's last flush does not complain of the closed pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
