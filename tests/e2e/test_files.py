"""Photographs and videos that a visitor chooses, pastes or uploads, in a real browser."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
CLIP = ROOT / "src/mien/web/static/sample.mp4"
SAMPLE = ROOT / "src/mien/samples/group.jpg"
OpenPage = Callable[..., Any]


def test_error_page_of_a_proxy_leaves_the_upload_form_usable(
    browser: Any, server: Any, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(browser, server, "/video")
    page.route("**/api/v1/videos", lambda route: route.fulfill(
        status=413, content_type="text/html", body="<html>413 Request Entity Too Large</html>"
    ))  # fmt: skip
    (tmp_path / "clip.mp4").write_bytes(b"x" * 1000)
    page.set_input_files("input[type=file]", str(tmp_path / "clip.mp4"))
    page.click("button[type=submit]")
    page.wait_for_selector(".drop-title:has-text('too large')")
    assert page.is_enabled("button[type=submit]")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no picture", "no picture"), (b"", "empty"), (b"x" * 2_000_000, "limit is 1 MB")],
    ids=["no picture", "empty", "too large"],
)
def test_reason_of_a_refused_photograph_is_shown(
    browser: Any, serve: Callable[..., Any], open_page: OpenPage, content: bytes, said: str
) -> None:
    page = open_page(browser, serve(MIEN_MAX_IMAGE_MB="1"), "/photo")
    photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": content}
    page.set_input_files("#image", photo)
    assert said in page.inner_text("main > [role=alert]")
    assert page.is_enabled("button:has-text('Analyze')")


def test_reason_of_an_error_page_is_shown(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo")
    page.evaluate("document.querySelector('[name=csrf_token]').value = 'of yesterday'")
    page.set_input_files("#image", SAMPLE)
    assert "form has expired" in page.inner_text("main > [role=alert]")


@pytest.mark.parametrize("path", ["/photo", "/video"])
def test_lost_network_leaves_the_upload_form_usable(
    browser: Any, server: Any, open_page: OpenPage, path: str
) -> None:
    file, message = (CLIP, ".drop-title") if path == "/video" else (SAMPLE, "main > [role=alert]")
    page = open_page(browser, server, path)
    if path == "/video":
        page.fill("input[name=every]", "48")
    else:
        # The picture of an earlier answer is no reason to stay on it.
        page.set_input_files("#image", file)
        page.wait_for_selector("h2:has-text('4 faces')")
    page.context.set_offline(True)
    page.set_input_files("input[type=file]", file)
    if path == "/video":
        page.click("button[type=submit]")
    page.wait_for_selector(f"{message}:has-text('Server unreachable')")
    page.context.set_offline(False)
    if path == "/video":
        page.click("button[type=submit]")
        page.wait_for_url("**/jobs/*")
    else:
        page.set_input_files("#image", file)
        page.wait_for_selector("h2:has-text('4 faces')")


def test_photo_by_file_and_by_pasting(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo")
    sample = ROOT / "src/mien/samples/group.jpg"
    page.set_input_files("#image", sample)
    page.wait_for_selector("h2:has-text('4 faces')")
    page.evaluate(
        """async (address) => {
            const blob = await (await fetch(address)).blob();
            const data = new DataTransfer();
            data.items.add(new File([blob], 'pasted.jpg', { type: 'image/jpeg' }));
            dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
        }""",
        "/samples/person-b-smiling.jpg",
    )
    page.wait_for_selector("h2:has-text('1 face')")
    assert page.inner_text(".face h3").lower() == "happiness"
    assert page.problems == []


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)])
def test_faces_of_a_photograph_are_linked_to_their_cards(
    browser: Any, server: Any, open_page: OpenPage, size: tuple[int, int]
) -> None:
    page = open_page(browser, server, "/photo", viewport={"width": size[0], "height": size[1]})
    page.click("button[value='group.jpg']")
    page.wait_for_selector("[data-toggles]:visible")
    page.hover("a.face-mark[data-face='2']")
    assert page.locator("article.lit").get_attribute("data-face") == "2"
    page.hover("article[data-face='3'] h3")
    assert page.locator("a.face-mark.lit").get_attribute("data-face") == "3"
    page.focus("a.face-mark[data-face='1']")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#face-2")
    page.click("article[data-face='4'] h3")
    assert page.evaluate("document.activeElement.dataset.face") == "4"
    # The result comes before the form, and its layers can be chosen.
    order = "[...document.querySelectorAll('[data-result], [data-drop]')].map((e) => e.tagName)"
    assert page.evaluate(order) == ["SECTION", "FORM"]
    assert not page.is_visible(".mesh >> nth=0")
    page.check("[data-show=mesh]")
    page.check("[data-show=blur]")
    assert page.evaluate("getComputedStyle(document.querySelector('.blurred')).display") != "none"
    assert page.problems == []


def test_photograph_that_is_chosen_meanwhile_is_next(
    browser: Any, own_device: Any, open_page: OpenPage
) -> None:
    for engine in ("device", "server"):
        page = open_page(browser, own_device, "/photo")
        page.select_option("[data-engine-choice]", engine)
        page.set_input_files("#image", SAMPLE)
        page.set_input_files("#image", SAMPLE.with_name("person-a-smiling.jpg"))
        page.wait_for_selector("h2:has-text('1 face')")
        assert page.get_attribute("[data-drop]", "aria-busy") is None
        assert page.problems == []


def test_several_photographs_at_once(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/photo", accept_downloads=True)
    names = ("group.jpg", "person-a-smiling.jpg", "person-b-neutral.jpg")
    page.set_input_files("#image", [ROOT / "src/mien/samples" / name for name in names])
    page.wait_for_selector("h2:has-text('3 photos')")
    assert page.locator(".gallery img").count() == 3
    with page.expect_download() as download:
        page.click("text=Download table")
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 6
    assert page.problems == []


def test_video_from_upload_to_report(browser: Any, server: Any, open_page: OpenPage) -> None:
    page = open_page(browser, server, "/video")
    page.set_input_files("#video", CLIP)
    page.fill("input[name=every]", "12")
    page.click("button:has-text('Analyze')")
    page.wait_for_selector("[data-state]:has-text('done')")
    page.wait_for_selector("h2:has-text('Person 2')")
    course = page.locator(".course").first
    course.click(position={"x": 100, "y": 40})
    seconds = page.evaluate("document.querySelector('video').currentTime")
    assert seconds > 0
    course.press("PageDown")
    page.wait_for_function("s => document.querySelector('video').currentTime > s", arg=seconds)
    box = course.bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 30)
    page.mouse.up()
    page.click("text=Show all")
    page.click("summary:has-text('Events')")
    page.locator(".events button").last.click()
    page.wait_for_selector(".cursor:visible")
    assert page.problems == []
    page.goto(server.url + "/video")
    assert page.inner_text(".badge") == "done"
