"""The prior of the photo page changes the probabilities without sending the photograph again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

import mien

pytestmark = pytest.mark.e2e
SAMPLE = Path(__file__).parents[2] / "src/mien/samples/group.jpg"
# The page multiplies the rounding of probabilities by up to six; a browser differs a little.
TOLERANCE = {"server": 0.002, "both": 0.02}


@pytest.mark.parametrize("place", ["server", "both"])
def test_another_prior_is_shown_without_the_photograph(
    browser: Any, serve: Callable[..., Any], open_page: Callable[..., Any], place: str
) -> None:
    page = open_page(browser, serve(MIEN_LIVE=place), "/photo", accept_downloads=True)
    page.set_input_files("#image", SAMPLE)
    page.wait_for_selector("h2:has-text('4 faces')")
    assert page.locator("[data-prior] select").input_value() == "half"
    model = json.loads(page.locator("[data-json]").text_content())["models"]["expression"]
    first = page.inner_text(".found")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for prior in ("uniform", "natural"):
        page.select_option("[data-prior] select", prior)
        wanted = mien.analyze(SAMPLE, prior=prior, model=model)
        found = json.loads(page.locator("[data-json]").text_content())
        assert found["models"]["prior"] == prior
        for shown, face in zip(found["faces"], wanted.to_dict()["faces"], strict=True):
            assert shown["expression"]["probabilities"] == pytest.approx(
                face["expression"]["probabilities"], abs=TOLERANCE[place]
            )
            assert shown["expression"]["uncertain"] == face["expression"]["uncertain"]
            assert shown["affect"]["valence"] == pytest.approx(
                face["affect"]["valence"], abs=2 * TOLERANCE[place]
            )
        card = page.locator("article[data-face='1']")
        top = found["faces"][0]["expression"]
        assert card.get_attribute("data-expression") == top["label"]
        share = f"{100 * top['probabilities'][top['label']]:.0f}"
        assert card.locator(".big-value").inner_text().startswith(share)
    page.wait_for_function("document.querySelector('[data-annotated]').href.startsWith('blob:')")
    with page.expect_download() as download:
        page.click("[data-annotated]")
    with PillowImage.open(download.value.path()) as picture:
        assert picture.width >= 500
    page.select_option("[data-prior] select", "half")
    assert page.inner_text(".found") == first
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []
    assert page.problems == []
