"""Clicks on the live page that are doubled, or come while the camera opens."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
OpenPage = Callable[..., Any]

# Keeps the streams that the camera gave, each after 0.3 s, as when the browser asks.
_STREAMS = """
    window.asked = 0; window.streams = [];
    const camera = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = async function (wanted) {
      window.asked += 1;
      const stream = await camera.call(this, wanted);
      window.streams.push(stream);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return stream;
    };
"""
_LIVE = """() => window.streams.flatMap((stream) => stream.getTracks())
    .filter(({ readyState }) => readyState === "live").length"""


def stop(page: Any) -> None:
    page.click("[data-stop]")
    page.wait_for_selector("[data-consent]:visible")


def click_at_once(page: Any, *names: str) -> None:
    click = "names => names.forEach((name) => document.querySelector(`[data-${name}]`).click())"
    page.evaluate(click, names)


def test_double_click_opens_the_camera_once(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, init_script=_STREAMS)
    page.dblclick("[data-start]")
    page.wait_for_selector(".person")
    assert page.evaluate("window.asked") == 1
    assert page.evaluate(_LIVE) == 1
    stop(page)
    assert page.evaluate(_LIVE) == 0
    assert page.problems == []


def test_no_camera_stays_open_after_a_stop(
    browser: Any, own_device: Any, open_page: OpenPage
) -> None:
    page = open_page(browser, own_device, init_script=_STREAMS)
    # The clip is chosen while the camera opens.
    click_at_once(page, "start", "start-clip")
    page.wait_for_selector(".person")
    page.wait_for_function("() => window.streams.length === 1")
    page.wait_for_timeout(600)
    assert page.evaluate(_LIVE) == 0
    assert page.evaluate("document.querySelector('video').srcObject") is None
    stop(page)
    page.click("[data-start]")
    page.wait_for_selector(".person")
    page.click("[data-settings]")
    page.select_option("[data-engine-choice]", "server")
    # Each choice opens the camera again; the newest counts.
    for width in ("320", "640", "960"):
        page.select_option("[data-resolution]", width)
    page.wait_for_function("() => window.streams.length === 5")
    page.wait_for_selector("[data-link]:has-text('WebSocket')")
    page.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    assert page.evaluate(_LIVE) == 1
    page.select_option("[data-resolution]", "320")
    page.keyboard.press("Escape")
    stop(page)
    page.wait_for_function("() => window.streams.length === 6")
    page.wait_for_timeout(600)
    assert page.evaluate(_LIVE) == 0
    assert page.is_visible("[data-consent]")
    assert page.problems == []


def test_double_click_plays_the_clip(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server)
    page.dblclick("[data-start-clip]")
    page.wait_for_selector(".person")
    assert page.is_hidden("[data-problem]")
    stop(page)
    page.click("[data-start-clip]")
    page.wait_for_selector("[data-stop]:visible")
    # A pause and a stop while it begins are no problems, either.
    click_at_once(page, "pause", "pause", "stop")
    page.wait_for_timeout(500)
    assert page.is_hidden("[data-problem]")
    assert page.problems == []


def test_double_click_on_record_stores_nothing(
    browser: Any, own_device: Any, open_page: OpenPage
) -> None:
    page = open_page(browser, own_device)
    for engine in ("device", "server"):
        assert page.get_attribute("[data-live]", "data-engine") == engine
        page.click("[data-start-clip]")
        page.wait_for_selector(".person")
        page.click("[data-pause]")
        page.wait_for_timeout(1000)
        page.dblclick("[data-record]")
        page.wait_for_timeout(1000)
        assert page.get_attribute("[data-record]", "aria-pressed") == "false"
        assert page.inner_text("[data-rec-state]") == "Paused"
        sessions = page.request.get(own_device.url + "/api/v1/sessions").json()["sessions"]
        assert sessions == []
        stop(page)
        page.select_option("[data-engine-choice]", "server", force=True)
    assert page.problems == []


def test_slow_device_is_no_slow_network(browser: Any, own_device: Any, open_page: OpenPage) -> None:
    slow = """
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (...sent) {
          setTimeout(() => post.apply(this, sent), 700);
        };
        window.said = [];
        addEventListener("DOMContentLoaded", () => {
          const toast = document.querySelector("[data-toast]");
          new MutationObserver(() => window.said.push(toast.textContent))
            .observe(toast, { childList: true });
        });
    """
    page = open_page(browser, own_device, init_script=slow)
    page.click("[data-start-clip]")
    page.wait_for_selector(".person")
    page.wait_for_timeout(4000)
    assert "network" not in " ".join(page.evaluate("window.said"))


@pytest.mark.parametrize("engine", ["device", "server"])
def test_stop_and_leaving_end_a_recording(
    browser: Any, own_device: Any, open_page: OpenPage, engine: str
) -> None:
    page = open_page(browser, own_device)

    def record() -> None:
        page.select_option("[data-engine-choice]", engine, force=True)
        page.click("[data-start-clip]")
        page.wait_for_selector(".person")
        page.click("[data-record]")
        page.wait_for_selector("[data-rec].on")
        page.wait_for_timeout(2500)

    record()
    page.click("[data-pause]")
    stop(page)
    # The name is asked for, as after the other button.
    page.wait_for_selector("[data-saved]:popover-open")
    assert "saved" in page.inner_text("[data-toast]")
    assert page.is_hidden("[data-rec]")
    page.keyboard.press("Escape")
    record()
    # Browsers may keep the page, and show it again when the visitor comes back.
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert page.is_visible("[data-consent]")
    page.wait_for_timeout(1500)
    page.goto(own_device.url + "/sessions")
    sessions = page.request.get(own_device.url + "/api/v1/sessions").json()["sessions"]
    assert [one["state"] for one in sessions] == ["complete", "complete"]
    assert all(one["frames"] > 0 for one in sessions)
