"""The live page in a frame of another site."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

PARENT = """<!doctype html><title>app</title><iframe allow="camera" width="900" height="700">
</iframe>
<script>
window.received = [];
addEventListener("message", (event) => received.push([event.origin, event.data]));
</script>"""


@pytest.fixture
def app(tmp_path: Path, serve_folder: Any) -> Any:
    """A site of another origin, whose page has a frame."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.html").write_text(PARENT, encoding="utf-8")
    return serve_folder(tmp_path / "app")


def test_an_allowed_site_gets_the_results(
    browser: Any, app: Any, open_page: Any, serve: Any
) -> None:
    server = serve(MIEN_EMBED_ORIGINS=f"https://other.example,{app.url}", MIEN_LIVE="device")
    page = open_page(browser, app)
    page.evaluate("url => { document.querySelector('iframe').src = url }", server.url)
    frame = page.frame_locator("iframe")
    frame.locator("[data-start]").click()
    page.wait_for_function("received.some(([, data]) => data.result.faces.length)")
    origin, data = page.evaluate("received.find(([, data]) => data.result.faces.length)")
    assert origin == server.url
    assert data["type"] == "mien-result"
    assert set(data["result"]["faces"][0]["expression"]["probabilities"]) >= {"happiness"}
    assert not frame.locator("[data-record]").is_visible()
    assert frame.locator("nav:visible").count() == 0


def test_other_sites_cannot_show_the_page(
    browser: Any, app: Any, server: Any, open_page: Any
) -> None:
    page = open_page(browser, app)
    page.evaluate("url => { document.querySelector('iframe').src = url }", server.url)
    page.wait_for_function("document.querySelector('iframe').contentDocument === null")
    page.wait_for_timeout(1000)
    assert page.frames[1].url == "chrome-error://chromewebdata/"
    assert page.evaluate("received") == []
    page.problems.clear()  # the browser's own message
