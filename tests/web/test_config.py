"""The settings, and what the documentation says of them."""

import dataclasses
from pathlib import Path

from mien.web.config import WebConfig


def test_documentation_lists_every_setting() -> None:
    text = (Path(__file__).parents[2] / "docs/web.md").read_text(encoding="utf-8")
    listed = [entry for entry in dataclasses.fields(WebConfig) if entry.metadata["env"]]
    assert len(listed) > 10
    for entry in listed:
        assert f"| `{entry.metadata['env']}` |" in text
        assert entry.metadata["help"] in text
