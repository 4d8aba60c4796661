r"""Load on the live page: frames per second, and the time from a frame to its result.

Measures the bare pipeline first, then starts ``mien serve`` and clients in separate
processes on the same cores; each client has one pending frame::

    python benchmarks/web/load.py --clients 1 2 10 20 20@5 --flood 200 \
        --json benchmarks/results/web-load.json

``20@5`` are 20 clients that send at most 5 frames per second each. ``--flood 200`` connects 200
clients to the full server and counts the responses. ``--soak 600`` runs 200 clients that
reconnect whenever they are rejected for 600 seconds, and measures the memory::

    python benchmarks/web/load.py --soak 600 --json benchmarks/results/web-soak.json
"""

import argparse
import json
import multiprocessing
import os
import platform
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from simple_websocket import ConnectionClosed
from simple_websocket import ConnectionError as WebSocketConnectionError

from client import LiveClient

# A forked process may hang after OpenCV or FFmpeg have started threads.
SPAWN = multiprocessing.get_context("spawn")
PORT = 8137
URL = f"http://127.0.0.1:{PORT}"
CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"


def pictures(count: int = 48) -> list[bytes]:
    """Frames of the sample clip as a browser sends them: 640 px wide, JPEG."""
    from mien import imaging
    from mien.media.video import VideoSource
    from mien.web.photos import encode_jpeg

    found = []
    for frame in VideoSource(CLIP).frames():
        found.append(encode_jpeg(imaging.resize(frame.image, (640, 360)), quality=80))
        if len(found) == count:
            break
    return found


def bare_fps(data: list[bytes], seconds: float, streams: int = 0) -> float:
    """The bare pipeline with decoding, in one process per core.

    Args:
        streams: number of alternating streams, each frame with its actual time: the fewer frames
            per second a stream has, the more work is each of them. By default, one stream of 30
            frames per second in each process.
    """
    cores = os.cpu_count() or 1
    shares = [1] * cores if not streams else [len(range(i, streams, cores)) for i in range(cores)]
    with SPAWN.Pool(cores) as pool:
        return sum(pool.starmap(_bare, [(data, seconds, n, bool(streams)) for n in shares if n]))


def _bare(data: list[bytes], seconds: float, count: int, real_time: bool) -> float:
    from mien.media.images import read_image
    from mien.pipeline import FacePipeline
    from mien.streaming import FaceStream

    pipeline = FacePipeline()
    streams = [FaceStream(pipeline) for _ in range(count)]
    for i in range(5):
        for stream in streams:
            stream.update(read_image(data[i]), float(i))
    started, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds:
        number, index = divmod(done, count)
        at_s = passed if real_time else number / 30
        streams[index].update(read_image(data[number % len(data)]), 100 + at_s)
        done += 1
    return done / (time.perf_counter() - started)


def live_client(data: list[bytes], seconds: float, rate: float, results: Any, barrier: Any) -> None:
    """One client; reports its latencies in milliseconds and counts of other messages."""
    latencies, counts, sent = [], {"busy": 0, "dropped": 0, "full": 0}, 0
    try:
        # All start together, so that the start of a client does not affect the measurement.
        barrier.wait()
        client = LiveClient.connect(f"ws://127.0.0.1:{PORT}/ws/live")
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            began = time.perf_counter()
            client.send(data[sent % len(data)])
            sent += 1
            answer = json.loads(client.receive(timeout=30))
            if "faces" in answer:
                latencies.append(1000 * (time.perf_counter() - began))
            else:
                counts[answer["type"]] += 1
                time.sleep(answer.get("retry_after_ms", 0) / 1000)
            if rate:
                time.sleep(max(0.0, 1 / rate - (time.perf_counter() - began)))
        client.close()
    except ConnectionClosed as closed:
        counts["full"] += closed.reason == 1013
        # The close is the response to the last frame.
        sent -= closed.reason == 1013 and sent > 0
    results.put((sent, latencies, counts))


def run(
    data: list[bytes], clients: int, seconds: float, rate: float, *, threads: bool = False
) -> dict[str, Any]:
    """Run clients in separate processes, or in threads of this process if there are many."""
    results: Any = queue.Queue() if threads else SPAWN.Queue()
    barrier: Any = threading.Barrier(clients) if threads else SPAWN.Barrier(clients)
    start: Any = threading.Thread if threads else SPAWN.Process
    processes = [
        start(target=live_client, args=(data, seconds, rate, results, barrier))
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    collected = [results.get(timeout=seconds + 120) for _ in processes]
    for process in processes:
        process.join()
    latencies = np.array([ms for _, some, _ in collected for ms in some])
    counts = {key: sum(t[key] for _, _, t in collected) for key in collected[0][2]}
    sent = sum(count for count, _, _ in collected)
    return {
        "clients": clients,
        "rate_each": rate or None,
        "fps": round(len(latencies) / seconds, 2),
        "p50_ms": round(float(np.percentile(latencies, 50)), 1) if len(latencies) else None,
        "p95_ms": round(float(np.percentile(latencies, 95)), 1) if len(latencies) else None,
        "sent": sent,
        "answered": len(latencies),
        **counts,
        "lost_silently": sent - len(latencies) - counts["busy"] - counts["dropped"],
        "slowest_served_client_frames": min(
            (len(some) for _, some, counts in collected if not counts["full"]), default=0
        ),
    }


def soak(data: list[bytes], server: "subprocess.Popen[bytes]", seconds: float) -> dict[str, Any]:
    """200 clients for a while: their messages, the response time of /healthz, and memory."""
    deadline = time.monotonic() + seconds
    counts = {"answered": 0, "busy": 0, "dropped": 0, "full": 0, "unanswered": 0, "broken": 0}
    breaks: Counter[str] = Counter()
    lock = threading.Lock()

    def count(what: str, why: str = "") -> None:
        with lock:
            counts[what] += 1
            if why:
                breaks[why] += 1

    def visit(number: int) -> None:
        chance = np.random.default_rng(number)
        while time.monotonic() < deadline:
            try:
                stay(chance, time.monotonic() + 20 + 40 * chance.random())
            except ConnectionClosed as closed:
                full = closed.reason == 1013
                count("full" if full else "broken", "" if full else str(closed))
            except (OSError, WebSocketConnectionError) as error:
                count("broken", repr(error))
            time.sleep(1 + 4 * chance.random())

    def stay(chance: Any, until: float) -> None:
        client = LiveClient.connect(f"ws://127.0.0.1:{PORT}/ws/live")
        while time.monotonic() < min(until, deadline):
            client.send(data[int(chance.integers(len(data)))])
            text = client.receive(timeout=60)
            if text is None:
                count("unanswered")
                break
            answer = json.loads(text)
            count("answered" if "faces" in answer else answer["type"])
            time.sleep(max(0.2, answer.get("retry_after_ms", 0) / 1000))
        client.close()

    threads = [threading.Thread(target=visit, args=(n,), daemon=True) for n in range(200)]
    for thread in threads:
        thread.start()
    memory, healthz_ms = [], []
    while time.monotonic() < deadline:
        time.sleep(10)
        _ask_health(healthz_ms)
        memory.append(round(_memory_mb(server.pid), 1))
    for thread in threads:
        thread.join(90)
    third = max(1, len(memory) // 3)
    return {
        "seconds": seconds,
        "clients": len(threads),
        **counts,
        "breaks": dict(breaks),
        "healthz_worst_ms": max(healthz_ms),
        "memory_pss_mb": memory,
        "growth_mb": round(
            float(np.median(memory[-third:]) - np.median(memory[third : 2 * third])), 1
        ),
    }


def _memory_mb(leader: int) -> float:
    """Total proportional set size of the server's processes."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == leader:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:
            continue  # ended meanwhile
    return total / 1024


def _cpu_s(leader: int) -> float:
    """CPU seconds of the server's processes so far."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == leader:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue  # ended meanwhile
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", nargs="+", default=["1", "2", "10", "20", "20@5"])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--flood", type=int, default=0)
    parser.add_argument("--soak", type=float, default=0)
    parser.add_argument("--workers", default="1", help="as of mien serve")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data = pictures()
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "workers": arguments.workers,
        "load_before": os.getloadavg()[0],
    }
    if not arguments.soak:
        report |= {"bare_fps": round(bare_fps(data, arguments.seconds), 2), "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        _require_free_port()
        environment = {**os.environ, "MIEN_DATA_DIR": folder, "MIEN_RATE_LIMITS": "0"}
        command = [sys.executable, "-m", "mien", "serve", "--port", str(PORT)]
        command += ["--workers", arguments.workers]
        server = subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            _wait_until_ready(server)
            if arguments.soak:
                report |= soak(data, server, arguments.soak)
            for entry in arguments.clients if not arguments.soak else ():
                clients, _, rate = entry.partition("@")
                cpu_before = _cpu_s(server.pid)
                one = run(data, int(clients), arguments.seconds, float(rate or 0))
                one["server_cpu_s"] = round(_cpu_s(server.pid) - cpu_before, 2)
                one["fps_of_server_core"] = round(one["answered"] / one["server_cpu_s"], 1)
                one["memory_pss_mb"] = round(_memory_mb(server.pid), 1)
                one["of_bare"] = round(one["fps"] / report["bare_fps"], 3)
                if not rate:
                    same = bare_fps(data, arguments.seconds, int(clients))
                    one["bare_same_streams_fps"] = round(same, 2)
                    one["of_bare_same_streams"] = round(one["fps"] / same, 3)
                report["runs"].append(one)
                print(json.dumps(one), flush=True)
            if arguments.flood:
                healthz_ms: list[float] = []
                probe = threading.Timer(arguments.seconds / 2, _ask_health, [healthz_ms])
                probe.start()
                flood = run(data, arguments.flood, arguments.seconds, 0, threads=True)
                flood["healthz_ms"] = healthz_ms[0]
                report["flood"] = flood
        finally:
            server.terminate()
            server.wait()
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def _ask_health(took_ms: list[float]) -> None:
    began = time.perf_counter()
    with urllib.request.urlopen(f"{URL}/healthz", timeout=10):
        took_ms.append(round(1000 * (time.perf_counter() - began), 1))


def _require_free_port() -> None:
    """Another server there would answer before this one has failed to start."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            sys.exit(f"expected no other server on port {PORT}, got one: end it first")


def _wait_until_ready(server: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        if server.poll() is not None:
            sys.exit(f"expected the server to start; does another one use port {PORT}?")
        try:
            urllib.request.urlopen(f"{URL}/readyz", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    sys.exit("expected the server to become ready within a minute")


if __name__ == "__main__":
    main()
