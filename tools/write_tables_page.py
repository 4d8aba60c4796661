"""Write docs/tables.md from the declarations of tables and events.

python tools/write_tables_page.py
"""

from pathlib import Path

from mien.tables.columns import EVENTS, tables

PAGE = Path(__file__).resolve().parent.parent / "docs/tables.md"

_HEAD = """# Tables of `mien video`

Columns of every table and kinds of events, written by `python tools/write_tables_page.py`.
For how to use the tables in a study, see [studies](studies.md).

An empty cell is an unknown or unmeasured value; 0 is a measured 0. Times are seconds, shares are in
[0, 1], coordinates are pixels of the original frame. Files are UTF-8 with commas and a header. In a
table over several clips, the columns `clip` and those of the list come first; a column of the list
that has the name of a column of the table is written as `list_NAME`.

`LABEL` stands for each expression, `N` for the number of a point from 0.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for name, rows, columns in tables():
        parts.append(f"## {name}\n\n{rows}\n\n| column | meaning |\n| --- | --- |")
        parts.append("\n".join(f"| `{column}` | {text} |" for column, text in columns.items()))
        parts.append("")
    parts.append(
        "## Events\n\nKinds of events in `events.jsonl` and in `frames.jsonl`, with their details. "
        "In `events.csv`,\n`expression` and `in_view` are intervals that are made from the frames, "
        "and replace `track_started`,\n`track_ended`, `expression` and `episode`.\n\n"
        "| event | meaning |\n| --- | --- |"
    )
    parts.append("\n".join(f"| `{kind}` | {text} |" for kind, text in EVENTS.items()))
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
