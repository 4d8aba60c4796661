"""Write the tables of MODELS.md from the specs of the shipped models.

python tools/write_model_tables.py
"""

import re
from pathlib import Path

from mien.runtime.catalog import CatalogEntry, entries
from mien.runtime.known import known_models

PAGE = Path(__file__).resolve().parent.parent / "MODELS.md"

# Heading and the names that a figure may have in a spec, the first that is there being shown.
_FIGURES = (
    ("accuracy", ("ferplus_valid_accuracy", "valid_mesh468_accuracy")),
    ("macro-F1", ("ferplus_valid_macro_f1", "valid_mesh468_macro_f1")),
    (
        "balanced",
        ("ferplus_valid_balanced_accuracy_uniform", "valid_mesh468_balanced_accuracy_uniform"),
    ),
    ("ECE", ("ferplus_valid_ece_cross_fitted", "ferplus_valid_ece", "valid_mesh468_ece")),
)


def table(rows: list[list[str]]) -> str:
    """Rows as a Markdown table; the first one is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in rows[0]) + " |", *lines[1:]])


def megabytes(entry: CatalogEntry) -> str:
    return f"{entry.path.stat().st_size / 1e6:.1f} MB"


def expression_models(shipped: list[CatalogEntry]) -> str:
    rows = [["model", *(heading for heading, _ in _FIGURES), "size", "licence", "source"]]
    for entry in shipped:
        if entry.spec.task != "expression":
            continue
        figures = []
        for _, names in _FIGURES:
            found = [entry.spec.metrics[name] for name in names if name in entry.spec.metrics]
            figures.append(f"{100 * found[0]:.1f} %" if found else "")
        spec = entry.spec
        rows.append([f"`{spec.name}`", *figures, megabytes(entry), spec.licence, spec.source])
    return table(rows)


def other_models(shipped: list[CatalogEntry]) -> str:
    rows = [["model", "for", "input", "size", "licence", "source"]]
    for entry in shipped:
        spec = entry.spec
        if spec.task != "expression":
            width, height = spec.input.size_wh
            facts = [spec.task, f"{width}×{height} {spec.input.colour}", megabytes(entry)]
            rows.append([f"`{spec.name}`", *facts, spec.licence, spec.source])
    return table(rows)


def published_models() -> str:
    rows = [["model", "licence", "source", "checked"]]
    rows += [
        [f"`{model.name}`", model.licence, model.source, model.checked] for model in known_models()
    ]
    return table(rows)


def checksums(shipped: list[CatalogEntry]) -> str:
    rows = [["file", "version", "SHA-256"]]
    rows += [[f"`{e.spec.file}`", e.spec.version, f"`{e.spec.sha256}`"] for e in shipped]
    return table(rows)


def with_tables(page: str) -> str:
    """The page with every table written anew."""
    shipped = [entry for entry in entries() if entry.shipped]
    tables = {
        "expression models": expression_models(shipped),
        "other models": other_models(shipped),
        "known models": published_models(),
        "checksums": checksums(shipped),
    }
    for name, text in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page, replaced = re.subn(
            pattern, lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page, flags=re.S
        )
        if replaced != 1:
            raise SystemExit(f"expected one place for the table {name!r} in {PAGE}")
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
