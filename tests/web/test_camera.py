"""The server's own camera, here a video played in a loop."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from mien.errors import SettingError
from mien.media.images import read_image
from mien.web import camera as camera_module

MakeApp = Callable[..., Flask]
WaitUntil = Callable[..., Any]


def events(response: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    text = ""
    for part in response.response:
        text += part if isinstance(part, str) else part.decode()
        while "\n\n" in text:
            block, text = text.split("\n\n", 1)
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "data" in fields:
                yield fields["event"], json.loads(fields["data"])


def test_two_viewers_share_one_camera(
    make_app: MakeApp, wait_until: WaitUntil, walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_module, "_LINGER_S", 0.1)
    opened: list[float] = []

    class Counting(camera_module._LoopedVideo):
        def frames(self) -> Iterator[Any]:
            opened.append(time.monotonic())
            return super().frames()

    monkeypatch.setattr(camera_module, "_LoopedVideo", Counting)
    app = make_app(camera=str(walk))
    assert opened == []
    client = app.test_client()
    assert "data-server-camera" in client.get("/camera").text
    with client.get("/camera/events", buffered=False) as seen:
        results = (data for kind, data in events(seen) if kind == "result")
        first, second = next(results), next(results)
        assert len(first["faces"]) == 1
        assert first["timestamp_s"] < second["timestamp_s"]
        with app.test_client().get("/camera/stream", buffered=False) as picture:
            chunks: Iterator[Any] = iter(picture.response)
            part = b""
            while b"\xff\xd9\r\n" not in part:
                part += next(chunks)
            jpeg = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            assert read_image(jpeg).shape == (240, 320, 3)
        assert len(opened) == 1
    hub = app.extensions["mien"].camera
    wait_until(lambda: not hub._thread.is_alive())


def test_no_camera_page_without_a_camera(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/camera").status_code == 404
    assert ">Camera</a>" not in client.get("/photo").text


def test_rejects_a_missing_video_at_start(make_app: MakeApp) -> None:
    with pytest.raises(SettingError, match="--camera"):
        make_app(camera="/no/such/file.mp4")


def test_viewers_see_why_the_camera_is_unavailable(
    make_app: MakeApp, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_module, "_LINGER_S", 0.1)
    monkeypatch.setattr(camera_module, "_RETRY_S", 0.1)
    app = make_app(camera="97")
    with app.test_client().get("/camera/events", buffered=False) as seen:
        messages = (data["message"] for kind, data in events(seen) if kind == "unavailable")
        wait_until(lambda: "camera 97 cannot be opened" in next(messages))
    hub = app.extensions["mien"].camera
    wait_until(lambda: not hub._thread.is_alive())
