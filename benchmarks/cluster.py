"""Throughput, overhead and memory of `mien batch`, and a simulation of larger clusters.

    python benchmarks/cluster.py [--images 200] [--rounds 5] [--growth 1000 10000 50000]
                                 [--only workers|growth|crops|frames|simulation]

Needs the extra `cluster`. Writes results/cluster.json; what is not measured stays. Throughput is
CPU time, as the kernel counts it for the workers, the driver and Ray's own processes, so that other
work on the machine does not count; the bare pipeline and the engine run in turn.
"""

import argparse
import json
import math
import os
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from mien.samples import sample_paths

RESULTS = Path(__file__).with_name("results") / "cluster.json"
CLIP = Path(__file__).parents[1] / "src/mien/web/static/sample.mp4"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Assumptions:
    """What the simulation takes for granted, beside the measured time of an image.

    Attributes:
        cores_per_node: each runs one worker.
        startup_s: to start a node, Ray on it and its models.
        driver_s: of the driver for each part: to schedule it and to take its commit.
        store_latency_s: of one request to the object store.
        readers: images that a worker reads at once, while it analyzes others.
        store_requests_per_s: that one prefix of the store serves (S3: 5,500 reads).
        node_mb_per_s: network of a node.
        image_mb: size of a photograph.
        images_per_part: as `mien batch` divides them.
        spread: of the time of a part, as a share of its mean (standard deviation).
    """

    cores_per_node: int = 8
    startup_s: float = 90.0
    driver_s: float = 0.004
    store_latency_s: float = 0.03
    readers: int = 4
    store_requests_per_s: float = 5500.0
    node_mb_per_s: float = 600.0
    image_mb: float = 2.5
    images_per_part: int = 256
    spread: float = 0.15


# US dollars per hour of an 8-core machine, on demand and as spare capacity; on paper.
_DOLLARS = {"on demand": 0.34, "spot": 0.13}


def simulate(nodes: int, images: int, image_s: float, given: Assumptions) -> dict[str, float]:
    """How long a run takes: workers take one part after the other from a driver that serves one
    request at a time, and share the networks.

    Args:
        nodes: number of machines.
        images: number of photographs.
        image_s: CPU seconds of one.
        given: the rest.
    """
    chance = random.Random(1)
    workers = nodes * given.cores_per_node
    parts = math.ceil(images / given.images_per_part)
    part_s = given.images_per_part * max(image_s, fetch_s(workers, given))
    free = [given.startup_s] * workers
    driver_free_s = end_s = 0.0
    import heapq

    heapq.heapify(free)
    for _ in range(parts):
        start_s = max(heapq.heappop(free), driver_free_s)
        driver_free_s = start_s + given.driver_s
        done_s = driver_free_s + part_s * max(0.3, chance.gauss(1, given.spread))
        end_s = max(end_s, done_s)
        heapq.heappush(free, done_s)
    ideal_s = images * image_s / workers
    return {
        "nodes": nodes,
        "hours": round(end_s / 3600, 3),
        "images_per_s": round(images / end_s, 1),
        "efficiency": round(ideal_s / end_s, 3),
    }


def fetch_s(workers: int, given: Assumptions) -> float:
    """The time between two images that a worker gets, which the store and networks limit."""
    return max(
        given.store_latency_s / given.readers,
        given.image_mb * given.cores_per_node / given.node_mb_per_s,
        workers / given.store_requests_per_s,
    )


def bill(image_s: float, frame_s: float, given: Assumptions) -> dict[str, dict[str, float]]:
    """Dollars for a million photographs, and for 1,000 hours at 25 frames per second."""
    work = {
        "million photographs": 1e6 * max(image_s, fetch_s(given.cores_per_node, given)),
        "1,000 hours": 1000 * 3600 * 25 * frame_s,
    }
    return {
        name: {
            "core_hours": round(seconds / 3600, 1),
            **{
                kind: round(seconds / 3600 / given.cores_per_node * dollars, 2)
                for kind, dollars in _DOLLARS.items()
            },
        }
        for name, seconds in work.items()
    }


def cpu_s(pid: int | str) -> float:
    """CPU seconds of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def make_images(folder: Path, count: int, *, faces: bool) -> list[str]:
    """Made pictures: a sample photograph with a mark, or a small one without a face."""
    folder.mkdir(parents=True)
    base = np.asarray(PillowImage.open(sample_paths()[1]).convert("RGB").resize((480, 480)))
    if not faces:
        base = np.full((48, 48, 3), 90, np.uint8)
    names = []
    for number in range(count):
        picture = base.copy()
        picture[:4, :4] = number % 251
        names.append(str(folder / f"{number:06d}.png"))
        PillowImage.fromarray(picture).save(names[-1], compress_level=1)
    return names


def _bare(names: Sequence[str]) -> float:
    """CPU seconds of the bare pipeline for images, without loading it."""
    from mien.config import Settings
    from mien.media.images import decode_image
    from mien.pipeline import FacePipeline

    pipeline = FacePipeline(Settings())
    pipeline.analyze(decode_image(names[0]).pixels)
    before = time.process_time()
    for name in names:
        pipeline.analyze(decode_image(name).pixels)
    return time.process_time() - before


def bare(names: Sequence[str], processes: int) -> float:
    """CPU seconds per image of the bare pipeline in a number of processes at once."""
    with get_context("spawn").Pool(processes) as pool:
        shares = [names[number::processes] for number in range(processes)]
        return sum(pool.map(_bare, shares)) / len(names)


def engine(names: Sequence[str], workers: int, folder: Path) -> dict[str, Any]:
    """CPU seconds per image of the workers of `mien batch`, and of its driver and Ray."""
    from mien.cluster.engine import Resources
    from mien.cluster.run import run_batch
    from mien.cluster.worker import BatchOptions

    folder.mkdir()
    listed = folder / "list.txt"
    listed.write_text("\n".join(names))
    seen = {"driver_mb": 0.0, "worker_mb": 0.0, "other_cpu_s_per_image": math.nan}
    stop = threading.Event()
    watching = threading.Thread(target=_watch, args=(seen, stop, folder / "out/commits"))
    watching.start()
    wall = time.perf_counter()
    try:
        document = run_batch(
            [str(listed)],
            str(folder / "out"),
            resources=Resources(workers=workers),
            options=BatchOptions(part_size=min(256, max(1, len(names) // (workers * 4)))),
        )
    finally:
        stop.set()
        watching.join()
    # The first part of a worker loads its pipeline; the others show the steady state.
    commits = _commits(folder / "out/commits")
    first = {c["pid"]: number for number, c in reversed(list(enumerate(commits)))}
    steady = [c for number, c in enumerate(commits) if first[c["pid"]] != number]
    counted = sum(c["counts"]["inputs"] for c in steady)
    return {
        "images": document["inputs"],
        "failed": document["failed"],
        "worker_cpu_s_per_image": sum(c["cpu_s"] for c in steady) / max(counted, 1),
        "wall_s": time.perf_counter() - wall,
        **seen,
    }


def _commits(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def _watch(seen: dict[str, float], stop: threading.Event, commits: Path) -> None:
    """The largest resident memory of this process and of one of its workers.

    Also the CPU time for an image, from the first commit on, of this process and of those that Ray
    started beside the workers; without that of this thread.
    """
    used: dict[int, float] = {}
    before: dict[int, float] = {}
    done_before = 0
    while not stop.wait(1.0):
        seen["driver_mb"] = max(seen["driver_mb"], resident_mb(os.getpid()))
        workers, others = _processes()
        for pid in workers:
            with suppress(OSError):
                seen["worker_mb"] = max(seen["worker_mb"], resident_mb(pid))
        if not (done := sum(c["counts"]["inputs"] for c in _commits(commits))):
            continue
        done_before = done_before or done
        for pid in others:
            with suppress(OSError):
                own = time.thread_time() if pid == os.getpid() else 0.0
                now = cpu_s(pid) - own
                used[pid] = now - before.setdefault(pid, now)
        if done > done_before:
            seen["other_cpu_s_per_image"] = sum(used.values()) / (done - done_before)


def _processes() -> tuple[set[int], set[int]]:
    """The workers of this process, and it with the other processes of Ray that it started."""
    parents: dict[int, int] = {}
    workers: set[int] = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                parents[int(entry.name)] = int(fields[1])
                if b"ray::Actor" in (entry / "cmdline").read_bytes():
                    workers.add(int(entry.name))
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found & workers, found - workers


def crop_batches(names: Sequence[str]) -> dict[str, Any]:
    """CPU milliseconds of the expression model for a crop, alone and with those of other images."""
    from mien.media.images import decode_image
    from mien.pipeline import FacePipeline

    pipeline = FacePipeline()
    crops = []
    for path in names:
        pixels = decode_image(path).pixels
        found = pipeline.detect(pixels, still=True)
        points = pipeline.landmarks.predict(pixels, found)
        crops += [pipeline.align(pixels, *pair).image for pair in zip(found, points, strict=True)]
    crops = (crops * 32)[:32]
    times: dict[int, list[float]] = {1: [], 4: [], 8: [], 16: []}
    pipeline.classify(crops)
    for _ in range(9):
        for size, seen in times.items():
            before = time.process_time()
            for start in range(0, len(crops), size):
                pipeline.classify(crops[start : start + size])
            seen.append((time.process_time() - before) * 1000 / len(crops))
    return {str(size): round(median(seen), 2) for size, seen in times.items()}


def frame_cost() -> dict[str, float]:
    """CPU milliseconds of a frame of the sample clip (960 x 540 pixels, two people)."""
    from mien.pipeline import FacePipeline
    from mien.streaming.outputs import VideoOptions
    from mien.streaming.video import analyze_video

    pipeline = FacePipeline()
    times: dict[str, list[float]] = {"analyzed": [], "analyzed and drawn": []}
    for _ in range(5):
        for name, seen in times.items():
            options = VideoOptions(annotate="drawn" in name)
            with tempfile.TemporaryDirectory() as scratch:
                before = time.process_time()
                ran = analyze_video(CLIP, Path(scratch) / "out", options, pipeline=pipeline)
                seen.append((time.process_time() - before) * 1000 / ran.frames)
    return {name: round(median(seen), 1) for name, seen in times.items()}


def throughput(images: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """The bare pipeline and the engine with one and two workers in turn; medians of rounds.

    The efficiency is the share of the bare pipeline's images for a second of CPU time: where all
    cores are busy, that of its images per second. The clock of a core may change, so the bare
    pipeline runs before and after each run of the engine.
    """
    names = make_images(folder / "faces", images, faces=True)
    found = []
    for workers in (1, 2):
        seen = []
        plain = bare(names, workers)
        for number in range(rounds):
            before = plain
            run = engine(names, workers, folder / f"run-{workers}-{number}")
            plain = bare(names, workers)
            spent = run["worker_cpu_s_per_image"] + run["other_cpu_s_per_image"]
            around = (before + plain) / 2
            seen.append({"bare_cpu_s_per_image": around, "efficiency": around / spent, **run})
        ratios = [round(one["efficiency"], 3) for one in seen]
        medians = {name: median(one[name] for one in seen) for name in seen[0]}
        found.append({"workers": workers, **medians, "efficiency of rounds": ratios})
    return found


def grown(count: int, folder: Path) -> dict[str, Any]:
    return engine(make_images(folder / f"in-{count}", count, faces=False), 2, folder / f"{count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth", type=int, nargs="*", default=[1000, 10_000, 50_000])
    parser.add_argument("--only", choices=("workers", "growth", "crops", "frames", "simulation"))
    chosen = parser.parse_args()
    result = json.loads(RESULTS.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        if chosen.only in (None, "workers"):
            result["workers"] = throughput(chosen.images, chosen.rounds, Path(scratch))
        if chosen.only in (None, "growth"):
            result["growth"] = [grown(count, Path(scratch)) for count in chosen.growth]
    if chosen.only in (None, "crops"):
        result["crop_ms_by_batch"] = crop_batches(list(map(str, sample_paths())))
    if chosen.only in (None, "frames"):
        result["frame_ms"] = frame_cost()
    given = Assumptions()
    image_s = result["workers"][0]["worker_cpu_s_per_image"]
    result["assumptions"] = asdict(given)
    result["simulated, a million images"] = [
        simulate(nodes, 1_000_000, image_s, given) for nodes in (10, 100, 1000)
    ]
    # The faces of a stream are searched for less often than those of photographs.
    frame_s = result["frame_ms"]["analyzed"] / 1000
    result["bill in dollars"] = bill(image_s, frame_s, given)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
