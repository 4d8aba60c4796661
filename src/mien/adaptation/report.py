"""What adapting a model gave, as Markdown and as a page."""

from collections.abc import Mapping
from html import escape
from typing import Any

from mien.evaluation.summary import as_markdown, first_names, markdown_table, percent

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #ccc;padding:.3rem .8rem}
td,th{text-align:right}td:first-child,th:first-child{text-align:left}"""

_Table = tuple[list[str], list[list[str]]]

_PARTS = {
    "embedding": "embedding",
    "blendshapes": "blendshapes",
    "others": "what two other networks say",
}


def to_markdown(result: Mapping[str, Any]) -> str:
    """A result of :meth:`Adaptation.to_dict` as Markdown."""
    blocks = [as_markdown(text) for text in (f"# {_title(result)}", *_paragraphs(result))]
    blocks += [markdown_table(header, rows) for header, rows in _tables(result)]
    return "\n\n".join(blocks) + "\n"


def to_html(result: Mapping[str, Any]) -> str:
    """The same as a page that needs nothing else."""
    title = escape(_title(result))
    parts = [f"<p>{escape(text)}</p>" for text in _paragraphs(result)]
    for header, rows in _tables(result):
        lines = [_row("th", header), *(_row("td", row) for row in rows)]
        parts.append(f"<table>{''.join(lines)}</table>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>{''.join(parts)}</html>\n"
    )


def _row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _title(result: Mapping[str, Any]) -> str:
    return f"{result['base']} adapted to {result['data']}"


def _paragraphs(result: Mapping[str, Any]) -> list[str]:
    verdict = "Kept" if result["kept"] else "Not kept, and no model was written"
    pull = result["pull"]
    seen = " and ".join(
        ["log probabilities", *(words for part, words in _PARTS.items() if pull.get(part))]
    )
    texts = [
        f"{verdict}: {result['reason']}.",
        *(f"Warning: {warning}." for warning in result["warnings"]),
        f"{result['n']} pictures in {result['groups']} groups of persons or near-duplicates; "
        f"labels: {', '.join(result['labels'])}. Fitted on {seen}; pull to the model's own "
        f"mapping: {pull['outputs']:g}.",
        "The figures after are from cross-validation, in which no group is both fitted and "
        "measured; all intervals are 95 % intervals. Before is the model as it is, "
        "restricted to these labels.",
        "An expression is what a face shows; it is not evidence of what a person feels, thinks or "
        "intends. Do not use it for decisions about people.",
    ]
    for reason, names in result["left_out"].items():
        shown = first_names(names, len(names))
        texts.append(f"Left out, {reason}: {len(names)} ({shown}).")
    return texts


def _tables(result: Mapping[str, Any]) -> list[_Table]:
    before, after = result["before"], result["after"]
    figures = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "ece": "ECE"}
    main = [[text, *_cells(before, key), *_cells(after, key)] for key, text in figures.items()]
    classes = [
        [label, str(facts["n"]), *_recall(before, label), *_recall(after, label)]
        for label, facts in after["per_class"].items()
    ]
    return [
        (["figure", "before", "interval", "after", "interval"], main),
        (["recall of", "n", "before", "interval", "after", "interval"], classes),
    ]


def _cells(summary: Mapping[str, Any] | None, key: str) -> list[str]:
    if summary is None:
        return ["–", ""]
    return [percent(summary[key]), _between(summary["intervals"].get(key))]


def _recall(summary: Mapping[str, Any] | None, label: str) -> list[str]:
    if summary is None:
        return ["–", ""]
    facts = summary["per_class"][label]
    return [percent(facts["recall"]), _between(facts["recall_interval"])]


def _between(interval: list[float] | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"
