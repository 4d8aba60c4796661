"""Command line options out of the table of settings."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from mien import config
from mien.config import Settings
from mien.errors import SettingError

_PANEL = "Settings (see also: mien settings)"


def takes_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting, and ``--preset``.

    The command gets them as its keyword argument ``settings``. An option wins over the preset, the
    preset over the environment, the environment over the default.
    """
    signature = inspect.signature(function, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "settings"]
    table = config.describe()
    options = [_preset_option(), *(_option(facts) for facts in table)]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        chosen = _preset(values.pop("preset"))
        given = {facts["name"]: values.pop(facts["name"]) for facts in table}
        chosen.update({name: value for name, value in given.items() if value is not None})
        function(**values, settings=Settings.from_environment(**chosen))

    parameters = [*own, *options]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return command


def _preset(name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in config.PRESETS:
        raise SettingError(f"expected a preset out of {', '.join(config.PRESETS)}, got {name!r}")
    return dict(config.PRESETS[name])


def _preset_option() -> inspect.Parameter:
    contents = "; ".join(
        f"{name}: {', '.join(f'{key} {value}' for key, value in bundle.items())}"
        for name, bundle in config.PRESETS.items()
    )
    return _parameter(
        "preset", str, f"Several settings at once ({contents}).", choices=tuple(config.PRESETS)
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
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=help_text,
        show_default=False if default is None else str(default),
        metavar="|".join(choices) or None,
        autocompletion=(lambda: list(choices)) if choices else None,
        rich_help_panel=_PANEL,
    )
    # None tells that the option was not given; the default itself comes from Settings.
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )
