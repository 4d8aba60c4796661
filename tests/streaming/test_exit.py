"""Python exits at once, and by itself, while streams are open."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

# Threads are almost always inside OpenCV, which Python cannot end there.
SCRIPT = """
import sys, threading
import cv2, numpy as np
import mien
from mien.media.sources import Frame, SourceInfo
from mien.testing import FakePipeline

class Blurred:
    def __init__(self, live):
        self.info = SourceInfo("blurred", live=live)

    def frames(self):
        image = np.zeros((400, 400, 3), np.uint8)
        for index in range(10**9):
            yield Frame(cv2.GaussianBlur(image, (0, 0), 5), index / 25, index)

def opened(live=False):
    found = mien.stream(Blurred(live), pipeline=FakePipeline())
    next(found)
    return found
"""
ENDS = {
    "open": "it = opened()",
    "open camera": "it = opened(live=True)",
    "cycle": "it = [opened()]; it.append(it); del it",
    "error in the loop": "for result in opened(): raise ValueError('expected')",
    "Ctrl-C in the loop": "for result in opened(): raise KeyboardInterrupt",
    "other thread": """
def follow():
    for result in opened():
        started.set()
    print("the stream has an end")
started = threading.Event()
threading.Thread(target=follow, daemon=True).start()
started.wait()
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_python_exits_while_a_stream_is_open(end: str) -> None:
    expected = {
        "error in the loop": (1, "ValueError: expected"),
        "Ctrl-C in the loop": (-signal.SIGINT, "KeyboardInterrupt"),
    }.get(end, (0, ""))

    def run(_: int) -> tuple[int, str]:
        python = [sys.executable, "-c", SCRIPT + ENDS[end]]
        done = subprocess.run(python, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, (done.stdout + done.stderr).strip().rpartition("\n")[2]

    with ThreadPoolExecutor(2) as both:
        assert list(both.map(run, range(2))) == [expected] * 2
