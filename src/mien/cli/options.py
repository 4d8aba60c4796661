"""Settings on the command line: an option for each; ``mien settings`` and ``mien schema``."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mien import config
from mien.cli.console import print_json, stdout_console
from mien.config import Settings
from mien.drawing import LAYERS
from mien.errors import InputError, SettingError
from mien.types import result_schema

if TYPE_CHECKING:
    from mien.pipeline import FacePipeline

app = typer.Typer(add_completion=False)
schema_app = typer.Typer(add_completion=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DrawOption = Annotated[
    str | None,
    typer.Option(
        "--draw",
        help="Also draw these in the annotated pictures: mesh, gaze, aus, with commas between "
        "them. Gaze and aus turn on --blendshapes.",
        metavar="LIST",
        show_default=False,
    ),
]
NeutralOption = Annotated[
    Path | None,
    typer.Option(
        "--neutral",
        help="Measure action units from this photograph of the same person at rest; also "
        "turns on --blendshapes.",
        metavar="PHOTO",
        show_default=False,
    ),
]
NeutralTrackOption = Annotated[
    int,
    typer.Option(
        "--neutral-track",
        help="The track that --neutral shows, where several people are in view; 0: the only one.",
        metavar="NUMBER",
        min=0,
    ),
]
_PANEL = "Settings (see also: mien settings)"


def takes_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command with an option for each setting, ``--preset`` and ``--blendshapes``.

    The command receives them as its keyword argument ``settings``. An option overrides the preset,
    the preset the environment, and the environment the default.
    """
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "settings"]
    table = config.describe()
    options = [_preset_option(), _blendshapes_option(), *(_option(facts) for facts in table)]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        chosen = _preset(values.pop("preset"))
        blendshapes = values.pop("blendshapes")
        given = {facts["name"]: values.pop(facts["name"]) for facts in table}
        chosen.update({name: value for name, value in given.items() if value is not None})
        settings = Settings.from_environment(**chosen)
        function(**values, settings=settings.with_blendshapes() if blendshapes else settings)

    parameters = [*own, *options]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return command


def parse_draw(
    text: str | None, settings: Settings, missing: str | None = None
) -> tuple[tuple[str, ...], Settings]:
    """The layers of ``--draw``, and the settings that they need.

    Without the `missing` option there is nothing to draw on.
    """
    if text is not None and missing is not None:
        raise typer.BadParameter(f"expected {missing} together with --draw")
    layers = tuple(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))
    unknown = [word for word in layers if word not in LAYERS]
    if unknown or (text is not None and not layers):
        raise SettingError(
            f"expected --draw with {', '.join(LAYERS)}, got {', '.join(unknown) or 'nothing'}"
        )
    return layers, settings.with_blendshapes() if {"gaze", "aus"} & {*layers} else settings


def read_neutral(pipeline: "FacePipeline", photograph: Path | None) -> None:
    """Give a pipeline the face of ``--neutral``; it must read blendshapes.

    Raises:
        InputError: not one face in it, or the file cannot be read.
    """
    if photograph is None:
        return
    # Not for the commands that load no model.
    from mien.media.images import open_image
    from mien.tracking.smoothing import resting_face

    try:
        opened = open_image(photograph, max_megapixels=pipeline.settings.max_megapixels)
        pipeline.neutral = resting_face(pipeline.analyze_opened(opened))
    except InputError as error:
        name = "" if str(photograph) in str(error) else f" {photograph}"
        raise type(error)(f"--neutral{name}: {error}") from error


def _preset(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in config.PRESETS:
        raise SettingError(f"expected one of the presets {', '.join(config.PRESETS)}, got {name!r}")
    return dict(config.PRESETS[name])


def _preset_option() -> inspect.Parameter:
    contents = "; ".join(
        f"{name}: {', '.join(f'{key} {value}' for key, value in bundle.items())}"
        for name, bundle in config.PRESETS.items()
    )
    return _parameter(
        "preset", str, f"A named set of settings ({contents}).", choices=tuple(config.PRESETS)
    )


def _blendshapes_option() -> inspect.Parameter:
    option = typer.Option(
        "--blendshapes",
        help="Measure blendshapes, action units and gaze: short for --landmarks "
        f"{config.BLENDSHAPE_LANDMARKS}.",
        rich_help_panel=_PANEL,
    )
    return inspect.Parameter(
        "blendshapes",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[bool, option],
    )


def _option(facts: dict[str, Any]) -> inspect.Parameter:
    return _parameter(
        facts["name"],
        type(facts["default"]),
        facts["help"],
        choices=facts.get("choices", ()),
        default=facts["default"],
    )


def _parameter(
    name: str, kind: type[Any], help_text: str, *, choices: tuple[str, ...], default: Any = None
) -> inspect.Parameter:
    if default not in (None, "default"):  # which is explained in the text
        help_text = f"{help_text} Default: {default}."
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=help_text,
        show_default=False,
        metavar="|".join(choices) or None,
        autocompletion=(lambda: list(choices)) if choices else None,
        rich_help_panel=_PANEL,
    )
    # None means that the option was not given; Settings has the default.
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


@app.command("settings")
def _list_settings(json: JsonFlag = False) -> None:
    """List the settings with their environment variables, defaults and current values."""
    values = dataclasses.asdict(Settings.from_environment())
    rows = [{**facts, "value": values[facts["name"]]} for facts in config.describe()]
    if json:
        print_json(rows)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("Setting", "Environment", "Default", "Value", "Description"):
        table.add_column(title, overflow="fold")
    for row in rows:
        changed = "bold" if row["value"] != row["default"] else ""
        table.add_row(
            row["name"],
            row["environment"],
            str(row["default"]),
            Text(str(row["value"]), style=changed),
            Text(row["help"]),
        )
    stdout_console().print(table)


@schema_app.command("schema")
def _print_schema() -> None:
    """Print the JSON Schema of the results that --json and --jsonl give."""
    print_json(result_schema())
