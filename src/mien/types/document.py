"""One declaration of each field of a result, and what follows from it.

The fields of :class:`Document` classes are annotated with :class:`Declared`. JSON documents, their
reader, the JSON Schema and the columns of tables are derived from these annotations, so that a new
field is one line in one class.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

import numpy as np
import numpy.typing as npt

from mien.errors import DataError, InputError
from mien.labels import exact_label

FloatArray = npt.NDArray[np.float32]
_Encode = Callable[[Any], Any]

JSON_TYPES: dict[type, str] = {float: "number", int: "integer", bool: "boolean", str: "string"}


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared of a field, beside its type and default.

    Attributes:
        description: meaning and unit, for the schema and the API.
        digits: decimals that are kept in documents and tables.
        minimum, maximum: range of the numbers.
        key: name in the document; by default that of the field.
        place: position in the document; equal places keep the order of the class.
        only_with: the key is present only where this field of the same object is not None.
        on_request: the key is present only in documents with landmarks.
        optional: the schema does not require the key, which documents of older versions lack.
        spread: the fields of the part are written into the document itself.
        column: name of the table's column; empty for none, by default the key. For a part, a
            mapping of its keys to columns, which replace its own columns.
        rank: position of the column; equal ranks keep the order of the documents.
        names: the column of each key of a mapping, where the keys are fixed; without, the keys are
            the expressions, and `column` is the beginning of their columns.
    """

    description: str = ""
    digits: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    key: str = ""
    place: int = 0
    only_with: str = ""
    on_request: bool = False
    optional: bool = False
    spread: bool = False
    column: str | Mapping[str, Declared] | None = None
    rank: int = 50
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Document:
    """Base of the frozen dataclasses that are parts of a result."""

    __slots__ = ()
    schema_name: ClassVar[str] = ""

    def to_dict(self, *, landmarks: bool = False) -> dict[str, Any]:
        """The JSON document, rounded as declared.

        Args:
            landmarks: whether to include the coordinates of every landmark.
        """
        cls: Any = type(self)
        document: dict[str, Any] = _encoder(cls, landmarks)(self)
        return document

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """The object that a document describes; the inverse of :meth:`to_dict`.

        Unknown keys are ignored, and missing ones get the default of their field.

        Args:
            document: parsed JSON.

        Raises:
            InputError: not such a document.
        """
        result: Self = decode(cls, document, cls.schema_name)
        return result

    @classmethod
    def _construct(cls, values: dict[str, Any]) -> Self:
        return cls(**values)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A declared field or property of a class."""

    field: str
    key: str
    annotation: Any
    nullable: bool
    required: bool
    declared: Declared


@cache
def entries(cls: type) -> tuple[_Entry, ...]:
    """The declared fields of a class, in the order of its documents."""
    hints = typing.get_type_hints(cls, include_extras=True)
    hints |= {
        name: typing.get_type_hints(item.fget, include_extras=True)["return"]
        for name, item in vars(cls).items()
        if isinstance(item, property)
    }
    has_default = {
        item.name
        for item in dataclasses.fields(cls)
        if item.default is not dataclasses.MISSING
        or item.default_factory is not dataclasses.MISSING
    }
    found = []
    for name, hint in hints.items():
        annotation, *extras = get_args(hint) if get_origin(hint) is typing.Annotated else (hint,)
        declared = next((extra for extra in extras if isinstance(extra, Declared)), None)
        if declared is None:
            continue
        nullable = get_origin(annotation) in (types.UnionType, typing.Union)
        if nullable:
            (annotation,) = (part for part in get_args(annotation) if part is not types.NoneType)
        key = declared.key or name
        found.append(_Entry(name, key, annotation, nullable, name not in has_default, declared))
    return tuple(sorted(found, key=lambda entry: entry.declared.place))


def is_part(annotation: Any) -> bool:
    """Whether a type is a part of a result, with a document of its own."""
    return isinstance(annotation, type) and issubclass(annotation, Document)


def is_enum(annotation: Any) -> bool:
    """Whether a type is an enumeration of words."""
    return isinstance(annotation, type) and issubclass(annotation, StrEnum)


# Writing


@cache
def _encoder(cls: type, landmarks: bool) -> _Encode:
    """A function that writes an object of the class.

    It runs for every frame of a stream, so it is compiled, as dataclasses do with their methods:
    ``lambda o: {"score": round(float(o.score), 4), ...}``.
    """
    names: dict[str, Any] = {}
    groups: dict[str, list[str]] = {"": []}
    for entry, path in _written(cls, landmarks, "o"):
        gate = entry.declared.only_with
        value = _expression(entry, path, landmarks, names)
        groups.setdefault(gate, []).append(f"{entry.key!r}: {value}")
    items = groups.pop("")
    for gate, gated in groups.items():
        items.append(f"**({{{', '.join(gated)}}} if o.{gate} is not None else {{}})")
    encode: _Encode = eval(f"lambda o: {{{', '.join(items)}}}", names)
    return encode


def _written(cls: Any, landmarks: bool, prefix: str) -> Iterator[tuple[_Entry, str]]:
    for entry in entries(cls):
        path = f"{prefix}.{entry.field}"
        if entry.declared.spread:
            yield from _written(entry.annotation, landmarks, path)
        elif landmarks or not entry.declared.on_request:
            yield entry, path


def _expression(entry: _Entry, path: str, landmarks: bool, names: dict[str, Any]) -> str:
    """The Python expression of a field's value in a document; `names` gets what it calls."""
    digits = entry.declared.digits
    variable = "v" if entry.nullable else path
    if entry.annotation is float and digits is not None:
        value = f"round(float({variable}), {digits})"
    else:
        encode = _value_encoder(entry.annotation, entry.declared, landmarks)
        if encode is None:
            return path
        name = f"encode{len(names)}"
        names[name] = encode
        value = f"{name}({variable})"
    return f"None if (v := {path}) is None else {value}" if entry.nullable else value


def _value_encoder(annotation: Any, declared: Declared, landmarks: bool) -> _Encode | None:
    """A function that writes a value; None where it is written as it is."""
    digits = declared.digits
    origin, arguments = get_origin(annotation), get_args(annotation)
    if is_part(annotation):
        return _encoder(annotation, landmarks)
    if is_enum(annotation):
        return lambda value: value.value
    if annotation == FloatArray:
        return lambda rows: [[round(number, digits) for number in row] for row in rows.tolist()]
    if origin is tuple:
        inner = _value_encoder(arguments[0], declared, landmarks)
        return list if inner is None else lambda values: [inner(value) for value in values]
    if origin is Mapping and arguments[1] is float:
        return lambda values: {str(key): round(v, digits) for key, v in values.items()}
    return dict if origin is Mapping else None


# Reading


def decode(cls: Any, document: Any, where: str) -> Any:
    """The object of a class that a document describes."""
    if not isinstance(document, Mapping):
        raise _unexpected(where, "an object", document)
    values = {}
    for entry in entries(cls):
        at = f"{where}.{entry.key}"
        if entry.declared.spread:
            values[entry.field] = decode(entry.annotation, document, where)
        elif entry.key in document:
            value = document[entry.key]
            if value is None and entry.nullable:
                values[entry.field] = None
            else:
                values[entry.field] = _decode_value(entry.annotation, value, at)
        elif entry.declared.on_request:
            values[entry.field] = np.empty((0, 2), np.float32)
        elif entry.required:
            raise InputError(f"expected {at} in the document, got none")
    return cls._construct(values)


def _decode_value(annotation: Any, value: Any, where: str) -> Any:
    if annotation in JSON_TYPES:  # first, because most values are
        accepted = (int, float) if annotation is float else annotation
        if not isinstance(value, accepted) or (isinstance(value, bool) and annotation is not bool):
            raise _unexpected(where, f"a {JSON_TYPES[annotation]}", value)
        return annotation(value)
    if is_part(annotation):
        return decode(annotation, value, where)
    if (origin := get_origin(annotation)) in (tuple, Mapping):
        return _decode_collection(annotation, value, where)
    if origin is Literal:
        choices = get_args(annotation)
        if value not in choices:
            raise _unexpected(where, " or ".join(repr(str(choice)) for choice in choices), value)
        return choices[choices.index(value)]
    if is_enum(annotation):
        try:
            return exact_label(value)
        except (DataError, TypeError):
            raise _unexpected(where, "a label", value) from None
    assert annotation == FloatArray
    try:
        return np.array(value, np.float32)
    except (TypeError, ValueError):
        raise _unexpected(where, "rows of numbers", value) from None


def _decode_collection(annotation: Any, value: Any, where: str) -> Any:
    arguments = get_args(annotation)
    if get_origin(annotation) is Mapping:
        if not isinstance(value, Mapping):
            raise _unexpected(where, "an object", value)
        return {
            _decode_value(arguments[0], key, f"a key of {where}"): _decode_value(
                arguments[1], item, f"{where}.{key}"
            )
            for key, item in value.items()
        }
    if not isinstance(value, list | tuple):
        raise _unexpected(where, "an array", value)
    if arguments[1] is not ... and len(value) != len(arguments):
        raise _unexpected(where, f"{len(arguments)} items", value)
    return tuple(
        _decode_value(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value)
    )


def _unexpected(where: str, what: str, value: Any) -> InputError:
    return InputError(f"expected {where} to be {what}, got {value!r:.80}")


# The JSON Schema


def schema_definitions(cls: type[Document]) -> dict[str, Any]:
    """The schemas of a class and of all its parts, by name."""
    definitions: dict[str, Any] = {}
    _define(cls, definitions)
    return definitions


def _define(cls: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to the schema of a class, which is added where it is missing."""
    name = "label" if is_enum(cls) else cls.schema_name
    if name not in definitions:
        definitions[name] = {}
        if is_enum(cls):
            # Adapted models have labels of their own.
            words = ", ".join(member.value for member in cls)
            text = f"One of {words}, or a label of the model's own."
            definitions[name] = {"type": "string", "minLength": 1, "description": text}
        else:
            properties: dict[str, Any] = {}
            required: list[str] = []
            _describe(cls, definitions, properties, required)
            definitions[name] = {
                "type": "object",
                "description": (cls.__doc__ or "").partition("\n\n")[0],
                "required": required,
                "properties": properties,
            }
    return {"$ref": f"#/$defs/{name}"}


def _describe(
    cls: Any, definitions: dict[str, Any], properties: dict[str, Any], required: list[str]
) -> None:
    for entry in entries(cls):
        declared = entry.declared
        if declared.spread:
            _describe(entry.annotation, definitions, properties, required)
            continue
        schema = _value_schema(entry.annotation, declared, definitions)
        # A key that is present only where its own field is not None is never null.
        if entry.nullable and declared.only_with != entry.field:
            if "$ref" in schema:
                schema = {"anyOf": [schema, {"type": "null"}]}
            else:
                schema["type"] = [schema["type"], "null"]
        properties[entry.key] = (
            {"description": declared.description} if declared.description else {}
        ) | schema
        if not (declared.only_with or declared.on_request or declared.optional):
            required.append(entry.key)


def _value_schema(
    annotation: Any, declared: Declared, definitions: dict[str, Any]
) -> dict[str, Any]:
    if is_part(annotation) or is_enum(annotation):
        return _define(annotation, definitions)
    bounds = {
        name: bound
        for name, bound in (("minimum", declared.minimum), ("maximum", declared.maximum))
        if bound is not None
    }
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if annotation == FloatArray:
        row = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
        return {"type": "array", "items": row}
    if origin is tuple:
        items = _value_schema(arguments[0], declared, definitions)
        bounds = {"minItems": len(arguments), "maxItems": len(arguments)}
        return {"type": "array", "items": items} | ({} if arguments[1] is ... else bounds)
    if origin is Mapping:
        names: dict[str, Any] = {}
        if arguments[0] is not str:
            names = {"propertyNames": _define(arguments[0], definitions), "minProperties": 1}
        return {
            "type": "object",
            **names,
            "additionalProperties": _value_schema(arguments[1], declared, definitions),
        }
    return {"type": JSON_TYPES[annotation], **bounds}
