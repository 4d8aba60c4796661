"""The report is bounded, whole without a network or a script, and safe to show."""

import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mien.labels import Expression
from mien.media.sources import Frame
from mien.recording import Recording, RecordingSink, RunState, read_frames
from mien.report import person_charts, write_report
from mien.report.charts import movement_lanes
from mien.report.history import _MAX_BINS, History
from mien.report.page import _MAX_EMBEDDED_BYTES
from mien.tracking import Event
from mien.types import Box, Detection, ExpressionScores, Face, FrameResult, Gaze, TrackStatistics

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


def record(
    folder: Path,
    frames: Iterable[tuple[float, list[Face]]],
    *,
    events: tuple[Event, ...] = (),
    title: str = "clip.mp4",
    complete: bool = True,
) -> Recording:
    labels = tuple(label.value for label in LABELS)
    sink = RecordingSink(folder, RunState(title=title, labels=labels))
    for number, (timestamp_s, faces) in enumerate(frames):
        result = FrameResult(tuple(faces), (160, 120), number, timestamp_s)
        sink.write(Frame(IMAGE, timestamp_s, number), result, ())
    sink.close(events, complete=complete)
    return Recording(folder)


def report(
    folder: Path,
    frames: Iterable[tuple[float, list[Face]]],
    *,
    events: tuple[Event, ...] = (),
    title: str = "clip.mp4",
    complete: bool = True,
    video: Path | None = None,
) -> str:
    recording = record(folder, frames, events=events, title=title, complete=complete)
    write_report(recording, folder, video=video)
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


def test_page_shows_timelines_without_a_script(tmp_path: Path) -> None:
    frames = [(n / 10, [face(1, 0.9 if n > 50 else 0.05), face(2, 0.05)]) for n in range(100)]
    ended = Event(
        "track_ended",
        9.9,
        1,
        {"track_id": 1, "share_happiness": 0.5, "share_neutral": 0.5, "blinks": 7},
    )
    text = report(tmp_path, frames, events=(ended,))
    body = text[: text.index('<script type="application/json"')]
    assert body.count('<svg class="lane"') == 2
    assert "happiness <b>50 %</b>" in body
    assert "happiness, 0:05.1 to 0:09.9" in body
    assert "<dt>Blinks</dt><dd>7</dd>" in body
    assert "What these numbers mean, and what they do not" in body
    Page(text)


def test_page_loads_nothing_from_a_network(tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails" / "1.jpg").write_bytes(b"jpeg")
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


def test_escapes_names(tmp_path: Path) -> None:
    title = "</script><script>alert(1)</script><img src=x onerror=alert(2)>.mp4"
    text = report(tmp_path, [(0.0, [face(1, 0.9)])], title=title)
    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text


def test_shows_gaps_uncertain_and_hidden_faces(tmp_path: Path) -> None:
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
    text = report(tmp_path, ((float(second), [face(1, 0.9)]) for second in range(0, 3601, 5)))
    # Every bin has neighbors: nothing was lost when bins were joined.
    assert "In view without a gap" in text
    width = re.search(r'"width_s":(\d+\.?\d*)', text)
    assert width
    assert 3600 / float(width.group(1)) <= _MAX_BINS
    assert len(text) < 200_000


@pytest.mark.parametrize("step_s", [0.2, 1.0, 2.0, 30.0])
def test_a_low_sampling_rate_is_not_a_gap(tmp_path: Path, step_s: float) -> None:
    frames = [(n * step_s, [face(1, 0.9)]) for n in range(20)]
    assert "In view without a gap" in report(tmp_path, frames)
    with_gap = [*frames[:10], *((t + 10 * step_s + 2, faces) for t, faces in frames[10:])]
    assert "In view without a gap" not in report(tmp_path, with_gap)


def test_a_large_video_stays_beside_the_page(tmp_path: Path) -> None:
    small, large = tmp_path / "small.mp4", tmp_path / "a large one.mp4"
    small.write_bytes(b"0" * 1000)
    with large.open("wb") as file:
        file.truncate(_MAX_EMBEDDED_BYTES)
    (tmp_path / "out").mkdir()
    assert "data:video/mp4;base64,MDAw" in report(tmp_path / "out", [(0.0, [])], video=small)
    text = report(tmp_path / "out", [(0.0, [])], video=large)
    assert 'src="../a%20large%20one.mp4"' in text
    assert len(text) < 100_000


def test_a_stream_without_expressions_has_a_report_too(tmp_path: Path) -> None:
    plain = Face(Detection(Box(20, 20, 80, 80), 0.9), track_id=1, track=TrackStatistics(age_s=0.0))
    assert "Person 1" in report(tmp_path, [(0.0, [plain]), (0.5, [plain])])


def test_of_too_many_tracks_the_shortest_are_counted_only(tmp_path: Path) -> None:
    frames = [(float(number), [face(number, 0.1)]) for number in range(1, 301)]
    sink = RecordingSink(tmp_path, RunState(title="crowd"))
    for number, (timestamp_s, faces) in enumerate(frames):
        ended = Event("track_ended", timestamp_s, number, {"track_id": number, "visible_s": 0.1})
        result = FrameResult(tuple(faces), (160, 120), number, timestamp_s)
        sink.write(Frame(IMAGE, timestamp_s, number), result, (ended,))
    sink.close((), complete=True)
    write_report(Recording(tmp_path), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "<dt>tracks</dt><dd>300</dd>" in text
    assert "100 shorter tracks are counted but not shown" in text
    assert text.count('<article class="track"') == 200


def test_embeds_thumbnails(tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails" / "1.jpg").write_bytes(b"jpeg")
    text = report(tmp_path, [(0.0, [face(1, 0.9), face(2, 0.9)])])
    assert text.count("data:image/jpeg;base64,anBlZw==") == 1


def test_unmeasured_counts_are_left_out(tmp_path: Path) -> None:
    assert "Blinks" in report(tmp_path, [(n / 25, [face(1, 0.9)]) for n in range(50)])
    assert "Blinks" not in report(tmp_path, [(n / 2, [face(1, 0.9)]) for n in range(50)]).replace(
        "Blinks, closed eyes and yawns", ""
    )


def test_charts_of_web_pages_show_shares_and_gaps() -> None:
    documents = [
        FrameResult((face(1, 0.9 if t < 10 else 0.05),), (160, 120), n, t).to_dict()
        for n, t in enumerate([*(k / 2 for k in range(9)), *(10 + k / 2 for k in range(4))])
    ]
    (person,) = person_charts(read_frames(documents))
    assert (person.track_id, person.first_s, person.last_s, person.frames) == (1, 0.0, 11.5, 13)
    assert dict(person.shares) == pytest.approx(
        {"happiness": 4 / 5.5, "neutral": 1.5 / 5.5}, abs=1e-4
    )
    # The label changes later than the probabilities that the area shows.
    assert [label for label, _ in person.means][:2] == ["happiness", "neutral"]
    assert sum(mean for _, mean in person.means) == pytest.approx(1)
    bins = [0.9] * 9 + [0.05] * 4
    assert dict(person.means)["happiness"] == pytest.approx(sum(bins) / len(bins), abs=0.05)
    assert person.timeline.count('class="ground"') == 2
    assert person.timeline.startswith('<svg class="lane"')
    assert person.ticks == ["0:00.0", "0:02.9", "0:05.8", "0:08.6", "0:11.5"]
    assert person_charts(read_frames([])) == []


def test_warnings_and_mostly_uncertain_tracks_are_shown(tmp_path: Path) -> None:
    recording = record(tmp_path, [(n / 10, [face(1, 0.4)]) for n in range(10)])
    warned = RunState(status="complete", warnings=("the file is <cut>",))
    warned.write(tmp_path)

    def page(share: float) -> str:
        ended = Event("track_ended", 1.0, 1, {"track_id": 1, "share_uncertain": share})
        sink = RecordingSink(tmp_path, warned)
        result = FrameResult((face(1, 0.4, "uncertain"),), (160, 120), 0, 0.0)
        sink.write(Frame(IMAGE, 0.0, 0), result, ())
        sink.close((ended,), complete=True)
        write_report(recording, tmp_path)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    assert "Uncertain throughout" in page(1.0)
    assert "Uncertain for 60 % of the time" in page(0.6)
    assert "of uncertain labels" not in page(0.2)
    assert "Warning: the file is &lt;cut&gt;." in page(0.2)


def test_lanes_show_the_strongest_action_units_and_the_gaze(tmp_path: Path) -> None:
    def moving(smile: float) -> Face:
        units = {"AU12": smile, "AU6": 0.1}
        return replace(face(1, 0.2), action_units=units, gaze=Gaze(22.5, -90.0))

    frames = [(number / 10, [moving(1.0 if number >= 5 else 0.0)]) for number in range(10)]
    page = report(tmp_path, frames)
    history = History.of(Recording(tmp_path).frames())
    lanes = dict(movement_lanes(history.tracks[1], history))
    # AU6 stays at rest. Bins are 0.1 s: those of AU12 are empty at first and full then.
    assert [words.split()[0] for words in lanes] == ["AU12", "gaze", "gaze"]
    heights = re.findall(r"v(-?[\d.]+)h", lanes["AU12"])
    assert heights[0] in {"0.0", "-0.0"}
    assert heights[-1] == "-30.0"
    across, up = (re.findall(r"v(-?[\d.]+)h", svg)[1] for svg in [*lanes.values()][1:])
    assert (across, up) == ("-7.5", "15.0")
    assert 'class="moves"' in page
    assert 'class="moves"' not in report(tmp_path, [(0.0, [face(1, 0.2)])])


def test_a_report_without_expressions_shows_no_neutral_ones(tmp_path: Path) -> None:
    frames = [(n / 10, [replace(face(1, 0.2), expression=None)]) for n in range(9)]
    page = report(tmp_path, frames)
    assert "gray is neutral" not in page
    assert "Expressions were not analyzed" in page
    assert 'aria-label="Person 1 in view over time"' in page
    assert 'class="ground"' not in page
    assert "gray is neutral" in report(tmp_path, [(0.0, [face(1, 0.2)])])
