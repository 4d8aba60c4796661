"""The report is bounded, whole without a network or a script, and safe to show."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mien.labels import Expression
from mien.media.sources import Frame
from mien.report import ReportFacts, ReportSink, content_hashes
from mien.report.bins import MAX_BINS
from mien.report.page import MAX_EMBEDDED_BYTES
from mien.tracking import Event
from mien.types import Box, Detection, ExpressionScores, Face, FrameResult, TrackStatistics

LABELS = tuple(Expression)
HAPPY = LABELS.index(Expression.HAPPINESS)
IMAGE = np.zeros((120, 160, 3), np.uint8)


def face(track_id: int, happiness: float, state: str = "clear") -> Face:
    probabilities = np.full(8, (1 - happiness) / 7, np.float32)
    probabilities[HAPPY] = happiness
    return Face(
        Detection(Box(20, 20, 80, 80), 0.9),
        expression=ExpressionScores(LABELS, probabilities),
        track_id=track_id,
        track=TrackStatistics(age_s=0.0, state=state),  # type: ignore[arg-type]
    )


def report(
    folder: Path,
    frames: list[tuple[float, list[Face]]],
    *,
    events: tuple[Event, ...] = (),
    title: str = "clip.mp4",
    complete: bool = True,
    video: Path | None = None,
    labels: tuple[Expression, ...] = LABELS,
) -> str:
    sink = ReportSink(folder / "report.html", ReportFacts(title), labels, video=video)
    for number, (timestamp_s, faces) in enumerate(frames):
        result = FrameResult(tuple(faces), (160, 120), number, timestamp_s)
        sink.write(Frame(IMAGE, timestamp_s, number), result, ())
    sink.close(events, complete=complete)
    return (folder / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects elements with their attributes, and checks that what opens also closes."""

    VOID = frozenset({"meta", "img", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_the_page_shows_each_person_s_time_without_a_script(tmp_path: Path) -> None:
    frames = [(n / 10, [face(1, 0.9 if n > 50 else 0.05), face(2, 0.05)]) for n in range(100)]
    ended = Event(
        "track_ended", 9.9, 1, {"share_happiness": 0.5, "share_neutral": 0.5, "blinks": 7}
    )
    text = report(tmp_path, frames, events=(ended,))
    body = text[: text.index('<script type="application/json"')]
    assert body.count('<svg class="lane"') == 2
    assert "happiness <b>50 %</b>" in body
    assert "happiness, 0:05.1 to 0:09.9" in body
    assert "<dt>Blinks</dt><dd>7</dd>" in body
    assert "What these numbers mean, and what they do not" in body
    Page(text)


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    page = Page(report(tmp_path, [(0.0, [face(1, 0.9)]), (0.1, [face(1, 0.9)])]))
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "data", "action") and value
    ]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    # Style attributes and handlers would need a looser Content-Security-Policy.
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


def test_the_hashes_are_those_of_the_page(tmp_path: Path) -> None:
    text = report(tmp_path, [(0.0, [])])
    for kind, pattern in (("style", "<style>(.*?)</style>"), ("script", "<script>(.*?)</script>")):
        (content,) = re.findall(pattern, text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert content_hashes()[kind] == f"sha256-{digest}"


def test_names_cannot_break_out(tmp_path: Path) -> None:
    title = "</script><script>alert(1)</script><img src=x onerror=alert(2)>.mp4"
    text = report(tmp_path, [(0.0, [face(1, 0.9)])], title=title)
    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text


def test_gaps_uncertainty_and_hiddenness_can_be_seen(tmp_path: Path) -> None:
    frames = [(n / 10, [face(1, 0.9)]) for n in range(20)]
    frames += [(5 + n / 10, [face(1, 0.9, "uncertain")]) for n in range(10)]
    frames += [(6 + n / 10, [face(1, 0.9, "not visible")]) for n in range(10)]
    text = report(tmp_path, frames)
    assert "happiness, uncertain, 0:05.0 to 0:06.0" in text
    assert "happiness, not visible, 0:06.0" in text
    assert "<li>0:02.0 – 0:05.0</li>" in text


def test_a_partial_report_says_so(tmp_path: Path) -> None:
    assert "This report is partial" in report(tmp_path, [(0.0, [])], complete=False)
    assert "This report is partial" not in report(tmp_path, [(0.0, [])])


def test_an_hour_takes_no_more_bins_than_a_minute(tmp_path: Path) -> None:
    sink = ReportSink(tmp_path / "report.html", ReportFacts("long"), LABELS)
    for second in range(3600):
        sink.count_frame(float(second))
        sink.add(1, float(second), "happiness", [0.125] * 8, "clear")
    sink.close((), complete=True)
    text = (tmp_path / "report.html").read_text()
    # Every bin has neighbors: nothing was lost when bins were joined.
    assert "In view without a gap" in text
    assert re.search(r'"width_s":(\d+\.\d+)', text)
    assert 3600 / float(re.search(r'"width_s":(\d+\.?\d*)', text).group(1)) <= MAX_BINS  # type: ignore[union-attr]
    assert len(text) < 200_000


def test_a_large_video_stays_beside_the_page(tmp_path: Path) -> None:
    small, large = tmp_path / "small.mp4", tmp_path / "a large one.mp4"
    small.write_bytes(b"0" * 1000)
    with large.open("wb") as file:
        file.truncate(MAX_EMBEDDED_BYTES)
    (tmp_path / "out").mkdir()
    assert "data:video/mp4;base64,MDAw" in report(tmp_path / "out", [(0.0, [])], video=small)
    text = report(tmp_path / "out", [(0.0, [])], video=large)
    assert 'src="../a%20large%20one.mp4"' in text
    assert len(text) < 100_000


def test_a_stream_without_expressions_has_a_report_too(tmp_path: Path) -> None:
    plain = Face(Detection(Box(20, 20, 80, 80), 0.9), track_id=1, track=TrackStatistics(age_s=0.0))
    text = report(tmp_path, [(0.0, [plain]), (0.5, [plain])], labels=())
    assert "Person 1" in text


def test_of_too_many_tracks_the_shortest_are_counted_only(tmp_path: Path) -> None:
    sink = ReportSink(tmp_path / "report.html", ReportFacts("crowd"), LABELS, thumbnails=False)
    for number in range(1, 301):
        sink.count_frame(float(number))
        sink.add(number, float(number), "neutral", [0.125] * 8, "clear")
        sink.replay([Event("track_ended", float(number), number, {"visible_s": 0.1})])
    sink.close((), complete=True)
    text = (tmp_path / "report.html").read_text()
    assert "<dt>tracks</dt><dd>300</dd>" in text
    assert "100 shorter tracks are counted but not shown" in text
    assert text.count('<article class="track"') == 200


def test_thumbnails_show_the_clearest_moment(tmp_path: Path) -> None:
    text = report(tmp_path, [(0.0, [face(1, 0.9)])])
    assert pytest.approx(1) == text.count("data:image/jpeg;base64,")
