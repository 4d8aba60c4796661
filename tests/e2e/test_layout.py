"""Pages that keep their width with long names, and their height while people come and go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_recordings import record

pytestmark = pytest.mark.e2e
LONG = "W" * 70
CLIP = Path(__file__).parents[2] / "src/mien/web/static/sample.mp4"

# Sums the layout shifts, also those after a click, as a camera may take its time to open.
_SHIFTS = """
    window.shifts = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries())
        window.shifts += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""
# The time until the largest part of the page is painted.
_PAINT = """
    new PerformanceObserver((list) => {
      window.paintedMs = list.getEntries().at(-1).startTime;
    }).observe({ type: "largest-contentful-paint", buffered: true });
"""
# Answers each image with the next number of people, without a network.
_CROWD = """
    WebSocket = class extends EventTarget {
      static OPEN = 1;
      readyState = 0; bufferedAmount = 0; sent = 0;
      constructor() { super(); setTimeout(() => { this.readyState = 1; this.onopen(); }); }
      close() {}
      send(data) {
        if (typeof data === "string") return;
        const first = Math.floor(this.sent / 2), count = (this.sent * 7) % 12;
        const faces = Array.from({ length: count }, (_, i) => ({
          box: { x_min: 20 * i, y_min: 40, x_max: 20 * i + 18, y_max: 60 }, score: 1,
          track_id: first + i, landmarks: null, quality: null, affect: null, signals: null,
          expression: { label: "neutral", uncertain: false, probabilities: { neutral: 1 } },
        }));
        const result = {
          schema_version: 1, source: null, image_size_wh: [640, 480], frame_index: this.sent,
          timestamp_s: this.sent / 4, faces, timings_ms: {}, models: {},
        };
        this.sent += 1;
        window.answered = this.sent;
        setTimeout(() => this.onmessage({ data: JSON.stringify(result) }), 50);
      }
    };
"""

# Pixels of labels below the badge that says that the page is paused.
_COVERED = """() => {
    const part = (name) => document.querySelector(`[data-${name}]`);
    const [canvas, badge] = [part("overlay"), part("rec")];
    const [stage, { x, y, width, height }] = [canvas, badge].map((e) => e.getBoundingClientRect());
    const ratio = canvas.width / stage.width;
    const below = [x - stage.x, y - stage.y, width, height].map((value) => value * ratio);
    const { data } = canvas.getContext("2d").getImageData(...below);
    return data.filter((value, index) => index % 4 === 3 && value > 200).length;
}"""


def test_long_names_fit_a_phone(browser: Any, server: Any, open_page: Callable[..., Any]) -> None:
    page = open_page(browser, server, "/video", viewport={"width": 390, "height": 844})
    page.set_input_files(
        "#video",
        {"name": f"{LONG}.mp4", "mimeType": "video/mp4", "buffer": CLIP.read_bytes()},
    )
    fits = "document.documentElement.scrollWidth <= 390"
    assert page.evaluate(fits)
    page.fill("input[name=every]", "48")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector("[data-state]:has-text('done')")
    assert page.evaluate(fits)
    for path in ("/video", "/sessions"):
        page.goto(server.url + path)
        assert page.evaluate(fits), path
    session = record(page, server, *["group.jpg"] * 3)
    renamed = f"{server.url}/api/v1/sessions/{session}"
    assert page.request.patch(renamed, data={"name": LONG}).ok
    for path in (
        "/sessions",
        f"/sessions/{session}",
        f"/compare?side={session}&side={session}",
    ):
        page.goto(server.url + path)
        assert LONG in page.content()
        assert page.evaluate(fits), path


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_page_keeps_its_height_while_people_come_and_go(
    browser: Any, serve: Callable[..., Any], open_page: Callable[..., Any], size: tuple[int, int]
) -> None:
    page = open_page(
        browser, serve(MIEN_LIVE="server"), init_script=_SHIFTS + _CROWD,
        viewport={"width": size[0], "height": size[1]},
    )  # fmt: skip
    page.click("[data-start]")
    page.wait_for_selector(".person")
    heights = set()
    while page.evaluate("window.answered") < 40:
        heights.add(page.evaluate("document.documentElement.scrollHeight"))
        page.wait_for_timeout(100)
    assert max(heights) - min(heights) <= 40
    assert page.evaluate("window.shifts") < 0.05
    assert page.problems == []


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_live_page_is_one_screen(
    browser: Any, server: Any, open_page: Callable[..., Any], size: tuple[int, int]
) -> None:
    page = open_page(browser, server, viewport={"width": size[0], "height": size[1]})
    page.click("[data-start]")
    page.wait_for_selector(".person")
    boxes = page.evaluate(
        """() => Object.fromEntries(["stage", "timeline", "people", "record"].map((name) =>
             [name, document.querySelector(`[data-${name}]`).getBoundingClientRect().toJSON()]))"""
    )
    for name, box in boxes.items():
        assert box["top"] >= 0, name
        assert box["bottom"] <= size[1], name
        assert box["right"] <= size[0], name
    # The picture has no bars: the sample's frames are 16:9.
    assert boxes["stage"]["width"] / boxes["stage"]["height"] == pytest.approx(16 / 9, rel=0.01)
    assert boxes["stage"]["width"] >= 0.45 * size[0]
    assert boxes["timeline"]["top"] >= boxes["stage"]["bottom"]
    # An upright camera's picture is above the buttons, too.
    below = """() => {
        document.querySelector("[data-live]").style.setProperty("--ratio", "0.75");
        const [stage, record] = ["stage", "record"].map((name) =>
            document.querySelector(`[data-${name}]`).getBoundingClientRect());
        return record.top - stage.bottom;
    }"""
    assert page.evaluate(below) >= 0
    if size[0] > 1000:
        assert boxes["people"]["left"] >= boxes["stage"]["right"]


def test_labels_leave_the_badge_of_a_pause_free(
    browser: Any, server: Any, open_page: Callable[..., Any]
) -> None:
    # One face near the corner: its label is where the badge will be.
    crowd = _CROWD.replace("(this.sent * 7) % 12", "1").replace("y_min: 40", "y_min: 90")
    page = open_page(
        browser, server, init_script=crowd, viewport={"width": 1280, "height": 720}
    )  # fmt: skip
    page.click("[data-start-clip]")
    page.wait_for_selector(".person")
    # No result comes after the pause.
    page.evaluate("WebSocket.prototype.send = () => undefined")
    page.wait_for_timeout(200)
    page.evaluate("document.querySelector('[data-pause]').click()")
    page.wait_for_selector("[data-rec]:visible")
    assert page.evaluate(_COVERED) == 0


def test_first_load_of_the_live_page_is_small(
    browser: Any, server: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(browser, server)
    page.wait_for_selector("[data-start]:enabled")
    page.wait_for_load_state("networkidle")
    sizes = page.evaluate(
        """() => [...performance.getEntriesByType("navigation"),
                  ...performance.getEntriesByType("resource")]
          .map((entry) => [entry.name, entry.transferSize])"""
    )
    # 6 s at 400 kbit/s are 300 kB; half of it is left for a slow start of the connections.
    assert sum(size for _, size in sizes) < 150_000, sizes
    assert not any("wasm" in name or ".onnx" in name for name, _ in sizes)


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_pages_are_painted_soon_and_stay_still(
    browser: Any, server: Any, open_page: Callable[..., Any], size: tuple[int, int]
) -> None:
    page = open_page(
        browser, server, "/photo", init_script=_SHIFTS + _PAINT,
        viewport={"width": size[0], "height": size[1]},
    )  # fmt: skip
    session = record(page, server, *["group.jpg"] * 6)
    page.goto(server.url + "/video")
    page.set_input_files("#video", CLIP)
    page.fill("input[name=every]", "24")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector("[data-state]:has-text('done')")
    job = page.url.removeprefix(server.url)
    compared = f"/compare?side={session}.1&side={session}.2"
    for path in ("/", "/photo", "/video", "/sessions", f"/sessions/{session}", job, compared):
        painted_ms: list[float] = []
        # The fastest of several, because the machine may be busy.
        while len(painted_ms) < 5 and min(painted_ms, default=1000) >= 1000:
            page.goto(server.url + path)
            page.wait_for_load_state("networkidle")
            page.wait_for_function("window.paintedMs > 0")
            painted_ms.append(page.evaluate("window.paintedMs"))
            assert page.evaluate("window.shifts") < 0.05, path
        print(f"{path}: {min(painted_ms):.0f} ms, {page.evaluate('window.shifts'):.4f} shifted")
        assert min(painted_ms) < 1000, path
