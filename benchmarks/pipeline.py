"""Time of the whole pipeline and of its stages, compared with the bare models and a peer.

    python benchmarks/pipeline.py --output benchmarks/results/pipeline.json
    python benchmarks/pipeline.py --peer-python /path/to/venv-with-fer/bin/python

Every figure is CPU time of the process in milliseconds per image, as a median over rounds in which
the contenders alternate, so that changes of the machine's speed affect all of them. "Bare models"
are the same model runs on precomputed inputs; the overhead is the rest of the analysis. Decoding
is not included. The peer is `fer` with its Haar detector, in a separate environment
(fer==25.10.3, setuptools<80, tensorflow-cpu).
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from mien import imaging
from mien.config import Settings
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.runtime.session import Session
from mien.samples import sample_paths
from mien.types import Image

SIZE_WH = (640, 360)


def scene(faces: int) -> Image:
    """A 640x360 image of the sample people, side by side."""
    people = [path for path in sample_paths() if path.name.startswith("person")]
    # Five faces are four people and the other photograph of the first one.
    chosen = [people[i] for i in (0, 2, 4, 6, 1)][:faces]
    width, height = SIZE_WH
    canvas = np.full((height, width, 3), 200, np.uint8)
    side = min(height, width // faces)
    for slot, path in enumerate(chosen):
        face = imaging.resize(read_image(path)[60:500, 100:540], (side, side))
        left = slot * (width // faces) + (width // faces - side) // 2
        canvas[(height - side) // 2 : (height - side) // 2 + side, left : left + side] = face
    return canvas


def median_cpu_ms(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each call, in alternating runs."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(1000 * (time.process_time() - start))
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def bare_runs(pipeline: FacePipeline, image: Image) -> list[tuple[Session, dict[str, Any]]]:
    """Every model run of an analysis of the image, including second passes, with its input."""
    recorded: list[tuple[Session, dict[str, Any]]] = []

    def record(session: Session, inputs: dict[str, Any], outputs: Any = None) -> Any:
        recorded.append((session, {name: array.copy() for name, array in inputs.items()}))
        return run(session, inputs, outputs)

    run = Session.run
    with patch.object(Session, "run", record):
        pipeline.analyze(image)
    return recorded


def compare_models(faces: int, rounds: int) -> dict[str, Any]:
    """The whole analysis with each default expression model and the one of `measure`."""
    image = scene(faces)
    pipelines = {name: FacePipeline(model=name) for name in ("transfer", "ensemble", "quick")}
    calls = {name: partial(pipeline.analyze, image) for name, pipeline in pipelines.items()}
    return {"faces": faces, "cpu_ms": median_cpu_ms(calls, rounds)}


def measure(faces: int, threads: int, rounds: int) -> dict[str, Any]:
    image = scene(faces)
    pipeline = FacePipeline(Settings(threads=threads, model="transfer"))
    result = pipeline.analyze(image)
    assert len(result) == faces, f"expected {faces} faces in the scene, found {len(result)}"
    detections = pipeline.detect(image)
    landmarks = pipeline.landmarks.predict(image, detections)
    crops = [
        pipeline.align(image, detection, points).image
        for detection, points in zip(detections, landmarks, strict=True)
    ]
    runs = bare_runs(pipeline, image)
    medians = median_cpu_ms(
        {
            "whole": lambda: pipeline.analyze(image),
            "bare_models": lambda: [session.run(inputs) for session, inputs in runs],
            "detect": lambda: pipeline.detect(image),
            "landmarks": lambda: pipeline.landmarks.predict(image, detections),
            "classify": lambda: pipeline.classify(crops),
        },
        rounds,
    )
    wall = []
    for _ in range(rounds):
        start = time.perf_counter()
        pipeline.analyze(image)
        wall.append(1000 * (time.perf_counter() - start))
    return {
        "faces": faces,
        "threads": threads,
        "model_runs": dict(Counter(session.path.stem for session, _ in runs)),
        "cpu_ms": medians,
        "wall_ms": round(statistics.median(wall), 3),
        "overhead": round(medians["whole"] / medians["bare_models"] - 1, 3),
    }


_COLD_START = """
import time; start = time.perf_counter()
import mien
imported = time.perf_counter()
mien.analyze({path!r})
print(imported - start, time.perf_counter() - imported)
"""

_PEER = """
import os; os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import json, statistics, sys, time
import cv2
from fer.fer import FER
detector = FER()
medians = []
for path in sys.argv[1:]:
    image = cv2.imread(path)
    detector.detect_emotions(image)
    times = []
    for _ in range(20):
        start = time.process_time()
        found = detector.detect_emotions(image)
        times.append(1000 * (time.process_time() - start))
    medians.append({"faces_found": len(found), "cpu_ms": statistics.median(times)})
print(json.dumps(medians))
"""


def cold_start() -> dict[str, float]:
    """Seconds to import mien, and then to the first result, in new processes."""
    path = str(next(path for path in sample_paths() if path.name.startswith("person")))
    runs = []
    for _ in range(5):
        finished = subprocess.run(
            [sys.executable, "-c", _COLD_START.format(path=path)],
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append([float(value) for value in finished.stdout.split()])
    imports, firsts = zip(*runs, strict=True)
    return {
        "import_s": round(statistics.median(imports), 3),
        "first_result_s": round(statistics.median(firsts), 3),
    }


def peer(python: Path) -> list[dict[str, Any]]:
    """The same scenes through `fer`."""
    from tempfile import TemporaryDirectory

    from PIL import Image as PillowImage

    with TemporaryDirectory() as folder:
        paths = []
        for faces in (1, 5):
            paths.append(str(Path(folder) / f"{faces}.png"))
            PillowImage.fromarray(scene(faces)).save(paths[-1])
        finished = subprocess.run(
            [str(python), "-c", _PEER, *paths], capture_output=True, text=True, check=True
        )
    found: list[dict[str, Any]] = json.loads(finished.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
        "opencv": version("opencv-contrib-python-headless"),
        "models": FacePipeline(model="transfer").models,
        "size_wh": SIZE_WH,
        "runs": [measure(faces, threads, options.rounds) for faces in (1, 5) for threads in (1, 2)],
        "expression_models": [compare_models(faces, options.rounds) for faces in (1, 5)],
        "cold_start": cold_start(),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    if options.peer_python:
        report["peer_fer_haar"] = peer(options.peer_python)
        ours = [run["cpu_ms"]["whole"] for run in report["runs"] if run["threads"] == 1]
        report["peer_cpu_ratio"] = [
            round(theirs["cpu_ms"] / mine, 2)
            for theirs, mine in zip(report["peer_fer_haar"], ours, strict=True)
        ]
    text = json.dumps(report, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
