"""The table of events: intervals from the frames, and the events of the recording."""

import csv

import pytest

from mien.recording import RecordedFrame
from mien.streaming import FaceStream
from mien.tables.write import event_table_lines, intervals
from mien.testing import FakePipeline, face_frames, face_image
from mien.tracking import Event
from mien.types import FrameResult

pytest.importorskip("lap", reason="tracking needs lapx")


def frames(count: int = 40) -> list[RecordedFrame]:
    """Two seconds of a fake face at 10 frames per second with a gap, then neutral to happiness."""
    stream, found = FaceStream(FakePipeline()), []
    for image, timestamp_s in face_frames(count, frame_rate=10):
        shown = face_image() if 1.0 <= timestamp_s < 2.5 else image
        result = stream.update(shown, timestamp_s)
        found.append(RecordedFrame(result, stream.events))
    found[-1] = found[-1]._replace(closing_events=stream.finish())
    return found


def test_intervals_end_at_gaps_and_label_changes() -> None:
    found = intervals(frames())
    in_view = [(i.onset_s, i.offset_s) for i in found if i.behavior == "in_view"]
    assert in_view == [(0.0, 0.9), (2.5, 3.9)]
    labels = [i for i in found if i.behavior == "expression"]
    assert [label.value for label in labels] == ["neutral", "happiness"]
    for interval in found:
        assert interval.offset_s is None or interval.offset_s > interval.onset_s


def test_a_long_closure_has_its_start_and_its_end() -> None:
    begun = Event("eyes_closed", 2.501, 1, {"duration_s": 0.501})
    over = Event("closure", 8.0, 1, {"start_s": 2.0, "duration_s": 6.0})
    other = Event("eyes_closed", 2.5, 2, {"duration_s": 0.5})
    result = FrameResult((), (320, 240), frame_index=0, timestamp_s=8.0)
    found = intervals([RecordedFrame(result, (begun, other), (over,))])
    assert {one.behavior for one in found} == {"eyes_closed"}
    assert sorted((one.track_id, one.onset_s, one.offset_s) for one in found) == [
        (1, 2.0, 8.0),
        (2, 2.0, 2.5),
    ]


def test_moments_have_no_end_and_the_offset_is_added() -> None:
    cut = Event("scene_cut", 1.5)
    blink = Event("blink", 1.2, 1, {"duration_s": 0.2})
    alarm = Event("alarm", 1.4, 1, {"reason": "perclos", "value": 0.3})
    result = FrameResult((), (320, 240), frame_index=0, timestamp_s=1.5)
    later = FrameResult((), (320, 240), frame_index=1, timestamp_s=1.75)
    again = Event("alarm", 1.5, 1, {"reason": "perclos", "value": 0.4})
    frames = [RecordedFrame(result, (cut, blink, alarm, again)), RecordedFrame(later, ())]
    lines = event_table_lines(frames, time_offset_s=10)
    rows = list(csv.DictReader(lines))
    assert [row["behavior"] for row in rows] == ["blink", "alarm", "scene_cut", "alarm"]
    assert [row["onset_s"] for row in rows] == ["11.0", "11.4", "11.5", "11.5"]
    assert [row["offset_s"] for row in rows] == ["11.2", "", "", ""]
    # One sampling interval of 0.25 s, or to the next one of the tier.
    assert [row["elan_end_s"] for row in rows] == ["11.2", "11.5", "11.75", "11.75"]
    assert rows[0]["tier"] == "Person 1 blink"
    assert (rows[1]["value"], rows[1]["comment"]) == ("perclos", "value=0.3")
    assert (rows[2]["subject"], rows[2]["tier"]) == ("", "scene_cut")
