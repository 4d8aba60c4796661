"""An extension of mkdocstrings for the docstrings of this project.

Roles such as :func:`x` are shown as code, and the fields of results and settings with the
description that they are declared with.
"""

import importlib
import re
from typing import Any

import griffe

from mien import config
from mien.types.document import Document, entries

_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_SEVERAL = re.compile(r"^    (\w+(?:, \w+)+):(.*(?:\n {6,}.*)*)", re.MULTILINE)
_LITERAL = re.compile(r"^::\n|(?<=\w:):$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Replaces roles by the names that they refer to, and lists declared fields."""

    def on_object(self, *, obj: griffe.Object, **options: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is None:
            return
        text = _LITERAL.sub("", _ROLE.sub(r"`\1`", obj.docstring.value))
        before, section, rest = text.partition("Attributes:\n")
        text = before + section + _SEVERAL.sub(_one_entry_each, rest)
        fields = _fields(obj) if obj.is_class else {}
        if fields:
            before, section, rest = text.partition("\n\nAttributes:\n")
            named = re.findall(r"^    (\w+):", rest, re.MULTILINE) if section else []
            lines = [f"    {name}: {value}" for name, value in fields.items() if name not in named]
            text = "\n".join([f"{before}\n\nAttributes:", *rest.splitlines(), *lines])
            for name in {*fields, *named} & set(obj.attributes):
                # Only the type, without the declaration.
                hint = obj.attributes[name].annotation
                if isinstance(hint, griffe.ExprSubscript) and str(hint.left) == "Annotated":
                    obj.attributes[name].annotation = hint.slice.elements[0]
        obj.docstring.value = text


def _one_entry_each(match: re.Match[str]) -> str:
    """The entry of several attributes for each of them: an entry of the page has one type."""
    return "\n".join(f"    {name}:{match[2]}" for name in match[1].split(", "))


def _fields(obj: griffe.Object) -> dict[str, str]:
    """The declared fields of a class with their descriptions."""
    if not obj.module.path.startswith(("mien.types.", "mien.config")):
        return {}
    cls = getattr(importlib.import_module(obj.module.path), obj.name, None)
    if cls is config.Settings:
        return {f["name"]: f"{f['help']} Default: {f['default']!r}." for f in config.describe()}
    if not isinstance(cls, type) or not issubclass(cls, Document) or cls is Document:
        return {}
    return {
        entry.field: entry.declared.description or "See its class."
        for entry in entries(cls)
        if not entry.field.startswith("_") and not isinstance(vars(cls)[entry.field], property)
    }
