"""Damaged pictures, videos and messages sent to the real application; run by `make soak`.

``MIEN_FUZZ`` is the share of the full size, and results are written to the file ``MIEN_FUZZ_JSON``.
"""

import collections
import io
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from flask import Flask
from PIL import Image as PillowImage
from simple_websocket import Client, ConnectionClosed  # type: ignore[import-untyped]

from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.web.app import create_app
from mien.web.config import WebConfig

pytestmark = pytest.mark.soak

# Read now: the tests' environment has no settings.
SHARE = float(os.environ.get("MIEN_FUZZ", "1"))
RESULTS = os.environ.get("MIEN_FUZZ_JSON", "")
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "AVIF", "JPEG2000")
_PATIENCE_S = 120.0


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = create_app(WebConfig(data_dir=tmp_path / "data", rate_limits=False), FacePipeline())
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, a part cut off, repeated, moved, or its numbers made extreme."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        at = rng.randrange(max(1, len(found)))
        # Headers are short, and matter more.
        at = rng.choice((at, at % 64, at % 1024)) % max(1, len(found))
        size = rng.choice((1, 2, 4, 8, 64))
        kind = rng.randrange(6)
        if kind == 0 and found:
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            found[at : at + size] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * size
        elif kind == 3:
            del found[at : at + size]
        elif kind == 4:
            found[at:at] = found[at : at + size]
        elif rng.random() < 0.2:
            del found[at:]
    return bytes(found)


def pictures() -> list[bytes]:
    found = []
    for path in sample_paths()[:3]:
        image = PillowImage.open(path).convert("RGB").resize((160, 160))
        for name in _FORMATS:
            for mode in ("RGB", "L", "P", "RGBA", "CMYK", "I;16"):
                buffer = io.BytesIO()
                try:
                    image.convert("I;16" if mode == "I;16" else mode).save(buffer, name)
                except (OSError, ValueError, KeyError):
                    continue
                found.append(buffer.getvalue())
    return found


def videos() -> list[bytes]:
    found = []
    for name, codec in (("mp4", "mpeg4"), ("avi", "mjpeg"), ("matroska", "mpeg4"), ("gif", "gif")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=name) as target:
            stream: Any = target.add_stream(codec, rate=8)
            stream.width, stream.height = 96, 96
            stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
            for shade in range(6):
                picture = np.full((96, 96, 3), 40 * shade, np.uint8)
                target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            target.mux(stream.encode())
        found.append(buffer.getvalue())
    return found


def memory_mb() -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:", 1)[1].split()[0]) / 1024


def _report(name: str, facts: dict[str, Any]) -> None:
    if RESULTS:
        path = Path(RESULTS)
        document = json.loads(path.read_text()) if path.is_file() else {}
        document[name] = facts
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _send_all(
    name: str, count: int, originals: list[bytes], send: Callable[[bytes], int | str]
) -> collections.Counter[int | str]:
    rng = random.Random(7)
    outcomes: collections.Counter[int | str] = collections.Counter()
    slowest_s, memory = 0.0, [memory_mb()]
    for number in range(count):
        data = mutated(rng.choice(originals), rng)
        begun = time.monotonic()
        outcome = send(data)
        slowest_s = max(slowest_s, time.monotonic() - begun)
        outcomes[outcome] += 1
        if outcome == 500:
            Path(f"/tmp/mien-fuzz-{name}-{number}").write_bytes(data)
        if number % max(1, count // 20) == 0:
            memory.append(memory_mb())
    _report(name, {
        "sent": count, "outcomes": {str(key): n for key, n in sorted(outcomes.items(), key=str)},
        "slowest_s": round(slowest_s, 1), "memory_mb": [round(one) for one in memory],
    })  # fmt: skip
    assert 500 not in outcomes
    assert slowest_s < _PATIENCE_S
    # The first tenth fills caches.
    assert memory[-1] - memory[3] < 60
    return outcomes


def test_damaged_pictures(app: Flask) -> None:
    client = app.test_client()
    outcomes = _send_all(
        "pictures", round(10_000 * SHARE), pictures(),
        lambda data: client.post("/api/v1/analyze", data=data).status_code,
    )  # fmt: skip
    assert set(outcomes) <= {200, 400, 413}
    assert outcomes[200] > 0 < outcomes[400]


def test_damaged_videos(app: Flask) -> None:
    client = app.test_client()

    def send(data: bytes) -> int | str:
        form = {"video": (io.BytesIO(data), "a.mp4"), "annotate": "false"}
        answer: Any = client.post("/api/v1/videos", data=form)
        if answer.status_code != 202:
            return int(answer.status_code)
        app.extensions["mien"].jobs.run_next()
        url = f"/api/v1/jobs/{answer.json['id']}"
        job: Any = client.get(url).json
        client.delete(url)
        return 500 if "internal error" in (job["message"] or "") else str(job["state"])

    outcomes = _send_all("videos", round(100 * max(SHARE, 0.1)), videos(), send)
    assert set(outcomes) <= {"done", "failed", 400}


def test_damaged_messages_of_live_streams(
    app: Flask, serve: Callable[[Flask], Any], smile: bytes
) -> None:
    served = serve(app)
    texts = [b'{"type": "options", "landmarks": true}', b'{"type": "record"}',
             b'{"type": "stop_recording"}', b'{"type": "record", "session_id": "x"}']  # fmt: skip
    open_sockets: list[Any] = []

    def answers(socket: Any) -> Iterator[Any]:
        while (answer := socket.receive(timeout=0.2)) is not None:
            yield answer

    def send(data: bytes) -> int | str:
        if not open_sockets:
            open_sockets.append(Client(f"ws://{served.address}/ws/live"))
        try:
            is_text = data[:1] in b'{["'
            open_sockets[0].send(data.decode("utf-8", "replace") if is_text else data)
            kinds = {json.loads(one).get("type", "result") for one in answers(open_sockets[0])}
        except ConnectionClosed as closed:
            open_sockets.clear()
            return f"closed {closed.reason}"
        return " ".join(sorted(kinds)) or "no answer"

    _send_all("messages", round(1000 * SHARE), [*texts, smile], send)
    # The server still serves.
    assert app.test_client().get("/healthz").status_code == 200
