"""The JSON Schema of results, for those who read them with other programs."""

import json
from importlib import resources
from typing import Any


def result_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of :meth:`mien.types.FrameResult.to_dict`.

    Its ``$defs`` hold ``document`` too, the one document that ``mien image --json`` prints.
    """
    text = (resources.files("mien") / "result.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
