"""Pages of recordings: markers on timelines, comparison and links for others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_browser import check_with_axe

pytestmark = pytest.mark.e2e
OpenPage = Callable[..., Any]
SAMPLES = Path(__file__).parents[2] / "src/mien/samples"


def record(page: Any, server: Any, *names: str) -> str:
    """Records photographs as frames of a session of the page's visitor; returns its id."""
    opened = page.request.post(f"{server.url}/api/v1/live").json()
    url = f"{server.url}/api/v1/live/{opened['id']}"
    session_id = page.request.post(f"{url}/recording").json()["session_id"]
    for name in names:
        answer = page.request.post(f"{url}/frames", data=(SAMPLES / name).read_bytes())
        assert answer.ok
        page.wait_for_timeout(150)
    page.request.delete(url)
    return str(session_id)


def test_double_click_adds_one_marker(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo")
    page.goto(f"{server.url}/sessions/{record(page, server, *['group.jpg'] * 3)}")
    page.fill("#text-new", "a smile")
    page.dblclick("button:has-text('Add marker')")
    page.wait_for_selector("[data-marker]")
    page.reload()
    assert page.locator("[data-marker]").count() == 1


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_markers_on_a_timeline(
    browser: Any, server: Any, open_page: OpenPage, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page = open_page(browser, server, "/photo", viewport=viewport, bypass_csp=True)
    session_id = record(page, server, *["person-a-smiling.jpg"] * 4, *["group.jpg"] * 4)
    page.goto(f"{server.url}/sessions/{session_id}")
    page.wait_for_selector(".flags", state="attached")
    course = page.locator(".course").first
    course.click(position={"x": 100, "y": 40})
    at = page.input_value("#at-new")
    assert at != "0:00.0"
    # The replay is at the same moment.
    assert 0 < float(page.input_value("[data-seek]")) < 1000
    course.press("m")
    page.keyboard.type("<i>looks up</i>")
    page.keyboard.press("Enter")
    page.wait_for_selector("li[data-marker] >> text=<i>looks up</i>")
    assert page.locator(".course").first.locator(".flags path").count() == 1
    assert page.inner_text("li[data-marker] button >> nth=0") == at

    check_with_axe(page, "session")
    page.click("summary:has-text('Change')")
    page.fill("li[data-marker] input[name=text]", "turns")
    page.click("button:has-text('Save')")
    page.wait_for_selector("li[data-marker] >> text=turns")
    page.fill("#at-new", "soon")
    page.evaluate("document.querySelector('#at-new').removeAttribute('pattern')")
    page.fill("#text-new", "x")
    page.click("button:has-text('Add marker')")
    page.wait_for_selector("[data-problem]:has-text('Expected a time')")
    with page.expect_download() as download:
        page.click("text=Download events")
    assert "marker,turns" in Path(download.value.path()).read_text()
    page.click("summary:has-text('Change')")
    page.click("button:has-text('Delete') >> nth=0")
    page.wait_for_selector("li[data-marker]", state="detached")
    assert page.locator(".flags path").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    # The refused time was answered with an error.
    assert all("422" in problem for problem in page.problems)


def test_two_people_are_compared(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo", bypass_csp=True)
    session_id = record(page, server, *["group.jpg"] * 6)
    page.goto(f"{server.url}/sessions/{session_id}")
    page.click("a:has-text('Compare')")
    assert page.locator(".course").count() == 1
    page.locator("select").last.select_option(f"{session_id}.2")
    page.click("button:has-text('Show')")
    page.wait_for_selector("h2:has-text('Difference of 1 and 2')")
    assert page.locator(".lane").count() == 2
    assert page.locator(".course .move").count() >= 2
    page.locator(".course").first.click(position={"x": 200, "y": 40})
    lefts = page.evaluate("[...document.querySelectorAll('.cursor')].map((c) => c.style.cssText)")
    assert len(set(lefts)) == 1
    check_with_axe(page, "compare")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.problems == []


def test_a_link_shows_a_session_to_others(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo")
    session_id = record(page, server, *["group.jpg"] * 4)
    page.goto(f"{server.url}/sessions/{session_id}")
    page.click("summary:has-text('Share')")
    page.click("button:has-text('Make a link')")
    link = page.input_value("[aria-label='Link 1']")
    other = open_page(browser, server, link.removeprefix(server.url))
    other.locator(".course").first.click(position={"x": 200, "y": 40})
    other.wait_for_selector(".cursor:visible")
    assert other.locator(".course").count() == 4
    assert other.locator("form").count() == 0
    page.click("button:has-text('Revoke')")
    page.wait_for_selector("[aria-label='Link 1']", state="detached")
    assert other.goto(link).status == 404
    assert page.problems == []
