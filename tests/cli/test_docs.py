"""docs/cli.md matches the commands and settings."""

import re
from pathlib import Path
from typing import Any

import pytest

from mien import config
from mien.cli.app import COMMANDS

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", TEXT, flags=re.MULTILINE))


def parameters(command: Any) -> list[str]:
    """The long option names of a command and its subcommands."""
    names = [
        name
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--") and name != "--help"
    ]
    for subcommand in getattr(command, "commands", {}).values():
        names += parameters(subcommand)
    return names


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section(name: str) -> None:
    assert any(f"mien {name}" in heading.split(", ") for heading in SECTIONS)


@pytest.mark.parametrize("name", ["image", "models", "doctor", "settings", "schema"])
def test_every_option_is_documented(name: str) -> None:
    settings = {f"--{facts['name'].replace('_', '-')}" for facts in config.describe()}
    documented = SECTIONS[f"mien {name}"] + SECTIONS["mien settings"]
    options = parameters(COMMANDS[name].load(name))
    assert [option for option in options if option not in documented] == []
    assert settings <= set(re.findall(r"--[a-z-]+", SECTIONS["mien settings"]))


def test_settings_table_matches_config() -> None:
    rows = re.findall(
        r"^\| (\w+) \| `(--[\w-]+)` \| `(MIEN_\w+)` \| `(.+?)` \| (.+) \|$", TEXT, re.MULTILINE
    )
    documented = {name: (environment, default) for name, _, environment, default, _ in rows}
    table = config.describe()
    assert documented == {f["name"]: (f["environment"], str(f["default"])) for f in table}
    helps = {name: text for name, _, _, _, text in rows}
    for facts in table:
        assert helps[facts["name"]].startswith(facts["help"])
        for choice in facts.get("choices", ()):
            assert f"`{choice}`" in helps[facts["name"]]


def test_presets_match_config() -> None:
    for name, bundle in config.PRESETS.items():
        options = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in bundle.items())
        assert f"`--preset {name}` is" in TEXT
        assert f"`{options}`" in TEXT
