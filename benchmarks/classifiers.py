"""CPU time per face of the expression models.

    python benchmarks/classifiers.py --json benchmarks/results/classifiers.json

Every bundled expression model classifies aligned faces of the sample photographs on one thread,
with one and with eight faces per call. The figures are CPU times of the calling thread in
milliseconds per face, as medians over rounds in which the models alternate, so that other load
affects all of them. The first call of a model in a round, when the CPU caches are full of another
model, is reported separately as `cold_ms`. Alignment is not included. MODELS.md lists the figure
for one face without the first call.
"""

import argparse
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mien.config import Settings
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime.catalog import entries
from mien.samples import sample_paths
from mien.types import Image

_BATCH = 8
_CALLS = 4
"""Calls per round, after the first one."""


def aligned_faces(pipeline: FacePipeline) -> list[Image]:
    """Aligned crops of the sample photographs for the pipeline's expression model."""
    crops = []
    for path in sample_paths():
        image = read_image(path)
        detections = pipeline.detect(image)
        landmarks = pipeline.landmarks.predict(image, detections)
        for detection, points in zip(detections, landmarks, strict=True):
            crops.append(pipeline.align(image, detection, points).image)
    return crops[:_BATCH]


def cpu_ms(pipeline: FacePipeline, crops: list[Image]) -> float:
    """CPU time of one call, in milliseconds a face. Threads that wait for work are not counted."""
    started = time.thread_time()
    pipeline.classify(crops)
    return 1000 * (time.thread_time() - started) / len(crops)


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """By model, milliseconds a face: for one, for one of eight, and for one with cold caches."""
    names = [e.spec.name for e in entries() if e.shipped and e.spec.task == "expression"]
    pipelines = {name: FacePipeline(Settings(model=name, threads=1)) for name in names}
    crops = {name: aligned_faces(pipeline) for name, pipeline in pipelines.items()}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, pipeline in pipelines.items():
            one, eight = crops[name][:1], crops[name]
            times.setdefault((name, "cold_ms"), []).append(cpu_ms(pipeline, one))
            for _ in range(_CALLS):
                times.setdefault((name, "one_face_ms"), []).append(cpu_ms(pipeline, one))
            times.setdefault((name, "eight_faces_ms"), []).append(cpu_ms(pipeline, eight))
    return {
        name: {
            figure: round(statistics.median(times[name, figure]), 2)
            for figure in ("one_face_ms", "eight_faces_ms", "cold_ms")
        }
        for name in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    document: dict[str, Any] = {
        "machine": {"processor": platform.processor(), "system": platform.platform()},
        "onnxruntime": version("onnxruntime"),
        "threads": 1,
        "rounds": options.rounds,
        "models": measure(options.rounds),
    }
    text = json.dumps(document, indent=2) + "\n"
    print(text)
    if options.json:
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
