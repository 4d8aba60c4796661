"""The page about a batch."""

from xml.etree import ElementTree

from mien.cluster.summary import overview_page


def test_shows_groups_intervals_and_failures_and_escapes_them() -> None:
    run = {"status": "interrupted", "inputs": 1200, "failed": 1, "images": 1199, "videos": 0}
    row = {"expression": "happiness", "faces": 3, "share": 0.75, "low": 0.3006, "high": 0.9544}
    found = {
        "run": {**run, "faces": 4, "frames": 4, "tracks": 0},
        "group": "site",
        "shares": [
            {**row, "group": "<b>"},
            {**row, "group": "<b>", "expression": "anger", "faces": 1, "share": 0.25},
            {**row, "group": None},
        ],
        "quality": [],
        "failures": [{"error": "FILE: expected an image <x>", "inputs": 1}],
    }
    page = overview_page(found, "a & b")
    body = page[page.index("<body>") : page.index("</html>")]
    tree = ElementTree.fromstring(body.replace("&middot;", " "))
    assert [heading.text for heading in tree.iter("h2")] == [
        *("site: <b>", "site: none", "Quality warnings", "Failures"),
    ]
    assert "75.0%" in page
    assert "30.1% to 95.4%" in page
    assert "1,200" in page
    assert "The run is interrupted." in page
    assert "FILE: expected an image <x>" in {cell.text for cell in tree.iter("th")}
    assert [rect.get("width") for rect in tree.iter("rect")] == ["75.0", "25.0", "75.0"]
    assert "http" not in page
