"""Write the tables of MODELS.md and docs/evaluation.md from specs and measured results.

    python tools/write_model_tables.py

It reads the specs of the bundled models and the results in benchmarks/results.
"""

import json
import re
from pathlib import Path
from typing import Any

from mien.runtime.catalog import CatalogEntry, entries, known_models

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"

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


def table(rows: list[list[str]]) -> str:
    """Format rows as a Markdown table; the first row is the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| " + " | ".join("---" for _ in rows[0]) + " |", *lines[1:]])


def read_result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


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


def end_to_end() -> str:
    """Results of benchmarks/expression.py, one row per data set and prior."""
    counts = ("missed", "wrong_face", "wrong_label")
    shares = ("accuracy", "balanced_accuracy_n30", "macro_f1_n30", "ece")
    heads = ["model", "detector", "pictures", "prior", "n", "accuracy", "balanced (30+)"]
    rows = [[*heads, "macro-F1 (30+)", "ECE", "missed", "wrong face", "wrong label"]]
    for path in sorted(RESULTS.glob("expression-*.json")):
        document = read_result(path.stem)
        for row in document["results"]:
            facts = [f"`{document['model']}`", document["detector"], row["data"], row["prior"]]
            figures = [percent(row[name]) for name in shares]
            rows.append([*facts, str(row["n"]), *figures, *(str(row[name]) for name in counts)])
    return table(rows)


def robustness() -> str:
    """Accuracy under each corruption."""
    document = read_result("robustness")
    rows = [["corruption", *(f"severity {n}" for n in range(1, 6)), "mean of 1 to 3"]]
    for kind, facts in document["corruptions"].items():
        shares = [*facts["accuracy"], facts["mean_1_to_3"]]
        rows.append([kind, *(percent(share) for share in shares)])
    rows.append(["all", "", "", "", "", "", percent(document["mean_1_to_3"])])
    return table(rows)


def pages() -> dict[Path, str]:
    """Both pages with regenerated tables."""
    shipped = [entry for entry in entries() if entry.shipped]
    models = {
        "expression models": expression_models(shipped),
        "other models": other_models(shipped),
        "known models": published_models(),
        "checksums": checksums(shipped),
    }
    measured = {"end to end": end_to_end(), "robustness": robustness()}
    return {
        path: with_tables(path, tables)
        for path, tables in ((ROOT / "MODELS.md", models), (ROOT / "docs/evaluation.md", measured))
    }


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
