"""Expression models on several labeled data sets, under several priors, in one table.

    python benchmarks/domains.py domains.toml --models transfer direct \
        --json benchmarks/results/domains.json

The TOML file has one table for each data set, for example

    [lfw]
    path = "lfw-expressions"            # relative to the file
    min_in_class = 30                   # classes with fewer pictures are not balanced over
    [london]
    path = "london"
    labels = ["neutral", "happiness"]   # restricts the predictions
    [fer2013]
    path = "ferplus.npz"
    labeling = "fer2013"
    split = "valid"

Each model predicts once, under the prior of its training. The predictions under other priors are
computed from these: every probability is divided by the t-th power of its label's training share.
t is 0 (natural), 0.5 (half) and 1 (uniform); a model without published shares has only t = 0.
"""

import argparse
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mien.config import Settings
from mien.evaluation.figures import balanced_accuracy, figures
from mien.evaluation.predict import Predictions, Selection, predict
from mien.evaluation.readers import read_data
from mien.evaluation.summary import percent
from mien.labels import parse_expression
from mien.pipeline import FacePipeline
from mien.types import ModelSpec

POWERS = {"natural": 0.0, "half": 0.5, "uniform": 1.0}


def main() -> None:
    """Measure and print."""
    options = _parse()
    domains: dict[str, dict[str, Any]] = tomllib.loads(options.domains.read_text(encoding="utf-8"))
    rows = []
    for model in options.models:
        pipeline = FacePipeline(Settings(model=model, prior="natural"))
        for name, domain in domains.items():
            found = predict_domain(domain, options.domains.parent, pipeline, options.limit)
            least = int(domain.get("min_in_class", 1))
            for prior, figure in by_prior(found, pipeline.classifier.spec, least):
                rows.append(
                    {"model": pipeline.classifier.name, "domain": name, "prior": prior, **figure}
                )
    print(to_markdown(rows))
    if options.json:
        options.json.write_text(json.dumps({"results": rows}, indent=2) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("domains", type=Path, help="TOML file of the data sets")
    parser.add_argument("--models", nargs="+", default=["transfer"])
    parser.add_argument("--limit", type=int, default=0, help="pictures of each set; 0 for all")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def predict_domain(
    domain: dict[str, Any], folder: Path, pipeline: FacePipeline, limit: int
) -> Predictions:
    """One model's predictions for one data set, under the natural prior."""
    data = read_data(folder / domain["path"], domain.get("labeling", "ferplus"))
    only = tuple(parse_expression(word) for word in domain.get("labels", ())) or None
    selection = Selection(
        crops=domain.get("crops"), split=domain.get("split"), only=only, limit=limit
    )
    rows, _ = selection.apply(data, pipeline.classifier.spec.labels)
    return predict(rows, pipeline, only=selection.only)


def by_prior(
    found: Predictions, spec: ModelSpec, least: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each prior that the model has, and the figures under it."""
    shares = dict(zip(spec.labels, spec.training_prior, strict=False))
    for prior, power in POWERS.items():
        if power and not shares:
            continue
        probabilities = found.probabilities.copy()
        if power:
            probabilities /= np.array([shares[label] for label in found.labels]) ** power
            probabilities /= probabilities.sum(axis=1, keepdims=True)
        measured = figures(probabilities, found.truth)
        large = np.flatnonzero(measured.matrix.sum(axis=1) >= least)
        yield (
            prior,
            {
                "n": len(found),
                "accuracy": float(measured.accuracy),
                "balanced_accuracy": float(balanced_accuracy(measured.matrix, large)),
                "ece": measured.ece,
            },
        )


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """A row for each model and prior, a column for each data set: accuracy / balanced / ECE."""
    domains = list(dict.fromkeys(row["domain"] for row in rows))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        shares = (row[name] for name in ("accuracy", "balanced_accuracy", "ece"))
        text = " / ".join(percent(share) for share in shares)
        cells.setdefault((row["model"], row["prior"]), {})[row["domain"]] = text
    lines = [["model", "prior", *domains], ["---"] * (2 + len(domains))]
    lines += [
        [f"`{model}`", prior, *(by_domain.get(name, "") for name in domains)]
        for (model, prior), by_domain in cells.items()
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
