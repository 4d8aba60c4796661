"""The video page on the visitor's own device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from tests.e2e.camera import clip_frames

pytestmark = pytest.mark.e2e
OpenPage = Callable[..., Any]


def write_clip(path: Path) -> Path:
    """Three seconds of two people."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for picture in clip_frames(3, 640, 360)[:24]:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        target.mux(stream.encode())
    return path


def test_video_is_analyzed_on_the_device_if_chosen(
    browser: Any, own_device: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "three seconds.mp4")
    page = open_page(browser, own_device, "/video")
    sent: list[int] = []
    page.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
    page.select_option("[data-engine-choice]", "device")
    assert "does not leave it" in page.inner_text(".lead")
    page.set_input_files("#video", clip)
    page.click("button:has-text('Analyze')")
    page.wait_for_selector(".drop-title:has-text('of 0:03 min')")
    page.wait_for_url("**/sessions/*")
    page.wait_for_selector("h1:has-text('three seconds.mp4')")
    page.wait_for_selector("text=Person 2")
    session = page.request.get(f"{own_device.url}/api/v1{page.url.removeprefix(own_device.url)}")
    # At 15 a second at most; the file has 8.
    assert session.json()["frames"] == 24
    assert session.json()["duration_s"] == pytest.approx(23 / 8, abs=0.01)
    assert max(sent) < 200_000

    # Another kind of file leaves the form usable, with the server as the way out.
    page.goto(own_device.url + "/video")
    page.select_option("[data-engine-choice]", "device")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    page.set_input_files("#video", tmp_path / "broken.mp4")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector(".drop-title:has-text('Choose the server')")
    assert page.is_enabled("button:has-text('Analyze')")
    listed = page.request.get(own_device.url + "/api/v1/sessions").json()["sessions"]
    assert [one["name"] for one in listed] == ["three seconds.mp4"]


# The browser cannot decode the file itself, and a seek to the sixth frame never ends.
_STALLED = """
    delete window.VideoDecoder;
    const { get, set } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
    Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {
      get, set(at) { if (at < 0.3) set.call(this, at); }
    });
"""
# Timers never run, as in a hidden tab for a minute.
_NO_TIMERS = "window.setTimeout = () => 1;"


def test_stop_does_not_wait_for_a_frame_of_a_video(
    browser: Any, own_device: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(browser, own_device, "/video", init_script=_STALLED)
    page.select_option("[data-engine-choice]", "device")
    page.set_input_files("#video", write_clip(tmp_path / "clip.mp4"))
    page.click("button:has-text('Analyze')")
    page.wait_for_selector(".drop-title:has-text('of 0:03 min')")
    page.wait_for_timeout(1500)
    page.click("[data-stop]")
    page.wait_for_url("**/sessions/*", timeout=10_000)
    session = page.request.get(f"{own_device.url}/api/v1{page.url.removeprefix(own_device.url)}")
    assert 0 < session.json()["frames"] <= 5


def test_results_of_a_video_are_sent_where_timers_are_late(
    browser: Any, own_device: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(browser, own_device, "/video", init_script=_NO_TIMERS)
    batches: list[int] = []

    def count(request: Any) -> None:
        if request.url.endswith("/results"):
            batches.append(len(request.post_data or ""))

    page.on("request", count)
    page.select_option("[data-engine-choice]", "device")
    page.set_input_files("#video", write_clip(tmp_path / "clip.mp4"))
    page.click("button:has-text('Analyze')")
    page.wait_for_url("**/sessions/*")
    # One at the end, and those before it each second.
    assert len(batches) > 1


def test_session_of_a_video_has_no_gap_that_the_file_has_not(
    browser: Any, own_device: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(browser, own_device, "/video")
    # As after a restart of the server, which then would go on with the time of now.
    page.route("**/results", lambda route: route.fulfill(status=404, json={}))
    page.select_option("[data-engine-choice]", "device")
    page.set_input_files("#video", write_clip(tmp_path / "clip.mp4"))
    page.click("button:has-text('Analyze')")
    page.wait_for_selector(".drop-title:has-text('Some results could not be stored')")
    assert page.is_enabled("button:has-text('Analyze')")
