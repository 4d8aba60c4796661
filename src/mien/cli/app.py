"""The table of commands. The module of a command is imported when the command runs.

To add a command, write ``cli/NAME.py`` with ``app = typer.Typer(add_completion=False)`` and a
function decorated with ``@app.command()`` (several functions become subcommands), then add a line
to :data:`COMMANDS`. Import what only this command needs in its module or deeper: ``mien --help``
then stays fast and works without the extras. Raise a MienError on failure; this module prints it
and chooses the exit status.
"""

import contextlib
import dataclasses
import difflib
import importlib
import io
import itertools
import os
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mien.cli.console import print_error, print_warning
from mien.errors import MienError, MissingExtraError, ModelError, ProviderError, SettingError
from mien.reader import variable_of

# Read by tests and tools.
_NOT_OF_COMMANDS = {"MIEN_SHARED_DATA"}

_FAILED = 1
"""Exit status when some inputs or a check failed."""
_WRONG_USAGE = 2
"""Exit status when the arguments or settings are invalid; nothing was done."""
_INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as in shells."""
_PIPE_CLOSED = 141
"""Exit status when the reader of stdout closed the pipe: 128 + SIGPIPE."""

# Of Click, which Typer may contain.
_UsageError: Any = typer.BadParameter.__base__
_USAGE_ERRORS = (SettingError, ModelError, ProviderError, MissingExtraError)


@dataclass(frozen=True, slots=True)
class _LazyCommand:
    """A command that is imported when it runs."""

    target: str  # the module and the Typer application in it, as "module:name"
    help: str
    extra: str | None = None  # which the command requires

    def load(self, name: str) -> Any:
        module_name, _, attribute = self.target.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if self.extra is None or missing == "mien":
                raise
            raise MissingExtraError(missing, self.extra, f"use `mien {name}`") from None
        return get_command(getattr(module, attribute))


# In the order of ``mien --help``.
COMMANDS: dict[str, _LazyCommand] = {
    "image": _LazyCommand("mien.cli.image:app", "Analyze images."),
    "video": _LazyCommand("mien.cli.video:app", "Analyze video files.", extra="video"),
    "batch": _LazyCommand(
        "mien.cli.batch:app", "Analyze many images and videos on a cluster.", extra="cluster"
    ),
    "summarize": _LazyCommand(
        "mien.cli.batch:summarize_app", "Summarize the output of a batch.", extra="cluster"
    ),
    "live": _LazyCommand("mien.cli.live:app", "Analyze a camera stream.", extra="video"),
    "report": _LazyCommand(
        "mien.cli.live:report_app", "Make the tables and the report of a recording again."
    ),
    "serve": _LazyCommand("mien.cli.serve:app", "Start the web application.", extra="web"),
    "export-site": _LazyCommand(
        "mien.cli.serve:export_app", "Write a site that analyzes images in the browser alone."
    ),
    "evaluate": _LazyCommand("mien.cli.evaluate:app", "Evaluate a model on labeled images."),
    "adapt": _LazyCommand("mien.cli.evaluate:adapt_app", "Adapt a model to your own labels."),
    "data": _LazyCommand("mien.cli.evaluate:data_app", "Check a labeled data set."),
    "explain": _LazyCommand(
        "mien.cli.evaluate:explain_app", "Show which parts of a face influence the result."
    ),
    "models": _LazyCommand("mien.cli.models:app", "List, check, add and remove models."),
    "doctor": _LazyCommand("mien.cli.doctor:app", "Check the installation."),
    "settings": _LazyCommand("mien.cli.options:app", "List the settings and their values."),
    "schema": _LazyCommand("mien.cli.options:schema_app", "Print the JSON Schema of the results."),
    "train": _LazyCommand("mien.cli.train:app", "Train an expression model.", extra="train"),
    "export": _LazyCommand(
        "mien.cli.train:export_app", "Export a trained model to ONNX.", extra="train"
    ),
}


class _LazyGroup(TyperGroup):
    """Lists the commands, imports the one that runs, and reports errors."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A placeholder with the name and help text only."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else TyperCommand(name=cmd_name, help=entry.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"expected a command, got {args[0]!r}{_advice(args)}")
        name, placeholder, rest = super().resolve_command(ctx, args)
        if placeholder is None or name is None:
            return name, placeholder, rest
        command = COMMANDS[name].load(name)
        _refuse_repeated(command, rest)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            # Ctrl-C while modules were imported ended the process; now it is reported.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return name, command, rest

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            return super().parse_args(ctx, args)  # shows the help
        with _errors_reported():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _errors_reported():
            value = super().invoke(ctx)
            sys.stdout.flush()
        return value


@contextlib.contextmanager
def _errors_reported() -> Iterator[None]:
    """Print an error of the command, and exit with its status."""
    try:
        yield
    except MienError as error:
        print_error(str(error))
        status = _WRONG_USAGE if isinstance(error, _USAGE_ERRORS) else _FAILED
        raise typer.Exit(status) from None
    except _UsageError as error:
        raise _reported(error) from None
    except BrokenPipeError:
        _discard_stdout()
        raise typer.Exit(_PIPE_CLOSED) from None
    except SystemExit as error:
        # Of Rich, which prints the help, and has opened stdout again.
        if isinstance(error.__context__, BrokenPipeError):
            raise typer.Exit(_PIPE_CLOSED) from None
        raise
    except KeyboardInterrupt:
        print_error("interrupted")
        raise typer.Exit(_INTERRUPTED) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print_error(f"{where}{error.strerror or error}")
        raise typer.Exit(_FAILED) from None


def _advice(args: list[str]) -> str:
    """What to write in place of the arguments, the first of which is no command."""
    close = difflib.get_close_matches(args[0].lower(), COMMANDS, n=1)
    if close:
        return f": did you mean mien {close[0]}?"
    if Path(args[0]).suffix or os.path.exists(args[0]):
        return f": did you mean mien image {args[0]} or mien video {args[0]} --out FOLDER?"
    return f" out of {', '.join(COMMANDS)}; see mien --help"


def _reported(error: Any) -> typer.Exit:
    """Print an error of usage in the form of the others."""
    own = error.message.startswith("expected")
    hint = f"; see {error.ctx.command_path} --help" if error.ctx and not own else ""
    print_error((error.message if own else error.format_message().rstrip(".")) + hint)
    return typer.Exit(_WRONG_USAGE)


def _refuse_repeated(command: Any, args: list[str]) -> None:
    """Refuse an option that is given twice, of which only one value would be used."""
    for arg in args:
        command = getattr(command, "commands", {}).get(arg, command)
    given = Counter(arg.partition("=")[0] for arg in itertools.takewhile("--".__ne__, args))
    for option in (one for one in command.params if one.param_type_name == "option"):
        times = sum(given[name] for name in option.opts)
        if times > 1 and not (option.multiple or option.is_flag or option.count):
            raise SettingError(f"expected {option.opts[0]} once, got it {times} times")


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _warn_of_unknown_variables() -> None:
    """Name the environment variables ``MIEN_…`` that nothing reads."""
    given = [name for name in os.environ if name.startswith("MIEN_")]
    if not given:
        return
    from mien.config import Settings
    from mien.web.config import WebConfig

    fields = (*dataclasses.fields(Settings), *dataclasses.fields(WebConfig))
    known = {"MIEN_DATA_DIR", *map(variable_of, fields)}
    for name in sorted(set(given) - known - _NOT_OF_COMMANDS):
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.75)
        advice = f"did you mean {' or '.join(close)}?" if close else "mien settings lists them"
        print_warning(f"the environment variable {name} is unknown and has no effect: {advice}")


def _print_version(requested: bool) -> None:
    if requested:
        from mien import __version__

        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Apparent facial expressions from photographs, videos and live cameras.

    An expression is what a face apparently shows.
    It is not evidence of what a person feels, thinks or intends.
    """
    # A file name may be invalid in the terminal's encoding; printing it must not fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _warn_of_unknown_variables()
    # Pillow warns about irregular files that it can read.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _discard_stdout() -> None:
    """Redirect stdout, so that the flush at exit does not fail on the closed pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
