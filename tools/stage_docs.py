"""Gather the pages of the documentation's site in build/docs, for `make docs`.

python tools/stage_docs.py

These are docs/ with the tables of results and the programs that pages name, some pages of the root
folder, and pages that are generated from the code. Links
between files of the repository become links between pages; a link to a file that is no page
becomes plain text.
"""

import importlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from textwrap import indent
from typing import Any

from typer.main import get_command

from mien.cli.app import COMMANDS
from mien.types import result_schema
from mien.web.app import create_app
from result_tables import TABLES

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "docs"
PAGES = {
    "MODELS.md": "models.md",
    "CHANGELOG.md": "changelog.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/cards": "cards/transfer.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_TABLE = re.compile(r"<!-- table: ([a-z-]+) -->")
_PROGRAM = re.compile(r"examples/[\w/]+\.(?:py|yaml)")
_CODE = re.compile(r"(```.*?```)", re.DOTALL)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(ROOT / "docs", OUT)
    (OUT / "reference").mkdir(exist_ok=True)
    for name, page in PAGES.items():
        if name.endswith(".md"):
            shutil.copy(ROOT / name, OUT / page)
    origins = {page: ROOT / name for name, page in PAGES.items() if name.endswith(".md")}
    for path in OUT.rglob("*.md"):
        page = path.relative_to(OUT).as_posix()
        text = _with_tables(path.read_text(encoding="utf-8"))
        text = _with_links(text, page, origins.get(page, ROOT / "docs" / page))
        path.write_text(_with_programs(text), encoding="utf-8")
    for name, text in {"options": _options(), "routes": _routes(), "schema": _schema()}.items():
        (OUT / "reference" / f"{name}.md").write_text(text, encoding="utf-8")


def _with_tables(text: str) -> str:
    """The page with its tables of results, generated from benchmarks/results."""
    return _TABLE.sub(lambda match: TABLES[match[1]](), text)


def _with_links(text: str, page: str, origin: Path) -> str:
    """The page with its links rewritten, outside of code."""

    def replaced(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        try:
            name = (origin.parent / target).resolve().relative_to(ROOT).as_posix()
        except ValueError:
            return match[0]
        staged = PAGES.get(name, name.removeprefix("docs/") if name.startswith("docs/") else None)
        if staged is None:
            return words if (ROOT / name).exists() else match[0]
        return f"[{words}]({os.path.relpath(staged, Path(page).parent)}{anchor})"

    parts = _CODE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)


def _with_programs(text: str) -> str:
    """The page with the programs that it names, folded at its end."""
    blocks = [
        f'??? example "{name}"\n\n    ```{Path(name).suffix[1:]}\n'
        + indent((ROOT / name).read_text(encoding="utf-8"), "    ")
        + "    ```\n"
        for name in dict.fromkeys(_PROGRAM.findall(text))
    ]
    return "\n".join([text, *blocks])


def _options() -> str:
    """Every option of every command, from its help."""
    parts = ["# Every option\n\nGenerated from `mien COMMAND --help`."]
    for name, entry in COMMANDS.items():
        # Not `entry.load`, which requires the extra of the command.
        module, _, app = entry.target.partition(":")
        typer_app = getattr(importlib.import_module(module), app)
        parts += _command(f"mien {name}", get_command(typer_app))
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> list[str]:
    parts = [f"## {name}", _plain(command.help or "")]
    rows = []
    for parameter in command.params:
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or parameter.name.upper()}`"
        help_text = _plain(getattr(parameter, "help", None) or "").replace("\n", " ")
        if parameter.required:
            help_text += " Required."
        elif getattr(parameter, "show_default", True) and _is_value(parameter.default):
            help_text += f" Default: `{parameter.default}`."
        rows.append(f"| {names} | {help_text.replace('|', chr(92) + '|')} |")
    if rows:
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    for child, subcommand in getattr(command, "commands", {}).items():
        parts += _command(f"{name} {child}", subcommand)
    return parts


def _is_value(default: Any) -> bool:
    """Whether a default is worth telling: not of a flag, and not nothing."""
    return isinstance(default, str | int | float) and not isinstance(default, bool)


def _plain(help_text: str) -> str:
    """The help without Typer's marks, and without what Markdown would read as HTML."""
    return help_text.replace("\b\n", "").replace("<", "&lt;").strip()


def _routes() -> str:
    """The routes of the HTTP API, from its OpenAPI description."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIEN_DATA_DIR"] = folder
        document = create_app().test_client().get("/openapi.json").get_json()
    rows = [
        f"| `{method.upper()}` | `{path}` | {operation.get('summary', '')} |"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    head = (
        "# HTTP routes\n\nGenerated from the code; `/openapi.json` of a running server has their "
        "parameters and results.\n[The HTTP API](../api.md) explains them with examples.\n\n"
        "| method | path | what it does |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def _schema() -> str:
    """The JSON Schema of a result."""
    text = json.dumps(result_schema(), indent=2, ensure_ascii=False)
    return (
        "# JSON Schema\n\nOf one result, as `mien schema` prints it; see "
        f"[the command line](../cli.md#mien-schema).\n\n```json\n{text}\n```\n"
    )


if __name__ == "__main__":
    main()
