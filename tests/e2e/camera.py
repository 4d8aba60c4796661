"""What tests do with the camera of the live page, and with the sample clip."""

from pathlib import Path
from typing import Any

import av

CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"


def clip_frames(every: int, width: int, height: int) -> list[Any]:
    """Frames of the sample clip as RGB arrays of this size, from the first on."""
    with av.open(str(CLIP)) as source:
        return [
            frame.to_ndarray(width=width, height=height, format="rgb24")
            for index, frame in enumerate(source.decode(video=0))
            if index % every == 0
        ]


def start_camera(page: Any) -> None:
    """Start it, and wait for the first person."""
    page.click("[data-start]")
    page.wait_for_selector(".person")


def unplug_camera(page: Any) -> None:
    """End its track as a browser does, and wait until the page says so."""
    page.evaluate(
        """() => {
            const [track] = document.querySelector("video").srcObject.getVideoTracks();
            track.stop();
            track.dispatchEvent(new Event("ended"));
        }"""
    )
    page.wait_for_selector("[data-toast]:has-text('disconnected')")
