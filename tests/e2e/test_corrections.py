"""A person corrects labels of faces, in a real browser; the server keeps the faces."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
