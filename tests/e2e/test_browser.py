"""User journeys in a real browser against a real server."""

import csv
import itertools
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.camera import start_camera, unplug_camera

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
CLIP = ROOT / "src/mien/web/static/sample.mp4"
SAMPLE = ROOT / "src/mien/samples/group.jpg"
AXE = ROOT / "client/node_modules/axe-core/axe.min.js"
PAGES = ["/", "/photo", "/video", "/sessions", "/compare", "/about", "/docs"]
OpenPage = Callable[..., Any]
Launch = Callable[..., Any]
Serve = Callable[..., Any]


def test_live_from_consent_to_deletion(
    browser: Any, server: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(browser, server, accept_downloads=True)
    sockets: list[Any] = []
    page.on("websocket", lambda opened: sockets.append(opened))  # noqa: PLW0108 - Playwright requires a function
    page.wait_for_selector("[data-start]:enabled")
    assert page.evaluate("document.querySelector('video').srcObject") is None
    assert sockets == []

    start_camera(page)
    assert len(sockets) == 1
    page.click("[data-record]")
    page.wait_for_selector("[data-rec]:visible")
    # The people in the clip are neutral, smile, and are neutral again.
    for label in ("neutral", "happiness", "neutral"):
        page.wait_for_selector(f".person[data-expression='{label}']")
    page.locator(".person").nth(1).wait_for()
    assert page.locator("[data-plot] canvas").count() == 1
    assert float(page.inner_text("[data-fps]")) > 0
    page.click("[data-record]")
    page.wait_for_selector("[data-toast]:has-text('in your sessions')")
    page.fill("[data-saved-name]", "Two people smile")
    page.press("[data-saved-name]", "Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-toast]:has-text('Named')")
    assert page.get_attribute("[data-record]", "aria-pressed") == "false"
    page.click("[data-save]")
    with page.expect_download() as download:
        page.click("[data-csv]")
    download.value.save_as(tmp_path / "live.csv")
    rows = list(csv.DictReader((tmp_path / "live.csv").read_text().splitlines()))
    assert {row["expression"] for row in rows} >= {"neutral", "happiness"}
    times = [float(row["timestamp_s"]) for row in rows]
    assert times == sorted(times)
    page.keyboard.press("Escape")
    page.click("[data-stop]")
    page.wait_for_selector("[data-consent]:visible")

    page.goto(server.url + "/sessions")
    page.click(".rows h3 a:has-text('Two people smile')")
    page.wait_for_selector("[data-replay]:visible")
    page.click("[data-play]")
    while int(page.input_value("[data-seek]")) <= 50:
        page.wait_for_timeout(100)
    with page.expect_download() as download:
        page.click("text=Download JSON")
    download.value.save_as(tmp_path / "session.json")
    exported = json.loads((tmp_path / "session.json").read_text())
    assert len(exported["frames"]) == exported["session"]["frames"] > 1
    page.click("summary:has-text('Rename or delete')")
    page.click("button:has-text('Delete')")
    page.wait_for_selector("text=No sessions yet")
    assert page.problems == []


def test_keys_pause_record_and_choose_people(
    browser: Any, server: Any, open_page: OpenPage
) -> None:
    page = open_page(browser, server)
    start_camera(page)
    page.locator(".person").nth(1).wait_for()
    page.evaluate("document.activeElement.blur()")
    shown = page.inner_text("[data-timeline-title]")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(before) => document.querySelector('[data-timeline-title]').innerText !== before",
        arg=shown,
    )
    page.keyboard.press("r")
    page.wait_for_selector("[data-rec].on")
    page.keyboard.press("Space")
    page.wait_for_selector("[data-rec-state]:has-text('Recording paused')")
    assert page.inner_text("[data-pause]") == "Resume"
    page.keyboard.press("Space")
    page.wait_for_selector("[data-rec].on")
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "snapshot.png"
    page.keyboard.press("?")
    page.uncheck("[data-shortcuts]")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    assert page.inner_text("[data-pause]") == "Pause"
    assert page.problems == []


def test_sample_clip_replaces_a_missing_camera(
    launch: Launch, server: Any, open_page: OpenPage
) -> None:
    page = open_page(launch(), server)
    page.click("[data-start]")
    page.wait_for_selector("[data-problem]:has-text('No camera found')")
    page.click("[data-start-clip]")
    page.wait_for_selector(".person[data-expression='happiness']")
    assert page.problems == []


def test_denied_camera(launch: Launch, server: Any, open_page: OpenPage) -> None:
    browser = launch("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    page = open_page(browser, server)
    page.click("[data-start]")
    page.wait_for_selector("[data-problem]:has-text('was denied')")
    assert page.is_visible("[data-consent]")


def test_camera_in_use_by_another_program(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(
        browser,
        server,
        init_script="navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('Device in use', 'NotReadableError'))",
    )
    page.click("[data-start]")
    page.wait_for_selector("[data-problem]:has-text('in use by another program')")
    # The error message covers nothing: the sample clip can still be played.
    page.click("[data-start-clip]")
    page.wait_for_selector(".person")


def test_insecure_page_explains_how_to_get_camera_access(
    launch: Launch, serve: Serve, open_page: OpenPage
) -> None:
    server = serve(MIEN_PUBLIC="1")
    server.url = f"http://faces.test:{server.port}"
    page = open_page(launch("--host-resolver-rules=MAP faces.test 127.0.0.1"), server)
    assert "http://localhost:" in page.inner_text("[role=alert]:visible")
    page.click("[data-start]")
    page.wait_for_selector("[data-problem]:has-text('only on secure pages')")


def test_live_page_reconnects_after_a_server_crash(
    browser: Any, serve: Serve, open_page: OpenPage
) -> None:
    server = serve()
    page = open_page(browser, server)

    def stored(count: int) -> list[Any]:
        """Wait for a number of sessions with results in the database, and return them."""
        while True:
            found: list[Any] = page.request.get(server.url + "/api/v1/sessions").json()["sessions"]
            if len(found) == count and all(session["frames"] for session in found):
                return found
            page.wait_for_timeout(200)

    start_camera(page)
    page.click("[data-record]")
    page.wait_for_selector("[data-rec]:visible")
    stored(1)
    began = time.monotonic()
    server.kill()
    page.wait_for_selector("[data-toast]:has-text('Server unreachable')")
    page.wait_for_timeout(1500)
    server.start()
    page.wait_for_selector("[data-link]:has-text('WebSocket')")
    # The recording continues in the same session; the time without a server is a gap.
    page.wait_for_selector("[data-rec]:visible")
    lost_s = int(time.monotonic() - began)
    page.wait_for_timeout(1500)
    minutes, seconds = page.inner_text("[data-rec-time]").split(":")
    assert 60 * int(minutes) + int(seconds) >= lost_s
    page.click("[data-record]")
    page.wait_for_selector("[data-toast]:has-text('in your sessions')")
    (session,) = stored(1)
    url = f"{server.url}/api/v1/sessions/{session['id']}/frames"
    frames = page.request.get(url).json()["frames"]
    assert [frame["frame_index"] for frame in frames] == sorted({f["frame_index"] for f in frames})
    times = [frame["timestamp_s"] for frame in frames]
    gap, end = max((b - a, b) for a, b in itertools.pairwise(times))
    assert gap > 1.5
    people = [
        {
            face["track_id"]
            for f in frames
            if (f["timestamp_s"] < end) == before
            for face in f["faces"]
        }
        for before in (True, False)
    ]
    assert people[0]
    assert people[1]
    assert not people[0] & people[1]


def test_disconnected_camera_can_be_started_again(
    browser: Any, server: Any, open_page: OpenPage
) -> None:
    page = open_page(browser, server)
    start_camera(page)
    unplug_camera(page)
    # The frame that was on its way is still answered; after it there are no more.
    page.wait_for_timeout(2000)
    frames = page.inner_text("[data-latency]")
    page.wait_for_timeout(500)
    assert page.inner_text("[data-latency]") == frames
    page.click("[data-restart]")
    page.wait_for_selector("[data-restart]", state="hidden")
    page.wait_for_selector(".person")


def test_boxes_fade_when_the_server_stops_answering(
    browser: Any, serve: Serve, open_page: OpenPage
) -> None:
    server = serve()
    page = open_page(browser, server)
    start_camera(page)
    server.kill()
    page.wait_for_selector("canvas.stale")
    page.wait_for_timeout(2200)
    is_empty = """() => {
        const canvas = document.querySelector("[data-overlay]");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.every((value) => value === 0);
    }"""
    assert page.evaluate(is_empty)


def test_plain_http_replaces_blocked_websockets(
    browser: Any, server: Any, open_page: OpenPage
) -> None:
    page = open_page(
        browser,
        server,
        init_script="WebSocket = class extends EventTarget { constructor() { super(); "
        "setTimeout(() => this.onclose({ code: 1006 })); } close() {} send() {} }",
    )
    start_camera(page)
    assert page.inner_text("[data-link]") == "HTTP"
    page.click("[data-record]")
    page.wait_for_selector("[data-rec]:visible")
    page.click("[data-record]")
    page.wait_for_selector("[data-toast]:has-text('in your sessions')")


def test_two_browsers_at_once(browser: Any, serve: Serve, open_page: OpenPage) -> None:
    server = serve()
    pages = [open_page(browser, server) for _ in range(2)]
    for page in pages:
        start_camera(page)
    for page in pages:
        page.wait_for_selector(".person[data-expression='happiness']")
    health = pages[0].request.get(server.url + "/api/v1/health").json()
    assert health["live_connections"] == 2


def test_all_pages_but_live_work_without_scripts(
    browser: Any, server: Any, open_page: OpenPage
) -> None:
    page = open_page(browser, server, "/photo", java_script_enabled=False)
    page.set_input_files("#image", ROOT / "src/mien/samples/person-a-smiling.jpg")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector("h2:has-text('1 face')")
    page.goto(server.url + "/video")
    page.set_input_files("#video", CLIP)
    page.fill("input[name=every]", "48")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector(".badge")
    page.goto(server.url + "/")
    assert page.is_disabled("[data-start]")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_accessible(
    browser: Any, server: Any, open_page: OpenPage, missing: Callable[[str], Any], theme: str
) -> None:
    if not AXE.is_file():
        missing("axe-core: npm ci in client/")
    page = open_page(browser, server, color_scheme=theme, bypass_csp=True)
    start_camera(page)
    page.wait_for_selector("[data-plot] canvas")
    check_with_axe(page, "live")
    page.click("[data-stop]")
    for path in PAGES:
        page.goto(server.url + path)
        check_with_axe(page, path)
    page.goto(server.url + "/photo")
    page.click("button[value='group.jpg']")
    page.wait_for_selector(".result")
    check_with_axe(page, "photograph")


def check_with_axe(page: Any, name: str) -> None:
    page.add_script_tag(path=str(AXE))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.evaluate("tags => axe.run({ runOnly: tags })", tags)
    found = [
        (name, violation["id"], [node["html"][:120] for node in violation["nodes"]][:3])
        for violation in result["violations"]
    ]
    assert found == []
    assert result["passes"]


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_pages_fit_the_screen_and_load_nothing_external(
    browser: Any, server: Any, open_page: OpenPage, width: int
) -> None:
    page = open_page(browser, server, viewport={"width": width, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES:
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert asked
    elsewhere = [url for url in asked if not re.match(rf"{re.escape(server.url)}|data:|blob:", url)]
    assert elsewhere == []


def test_page_is_ready_within_a_second(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server)
    times_ms: list[float] = []
    # The fastest of several, because the machine may be busy.
    while len(times_ms) < 10 and min(times_ms, default=1000) >= 1000:
        page.goto(server.url + "/")
        page.wait_for_selector("[data-start]:enabled")
        times_ms.append(
            page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
        )
    assert min(times_ms) < 1000
