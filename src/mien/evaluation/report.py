"""Evaluations as files: JSON with every row's answer, and Markdown for people."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.evaluation.figures import FEWEST_IN_CLASS, FEWEST_IN_SLICE
from mien.evaluation.predictions import Answers
from mien.labels import parse_expression


def rows_document(answers: Answers) -> dict[str, Any]:
    """Every row's truth and answer, so that two evaluations can be compared later."""
    return {
        "names": list(answers.names),
        "truth": [answers.labels[i].value for i in answers.truth],
        "outcome": answers.outcome.tolist(),
        "probabilities": [
            [round(float(p), 5) for p in row] if np.isfinite(row).all() else None
            for row in answers.probabilities
        ],
    }


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document, indented, but rows on one line each."""
    rows = document.get("rows")
    text = json.dumps({k: v for k, v in document.items() if k != "rows"}, indent=2)
    if rows is not None:
        text = f'{text[:-2]},\n  "rows": {json.dumps(rows)}\n}}'
    path.write_text(text + "\n", encoding="utf-8")


def read_answers(path: Path) -> Answers:
    """The rows of a file that :func:`write_json` wrote.

    Raises:
        DataError: it is no evaluation with rows.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = document["rows"]
        labels = tuple(parse_expression(label) for label in document["labels"])
        truth = [labels.index(parse_expression(label)) for label in rows["truth"]]
        no_answer = [np.nan] * len(labels)
        return Answers(
            data=document["data"],
            labels=labels,
            truth=np.array(truth, np.int64),
            probabilities=np.array(
                [no_answer if p is None else p for p in rows["probabilities"]], np.float64
            ).reshape(-1, len(labels)),
            outcome=np.array(rows["outcome"], np.str_),
            names=tuple(rows["names"]),
            facts={key: document[key] for key in ("model", "prior", "mode") if key in document},
        )
    except OSError as error:
        raise DataError(f"expected an evaluation at {path}, but: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"expected the JSON file of `mien evaluate --json` at {path}, got another: {error}"
        ) from None


def to_markdown(document: dict[str, Any]) -> str:
    """An evaluation as a page of tables."""
    blocks = [
        f"# {document['model']} on {document['data']}",
        _facts(document),
        _main_figures(document),
        _classes(document),
        _confusion(document),
        *(_slice(name, table) for name, table in document["slices"].items()),
    ]
    if document.get("robustness"):
        blocks.append(robustness_markdown(document["robustness"]))
    if document["left_out"]:
        lines = [f"- {reason}: {e['count']}" for reason, e in document["left_out"].items()]
        blocks.append("\n".join(["## Left out", "", *lines]))
    return "\n\n".join(blocks) + "\n"


def _facts(document: dict[str, Any]) -> str:
    parts = [f"Prior: {document['prior']}", f"mode: {document['mode']}"]
    parts += [f"split: {document['split']}"] if document.get("split") else []
    answered = f"{document['n']} pictures; answers out of {', '.join(document['labels'])}"
    return f"{'; '.join(parts)}. {answered}. Intervals are 95 % bootstrap intervals."


def _main_figures(document: dict[str, Any]) -> str:
    intervals = document["intervals"]
    n30 = f"over classes with {FEWEST_IN_CLASS} pictures and more"
    rows = [
        ["accuracy", *_figure(document["accuracy"], intervals["accuracy"])],
        [
            "balanced accuracy",
            *_figure(document["balanced_accuracy"], intervals["balanced_accuracy"]),
        ],
        [
            f"balanced accuracy {n30}",
            percent(document[f"balanced_accuracy_n{FEWEST_IN_CLASS}"]),
            "",
        ],
        ["macro-F1", *_figure(document["macro_f1"], intervals["macro_f1"])],
        [f"macro-F1 {n30}", percent(document[f"macro_f1_n{FEWEST_IN_CLASS}"]), ""],
        ["ECE, 15 equal-mass bins", *_figure(document["ece"], intervals.get("ece"))],
        ["Brier score", *_plain_figure(document["brier"], intervals.get("brier"))],
    ]
    if document["risk_coverage"] is not None:
        rows.append(
            ["error of the surest 80 %", percent(document["risk_coverage"]["error_at_80"]), ""]
        )
    rows += [
        ["wrong", str(document["wrong"]), ""],
        ["… no face found", str(document["missed"]), ""],
        ["… another face found", str(document["wrong_face"]), ""],
        ["… another expression", str(document["wrong_label"]), ""],
    ]
    return _table(["figure", "value", "interval"], rows)


def _classes(document: dict[str, Any]) -> str:
    rows = [
        [
            label,
            str(facts["n"]),
            percent(facts["recall"]),
            _interval(facts["recall_interval"]),
            percent(facts["precision"]),
            percent(facts["f1"]),
        ]
        for label, facts in document["per_class"].items()
    ]
    header = ["expression", "n", "recall", "interval", "precision", "F1"]
    return "## Each expression\n\n" + _table(header, rows)


def _confusion(document: dict[str, Any]) -> str:
    confusion = document["confusion"]
    rows = [
        [label, *(str(count) for count in counts)]
        for label, counts in zip(document["labels"], confusion["counts"], strict=True)
    ]
    return "## Confusion\n\n" + _table(["truth ↓ answer →", *confusion["columns"]], rows)


def _slice(name: str, table: dict[str, Any]) -> str:
    rows = [
        [
            value or "(none)",
            str(facts["n"]),
            *_figure(facts["accuracy"], facts["accuracy_interval"]),
            *_figure(facts["balanced_accuracy"], facts["balanced_accuracy_interval"]),
        ]
        for value, facts in table["values"].items()
    ]
    header = [name, "n", "accuracy", "interval", "balanced accuracy", "interval"]
    note = f"\n\nNot shown, under {FEWEST_IN_SLICE} people: {table['too_small']}."
    return f"## By {name}\n\n" + _table(header, rows) + (note if table["too_small"] else "")


def robustness_markdown(robustness: dict[str, Any]) -> str:
    """The table of a robustness run."""
    rows = [
        [kind, *(percent(value) for value in facts["accuracy"]), percent(facts["mean_1_to_3"])]
        for kind, facts in robustness["corruptions"].items()
    ]
    clean = (
        f"{robustness['n']} pictures, accuracy without corruption {percent(robustness['clean'])}"
    )
    mean = (
        f"mean over severities 1 to 3 {percent(robustness['mean_1_to_3'])}, "
        f"1 to 5 {percent(robustness['mean_1_to_5'])}"
    )
    header = ["corruption", "1", "2", "3", "4", "5", "mean 1 to 3"]
    return f"## Robustness\n\n{clean}; {mean}.\n\n" + _table(header, rows)


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float | None) -> str:
    """A fraction for people."""
    return "–" if value is None else f"{100 * value:.1f} %"


def _figure(value: float | None, interval: list[float] | None) -> list[str]:
    return [percent(value), _interval(interval)]


def _interval(interval: list[float] | None) -> str:
    if interval is None:
        return ""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _plain_figure(value: float | None, interval: list[float] | None) -> list[str]:
    if value is None or interval is None:
        return ["–", ""]
    return [f"{value:.3f}", f"{interval[0]:.3f} to {interval[1]:.3f}"]
