"""Stability, cost and memory of streams.

    python benchmarks/streams smoothing LONDON --media CLIPS   label changes, lag, jitter, tracks
    python benchmarks/streams baseline LONDON                  effect of the resting-face baseline
    python benchmarks/streams eyes CLIPS --head HEAD           closed eyes, blinks and yawns
    taskset -c 0 python benchmarks/streams cost --media CLIPS --peer PYTHON   CPU time per frame
    python benchmarks/streams soak                             memory over an hour; `make soak`

LONDON is the Face Research Lab London Set as folders ``neutral`` and ``happiness`` (DeBruine and
Jones, CC BY 4.0). CLIPS is a folder of videos. HEAD is the face model of
`movable_head.py`. PYTHON is the interpreter of an
environment with MediaPipe, see facemesh.py. The result is written to
benchmarks/results/streams-<benchmark>.json. ``MIEN_MODEL`` selects another expression model.
"""

import argparse
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from cost import cost, soak
from eyes import eyes
from mien.pipeline import FacePipeline
from mien.streaming.expressions import for_streams
from smoothing import baseline, smoothing

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", choices=("smoothing", "baseline", "eyes", "cost", "soak"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--head", type=Path)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.benchmark in ("smoothing", "baseline", "eyes") and options.data is None:
        parser.error(f"expected a data set for {options.benchmark}; see --help")
    figures = {
        "smoothing": lambda: smoothing(options.data, options.media, options.people, options.seed),
        "baseline": lambda: baseline(options.data, options.people, options.seed),
        "eyes": lambda: eyes(options.data, options.head),
        "cost": lambda: cost(options.media, options.rounds, options.peer),
        "soak": lambda: soak(options.minutes),
    }[options.benchmark]()
    output = options.output or RESULTS / f"streams-{options.benchmark}.json"
    report = {"benchmark": options.benchmark, **provenance(), "figures": figures}
    document = json.dumps(report, indent=2)
    output.write_text(document + "\n", encoding="utf-8")
    print(document)


def provenance() -> dict[str, Any]:
    """Machine, Python version, commit and models of the measurement."""
    command = ["git", "-C", str(RESULTS), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    names = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "machine": names[0].partition(": ")[2] if names else platform.machine(),
        "python": platform.python_version(),
        "commit": commit,
        "models": for_streams(FacePipeline()).models,
    }


if __name__ == "__main__":
    main()
