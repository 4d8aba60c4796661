"""A person corrects labels of faces, in a real browser; the server keeps the faces."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from tests.e2e.camera import start_camera

import mien

pytestmark = pytest.mark.e2e
SAMPLES = Path(__file__).parents[2] / "src/mien/samples"
OpenPage = Callable[..., Any]


def correct(card: Any, label: str) -> None:
    card.locator("summary:has-text('Correct the label')").click()
    card.locator(".correct input").fill(label)
    card.locator(".correct button").click()
    card.locator(f".correct [role=status]:has-text('Kept as {label}')").wait_for()


def kept(page: Any, server: Any) -> list[tuple[str, Any]]:
    """Labels and pictures that the server has of the page's visitor, the newest first."""
    found = page.request.get(f"{server.url}/api/v1/corrections").json()["corrections"]
    pictures = [page.request.get(f"{server.url}/corrections/{one['id']}.jpg") for one in found]
    return [
        (one["label"], PillowImage.open(io.BytesIO(picture.body())))
        for one, picture in zip(found, pictures, strict=True)
    ]


# A camera of a face on a ground of a color. From `hold()` on, results of it in its second place
# wait for `letGo()`.
_MOVING_CAMERA = """
const portrait = new Image();
portrait.src = "data:image/jpeg;base64,PORTRAIT";
const drawn = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
let [ground, left] = ["rgb(110, 90, 90)", 180];
setInterval(() => {
  const context = drawn.getContext("2d");
  context.fillStyle = ground;
  context.fillRect(0, 0, 640, 480);
  if (left !== undefined) context.drawImage(portrait, 127, 178, 380, 380, left, 130, 220, 220);
}, 30);
navigator.mediaDevices.getUserMedia = async () => drawn.captureStream();
window.place = (...to) => ([ground, left] = to);
window.held = [];
let [lastBox, secondFrom] = [0, Infinity];
window.hold = () => (secondFrom = lastBox + 10);
window.letGo = () => { secondFrom = Infinity; held.splice(0).forEach((give) => give()); };
for (const { prototype } of [Worker, WebSocket]) {
  const { set } = Object.getOwnPropertyDescriptor(prototype, "onmessage");
  Object.defineProperty(prototype, "onmessage", { set(receive) {
    set.call(this, (event) => {
      const data = typeof event.data === "string" ? JSON.parse(event.data) : event.data;
      const face = (data.result ?? data).faces?.[0];
      if (face?.box.x_min > secondFrom) {
        document.documentElement.dataset.held = held.push(() => receive.call(this, event));
        return;
      }
      lastBox = face?.box.x_min ?? lastBox;
      receive.call(this, event);
    });
  } });
}
"""


def test_label_of_a_photograph_is_corrected(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo")
    page.set_input_files("#image", SAMPLES / "group.jpg")
    correct(page.locator("article.face").nth(2), "amused")
    ((label, picture),) = kept(page, server)
    assert label == "amused"
    (face,) = mien.analyze(picture).faces
    # The face is in the middle, with the margin that models are adapted with.
    assert abs((face.box.x_min + face.box.x_max) / 2 - picture.width / 2) < 0.1 * picture.width
    assert page.problems == []


def test_nothing_is_stored_for_a_browser_that_blocks_cookies(
    browser: Any, own_device: Any, open_page: OpenPage
) -> None:
    blocked = "Object.defineProperty(navigator, 'cookieEnabled', { get: () => false })"
    page = open_page(browser, own_device, init_script=blocked)
    start_camera(page)
    page.click("[data-record]")
    page.wait_for_selector("[data-toast]:has-text('Allow cookies')")
    assert page.get_attribute("[data-record]", "aria-pressed") == "false"
    page.click("[data-pause]")
    page.click(".correct summary")
    page.fill(".correct input", "bored")
    page.click(".correct button")
    page.wait_for_selector(".correct [role=status]:has-text('Allow cookies')")
    assert kept(page, own_device) == []


def test_label_of_a_person_is_corrected_on_the_paused_live_page(
    browser: Any, own_device: Any, open_page: OpenPage
) -> None:
    page = open_page(browser, own_device, viewport={"width": 820, "height": 1180})
    start_camera(page)
    page.locator(".person").nth(1).wait_for()
    assert page.locator(".correct").count() == 0
    sent: list[str] = []
    page.on("request", lambda request: sent.extend([request.url] * (request.method == "POST")))
    page.click("[data-pause]")
    page.wait_for_timeout(1000)  # the last result is on its way
    # The form is not hidden in a part that scrolls.
    assert (
        page.locator("[data-people]").evaluate("(all) => all.scrollHeight - all.clientHeight") < 2
    )
    for person, label in (("1", "bored"), ("2", "amused")):
        page.click(f".lane-button[data-track='{person}']")
        # The card, the timeline and the form are those of the person.
        assert page.inner_text(".chosen .number") == person
        assert page.inner_text("[data-timeline-title]").endswith(f"Person {person}")
        assert page.input_value(".correct input") == ""
        assert len(sent) == len(kept(page, own_device))
        correct(page.locator(".chosen"), label)
    (_, second), (_, first) = kept(page, own_device)
    assert [label for label, _ in kept(page, own_device)] == ["amused", "bored"]
    for picture in (first, second):
        (face,) = mien.analyze(picture).faces
        assert abs((face.box.x_min + face.box.x_max) / 2 - picture.width / 2) < 0.1 * picture.width
    # Two people, not one of them twice.
    assert first.resize((8, 8)).tobytes() != second.resize((8, 8)).tobytes()
    page.click("[data-pause]")
    page.wait_for_selector(".correct", state="detached")
    page.click("[data-pause]")
    page.locator(".correct").wait_for()
    page.click("[data-stop]")
    page.wait_for_selector("[data-consent]:visible")
    assert len(sent) == 2
    assert page.problems == []


@pytest.mark.parametrize("engine", ["device", "server"])
def test_the_kept_face_is_of_the_frame_that_was_analyzed(
    browser: Any, serve: Callable[..., Any], open_page: OpenPage, engine: str
) -> None:
    server = serve(MIEN_LIVE=engine)
    portrait = base64.b64encode((SAMPLES / "person-a-smiling.jpg").read_bytes()).decode()
    page = open_page(browser, server, init_script=_MOVING_CAMERA.replace("PORTRAIT", portrait))
    start_camera(page)
    page.evaluate("hold(), place('rgb(90, 90, 110)', 216)")
    page.wait_for_selector("html[data-held]")
    # The page still shows the first place, and the video no face.
    page.evaluate("place('rgb(90, 110, 90)')")
    page.wait_for_timeout(500)
    page.click("[data-pause]")
    correct(page.locator(".chosen"), "early")
    page.fill(".correct input", "late")
    page.evaluate("letGo()")
    # What is written in the form stays.
    assert page.input_value(".correct input") == "late"
    page.click(".correct button")
    page.wait_for_selector(".correct [role=status]:has-text('Kept as late')")
    (late, moved), (early, first) = kept(page, server)
    assert (early, late) == ("early", "late")
    for picture, ground in ((first, 0), (moved, 2)):
        (face,) = mien.analyze(picture).faces
        # The box in the other place is further away; that of a face that moves lags a little.
        assert abs((face.box.x_min + face.box.x_max) / 2 - picture.width / 2) < 0.09 * picture.width
        assert np.argmax(picture.convert("RGB").getpixel((2, 2))) == ground
    assert page.problems == []


# What is wider than its place: a card, all of the people, or the page.
_WIDER = """() => [...document.querySelectorAll("article, .card, .people, html")]
    .filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth)
    .map((one) => `${one.className} ${one.scrollWidth} ${one.clientWidth}`)"""


@pytest.mark.parametrize("width", [390, 640, 1024, 1280])
def test_form_fits_its_card(browser: Any, server: Any, open_page: OpenPage, width: int) -> None:
    label = "W" * 40
    page = open_page(browser, server, "/photo", viewport={"width": width, "height": 800})
    page.set_input_files("#image", SAMPLES / "group.jpg")
    first = page.locator("article.face").first
    first.wait_for()
    assert page.evaluate(_WIDER) == []
    correct(first, label)
    assert page.evaluate(_WIDER) == []
    # The label that is typed can still be read.
    assert first.locator(".correct input").bounding_box()["width"] > 100
    page.goto(server.url + "/")
    start_camera(page)
    page.click("[data-pause]")
    correct(page.locator(".chosen"), label)
    assert page.evaluate(_WIDER) == []
    assert page.locator(".correct input").bounding_box()["width"] > 100
