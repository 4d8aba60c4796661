"""Write the tables of MODELS.md from specs and measured results.

    python tools/write_model_tables.py

It reads the specs of the bundled models and the results in benchmarks/results.
"""

import re
from pathlib import Path

from mien.runtime.catalog import CatalogEntry, entries, known_models
from result_tables import percent, read_result, table

ROOT = Path(__file__).resolve().parent.parent

# Column heading, and the possible metric names in a spec; the first one that exists is used.
_FIGURES = (
    ("accuracy", ("ferplus_valid_accuracy", "valid_mesh468_accuracy")),
    ("macro-F1", ("ferplus_valid_macro_f1", "valid_mesh468_macro_f1")),
    (
        "balanced",
        ("ferplus_valid_balanced_accuracy_uniform", "valid_mesh468_balanced_accuracy_uniform"),
    ),
    ("ECE", ("ferplus_valid_ece_cross_fitted", "ferplus_valid_ece", "valid_mesh468_ece")),
)


def megabytes(entry: CatalogEntry) -> str:
    return f"{entry.path.stat().st_size / 1e6:.1f} MB"


def expression_models(shipped: list[CatalogEntry]) -> str:
    times = read_result("classifiers")["models"]
    headings = [heading for heading, _ in _FIGURES]
    rows = [["model", *headings, "size", "time per face", "license", "source"]]
    for entry in shipped:
        if entry.spec.task != "expression":
            continue
        figures = []
        for _, names in _FIGURES:
            found = [entry.spec.metrics[name] for name in names if name in entry.spec.metrics]
            figures.append(percent(found[0]) if found else "")
        spec = entry.spec
        time = f"{times[spec.name]['one_face_ms']:.1f} ms" if spec.name in times else ""
        cost = [megabytes(entry), time]
        rows.append([f"`{spec.name}`", *figures, *cost, spec.license, spec.source])
    return table(rows)


def other_models(shipped: list[CatalogEntry]) -> str:
    rows = [["model", "for", "input", "size", "license", "source"]]
    for entry in shipped:
        spec = entry.spec
        if spec.task != "expression":
            width, height = spec.input.size_wh
            facts = [spec.task, f"{width}×{height} {spec.input.color}", megabytes(entry)]
            rows.append([f"`{spec.name}`", *facts, spec.license, spec.source])
    return table(rows)


def published_models() -> str:
    rows = [["model", "license", "source", "checked"]]
    rows += [
        [f"`{model.name}`", model.license, model.source, model.checked] for model in known_models()
    ]
    return table(rows)


def checksums(shipped: list[CatalogEntry]) -> str:
    rows = [["file", "version", "SHA-256"]]
    rows += [[f"`{e.spec.file}`", e.spec.version, f"`{e.spec.sha256}`"] for e in shipped]
    return table(rows)


def pages() -> dict[Path, str]:
    """The page with regenerated tables."""
    shipped = [entry for entry in entries() if entry.shipped]
    tables = {
        "expression models": expression_models(shipped),
        "other models": other_models(shipped),
        "known models": published_models(),
        "checksums": checksums(shipped),
    }
    return {ROOT / "MODELS.md": with_tables(ROOT / "MODELS.md", tables)}


def with_tables(path: Path, tables: dict[str, str]) -> str:
    """The page with its named tables replaced."""
    page = path.read_text(encoding="utf-8")
    for name, text in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page, replaced = re.subn(
            pattern, lambda match, text=text: f"{match[1]}{text}\n{match[2]}", page, flags=re.S
        )
        if replaced != 1:
            raise SystemExit(f"expected one place for the table {name!r} in {path}")
    return page


if __name__ == "__main__":
    for path, page in pages().items():
        path.write_text(page, encoding="utf-8")
