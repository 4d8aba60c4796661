"""Reading settings, recipes and model specs into dataclasses.

Parsed JSON or TOML and environment variables are checked against the types of a dataclass, and
against the range and the choices in the metadata of its fields.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mien.errors import DataError, MienError
from mien.labels import Expression, parse_expression

_T = TypeVar("_T")

_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}
_NOUNS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}


def setting(default: Any, description: str, **facts: Any) -> Any:
    """A field of a settings class.

    Args:
        default: its value where none is set.
        description: for help texts.
        **facts: `env`, its environment variable; `low` and `high`, its range; `choices`.
    """
    return dataclasses.field(default=default, metadata={"help": description, **facts})


def read(
    cls: type[_T], values: Any, *, error: type[MienError], where: str = "", prefix: str = ""
) -> _T:
    """Read parsed JSON or TOML into a dataclass.

    Args:
        cls: the dataclass; its fields may be dataclasses themselves.
        values: the mapping of field names to values; parts may be made already.
        error: raised for what cannot be read.
        where: end of the names in messages, for example ``" in recipe.toml"``.
        prefix: beginning of the names, for parts.

    Raises:
        MienError: `error`, for a key that is unknown or missing or a value that is invalid.
    """
    if not isinstance(values, Mapping):
        raise error(f"expected {prefix.rstrip('.') or 'a table'}{where} to be a table of keys "
                    f"and values, got {values!r:.80}")  # fmt: skip
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            known = ", ".join(prefix + name for name in fields)
            raise error(f"expected keys out of {known}{where}, got {prefix + key!r}")
        found[key] = _read_value(_hints(cls)[key], value, prefix + key, where, error)
    for name, field in fields.items():
        default = field.default, field.default_factory
        if name not in found and default == (dataclasses.MISSING, dataclasses.MISSING):
            raise error(f"expected {prefix + name}{where}, got none")
    return cls(**found)


def read_environment(
    cls: type[Any], environment: Mapping[str, str], *, error: type[MienError]
) -> dict[str, Any]:
    """The fields of a settings class whose environment variables are set.

    Raises:
        MienError: `error`, for an invalid value.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        variable = variable_of(field)
        if variable in environment:
            kind = _hints(cls)[field.name]
            value = _parse(kind, environment[variable], variable, error)
            _check_value(field, kind, value, variable, error)
            found[field.name] = value
    return found


def variable_of(field: "dataclasses.Field[Any]") -> str:
    """The environment variable of a setting; empty where it has none."""
    name: str = field.metadata.get("env", f"MIEN_{field.name.upper()}")
    return name


def check(settings: Any, *, error: type[MienError]) -> None:
    """Check the fields of a settings object.

    Raises:
        MienError: `error`, for an invalid value.
    """
    hints = _hints(type(settings))
    for field in dataclasses.fields(settings):
        name = field.metadata.get("env") or field.name
        _check_value(field, hints[field.name], getattr(settings, field.name), name, error)


def _check_value(
    field: "dataclasses.Field[Any]", kind: Any, value: Any, name: str, error: type[MienError]
) -> None:
    facts = field.metadata
    _read_value(kind, value, name, "", error)
    if "choices" in facts and value not in facts["choices"]:
        raise error(f"expected {name} out of {', '.join(facts['choices'])}, got {value!r}")
    if "low" in facts and not facts["low"] <= value <= facts["high"]:
        raise error(f"expected {name} from {facts['low']} to {facts['high']}, got {value!r}")


def _parse(kind: Any, text: str, name: str, error: type[MienError]) -> Any:
    text = text.strip()
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise error(f"expected {name} to be 1 or 0, got {text!r}")
        return text.lower() in _TRUE
    try:
        return kind(text)
    except ValueError:
        raise error(f"expected {name} to be {_NOUNS[kind]}, got {text!r}") from None


def _read_value(kind: Any, value: Any, name: str, where: str, error: type[MienError]) -> Any:
    arguments, origin = get_args(kind), get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in arguments:
            return None
        tables = [part for part in arguments if get_origin(part) is Mapping]
        part = tables[0] if tables and isinstance(value, Mapping) else arguments[0]
        return _read_value(part, value, name, where, error)
    if origin in (tuple, Mapping):
        return _read_collection(kind, value, name, where, error)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        made = isinstance(value, kind)
        return value if made else read(kind, value, error=error, where=where, prefix=f"{name}.")
    if kind is not Any:
        value = _read_scalar(kind, value, name + where, error)
    return value


def _read_scalar(kind: Any, value: Any, name: str, error: type[MienError]) -> Any:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise error(f"expected {name} out of {', '.join(get_args(kind))}, got {value!r:.80}")
        return value
    if kind is Expression and isinstance(value, str) and not isinstance(value, Expression):
        try:
            return parse_expression(value)
        except DataError as problem:
            raise error(f"{name}: {problem}") from None
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise error(f"expected {name} to be {_NOUNS.get(kind, 'text')}, got {value!r:.80}")
    return value


def _read_collection(kind: Any, value: Any, name: str, where: str, error: type[MienError]) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise error(f"expected {name}{where} to be a table, got {value!r:.80}")
        return {
            key: _read_value(arguments[1], item, f"{name}.{key}", where, error)
            for key, item in value.items()
        }
    if not isinstance(value, list | tuple):
        raise error(f"expected {name}{where} to be a list, got {value!r:.80}")
    kinds = [arguments[0]] * len(value) if arguments[1] is ... else list(arguments)
    if len(value) != len(kinds):
        raise error(f"expected {len(kinds)} items in {name}{where}, got {value!r:.80}")
    return tuple(
        _read_value(part, item, f"{name}[{index}]", where, error)
        for index, (part, item) in enumerate(zip(kinds, value, strict=True))
    )
