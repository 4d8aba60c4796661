"""The pages in other languages: right to left, with long words, and for screen readers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_browser import check_with_axe
from tests.e2e.test_recordings import record

pytestmark = pytest.mark.e2e
SAMPLE = Path(__file__).parents[2] / "src/mien/samples/group.jpg"
PAGES = ("/photo", "/video", "/sessions", "/corrections", "/compare", "/about", "/docs", "/none")
WRITTEN = """
window.written = [];
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    written.push(text);
    return fillText.call(this, text, ...rest);
};
"""
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.mark.parametrize("language", ["ar", "de", "fr", "es", "zh"])
def test_pages_fit_a_phone(
    browser: Any, server: Any, open_page: Callable[..., Any], language: str
) -> None:
    size = {"width": 390, "height": 844}
    page = open_page(browser, server, f"/?lang={language}", viewport=size, init_script=WRITTEN)
    for path in PAGES:
        page.goto(server.url + path)
        assert page.evaluate(FITS), path
    page.goto(server.url + "/photo")
    page.set_input_files("#image", SAMPLE)
    page.wait_for_selector(".result article")
    assert page.evaluate(FITS)
    # The downloaded picture names expressions in the language of the page.
    page.wait_for_function("document.querySelector('[data-annotated]').href.startsWith('blob:')")
    for name in page.locator("article [data-label]").all_text_contents():
        assert any(text.startswith(name) for text in page.evaluate("written"))


@pytest.mark.parametrize("language", ["ar", "de", "fr", "es", "zh"])
def test_page_of_a_recording_fits_a_narrow_phone(
    browser: Any, server: Any, open_page: Callable[..., Any], language: str
) -> None:
    size = {"width": 320, "height": 700}
    page = open_page(browser, server, f"/photo?lang={language}", viewport=size)
    session = record(page, server, *["group.jpg"] * 2)
    page.goto(f"{server.url}/sessions/{session}")
    assert page.evaluate(FITS)
    page.fill("#text-new", "a note of many words, which is as long as notes may well be")
    page.click("button[value=add]")
    page.click("li[data-marker] summary")
    page.wait_for_selector("li[data-marker] input[name=text]")
    assert page.evaluate(FITS)


def test_live_page_in_arabic(browser: Any, server: Any, open_page: Callable[..., Any]) -> None:
    size = {"width": 390, "height": 844}
    page = open_page(browser, server, "/?lang=ar", viewport=size, bypass_csp=True)
    assert page.evaluate("document.documentElement.dir") == "rtl"
    page.click("[data-start]")
    page.wait_for_selector(".person")
    page.wait_for_selector(".people .bar-label:has-text('سعادة')")
    assert page.evaluate(FITS)
    check_with_axe(page, "live")
    assert page.problems == []


def test_pages_in_arabic_are_accessible(
    browser: Any, server: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(browser, server, "/?lang=ar", bypass_csp=True)
    for path in PAGES:
        page.goto(server.url + path)
        check_with_axe(page, path)


def test_latin_names_and_sizes_keep_their_place_in_arabic(
    browser: Any, server: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(browser, server, "/?lang=ar")
    session = record(page, server, *["group.jpg"] * 2)
    name = """(heading) => {
        const range = document.createRange();
        range.selectNodeContents(heading);
        return heading.getBoundingClientRect().right - range.getBoundingClientRect().right;
    }"""
    for path, heading in ((f"/sessions/{session}", "h1"), ("/sessions", "h3")):
        page.goto(server.url + path)
        assert page.locator(heading).first.evaluate(name) < 1, path
    page.goto(server.url + "/photo")
    page.set_input_files("#image", SAMPLE)
    page.wait_for_selector(".result article")
    assert (
        page.locator("[data-size]").evaluate("(size) => getComputedStyle(size).direction") == "ltr"
    )


def test_english_pages_load_no_messages(
    browser: Any, server: Any, open_page: Callable[..., Any]
) -> None:
    page = open_page(browser, server)
    page.wait_for_selector("[data-start]:enabled")
    names = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names
    assert not any("/words/" in name for name in names)
