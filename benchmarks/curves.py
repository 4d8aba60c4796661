"""The points of plots, from results of `mien evaluate --json`.

    mien evaluate ferplus.npz --json /tmp/ferplus.json
    mien evaluate lfw-expressions --json /tmp/lfw-expressions.json
    python benchmarks/curves.py /tmp/ferplus.json /tmp/lfw-expressions.json \
        --json benchmarks/results/curves.json

A result has a row for each picture. This keeps its figures, the confusion matrix, the bins of the
reliability diagram and the risk-coverage curve.
"""

import argparse
import json
from pathlib import Path
from typing import Any

_KEPT = (
    "model", "prior", "mode", "split", "n", "labels", "accuracy", "balanced_accuracy",
    "balanced_accuracy_n30", "ece", "missed", "wrong_face", "wrong_label", "per_class",
    "intervals", "confusion", "reliability", "risk_coverage",
)  # fmt: skip


def points(result: dict[str, Any]) -> dict[str, Any]:
    """The figures and curves of a result, without its rows."""
    return {key: _rounded(result[key]) for key in _KEPT if key in result}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    found = {path.stem: points(json.loads(path.read_text("utf-8"))) for path in options.results}
    options.json.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
