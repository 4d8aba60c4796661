"""Analysis in the browser beside other libraries: time per frame, first result, memory.

    python benchmarks/browser --packages FOLDER [--seconds 12] [--rounds 3] [--memory MINUTES]

FOLDER has the unpacked npm packages `human` (@vladmandic/human), `face-api` (@vladmandic/face-api)
and `tfwasm` (@tensorflow/tfjs-backend-wasm); `npm pack NAME` fetches one. The library of mien is
packed from this checkout. Headless Chromium (Playwright) loads the same frames into canvases, all
contenders detect faces, find their mesh or landmarks and classify expressions, in WebAssembly with
the same number of threads, in alternating rounds. Writes benchmarks/results/browser.json.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = ROOT / "src/mien/samples"
COUNT = 40
CONTENDERS = ("mien", "human", "face-api")


class _Handler(SimpleHTTPRequestHandler):
    """Static files, isolated so that WebAssembly has threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


def main() -> int:
    """Measure and write the results; return the exit status."""
    options = _parse()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        _assemble(folder, options.packages)
        handler = partial(_Handler, directory=name)
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        base = f"http://127.0.0.1:{server.server_port}/page.html"
        playwright = stack.enter_context(sync_playwright())
        browser = stack.enter_context(_launch(playwright))
        figures: dict[str, Any] = {}
        for _ in range(options.rounds):
            for scene in ("one", "five"):
                for contender in CONTENDERS:
                    found = _measure(browser, base, contender, scene, options)
                    figures.setdefault(scene, {}).setdefault(contender, []).append(found)
                    print(scene, contender, found, flush=True)
        result: dict[str, Any] = {
            "benchmark": "browser",
            "chromium": browser.version,
            "threads": options.threads,
            "figures": {
                scene: {contender: _medians(rounds) for contender, rounds in by_contender.items()}
                for scene, by_contender in figures.items()
            },
        }
        if options.memory:
            result["memory"] = _memory(browser, base, options)
    (ROOT / "benchmarks/results/browser.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


def _launch(playwright: Any) -> Any:
    installed = shutil.which("chromium") or shutil.which("google-chrome")
    return playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=float, default=0, help="minutes of mien alone")
    return parser.parse_args()


def _assemble(folder: Path, packages: Path) -> None:
    command = [sys.executable, ROOT / "tools/pack_web.py", "--out", folder]
    packed = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.unpack_archive(packed.stdout.split()[-1], folder / "packed")
    (folder / "mien").symlink_to(folder / "packed/package")
    for name in ("human", "face-api", "tfwasm"):
        (folder / name).symlink_to((packages / name).resolve())
    (folder / "page.html").write_bytes((HERE / "page.html").read_bytes())
    for scene, frames in (("one", _portraits(1, (640, 480))), ("five", _portraits(5, (1280, 720)))):
        (folder / "frames" / scene).mkdir(parents=True)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(folder / "frames" / scene / f"{number}.jpg"), frame[..., ::-1])


def _portraits(count: int, size_wh: tuple[int, int]) -> list[np.ndarray[Any, Any]]:
    """Portraits that move a little, in front of gray."""
    paths = sorted(SAMPLES.glob("person-*.jpg"))[:count]
    portraits = [cv2.resize(cv2.imread(str(path))[..., ::-1], (250, 250)) for path in paths]
    width, height = size_wh
    frames = []
    for number in range(COUNT):
        frame = np.full((height, width, 3), 128, np.uint8)
        for k, portrait in enumerate(portraits):
            x = (2 * k + 1) * width // (2 * count) - 125
            y = height // 2 - 165 + 2 * number
            frame[y : y + 250, x : x + 250] = portrait
        frames.append(frame)
    return frames


def _open(browser: Any, base: str, contender: str, scene: str, threads: int) -> Any:
    page = browser.new_context().new_page()
    page.goto(f"{base}?contender={contender}&frames={scene}&count={COUNT}&threads={threads}")
    page.wait_for_function("window.firstResultMs !== undefined", timeout=180_000)
    return page


def _measure(
    browser: Any, base: str, contender: str, scene: str, options: argparse.Namespace
) -> dict[str, float]:
    page = _open(browser, base, contender, scene, options.threads)
    page.evaluate("run(2)")  # warm
    found = page.evaluate("seconds => run(seconds)", options.seconds)
    first = page.evaluate("firstResultMs")
    page.context.close()
    times = found["times"]
    return {
        "frames_per_second": len(times) / (sum(times) / 1000),
        "median_ms": statistics.median(times),
        "first_result_ms": first,
        "faces_per_frame": found["faces"] / len(times),
    }


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(r[key] for r in rounds), 2) for key in rounds[0]}


def _memory(browser: Any, base: str, options: argparse.Namespace) -> dict[str, Any]:
    """Resident memory of all processes of the browser while mien runs, in MB each minute."""
    page = _open(browser, base, "mien", "one", options.threads)
    samples = []
    for _ in range(round(options.memory)):
        page.evaluate("run(60)")
        samples.append(_resident_mb())
    page.context.close()
    return {"resident_mb_each_minute": samples}


def _resident_mb() -> float:
    """Proportional memory of this process's children, which are Playwright's and Chromium's."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/smaps_rollup"):
        with contextlib.suppress(OSError):
            command = (status.parent / "cmdline").read_bytes()
            if b"--type=renderer" in command:
                total += int(status.read_text().split("Pss:")[1].split()[0])
    return round(total / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
