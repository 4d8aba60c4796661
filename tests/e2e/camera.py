"""What tests of the live page do with its camera."""

from typing import Any


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
