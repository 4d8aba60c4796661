"""A stream of a real face: one track, one change of label, and a detector that mostly rests."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from mien.errors import InputError
from mien.labels import Expression
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, SearchSettings, StreamSettings
from mien.testing import FakePipeline, face_frames
from mien.types import Detection, FrameResult, Image

pytest.importorskip("lap", reason="tracking needs lapx")

Frames = list[tuple[npt.NDArray[np.uint8], float]]


@pytest.fixture(scope="module")
def results(pipeline: FacePipeline, smile_frames: Frames) -> list[FrameResult]:
    stream = FaceStream(pipeline)
    return [stream.update(image, timestamp_s) for image, timestamp_s in smile_frames]


def test_a_person_is_one_track_in_every_frame(results: list[FrameResult]) -> None:
    assert [[face.track_id for face in result] for result in results] == [[1]] * 75


def test_a_change_from_neutral_to_a_smile_is_one_change_with_little_lag(
    results: list[FrameResult],
) -> None:
    labels = [result.faces[0].expression.label for result in results if result.faces[0].expression]
    assert labels[0] is Expression.NEUTRAL
    assert labels[-1] is Expression.HAPPINESS
    changes = [n for n in range(1, 75) if labels[n] is not labels[n - 1]]
    assert len(changes) == 1
    # The picture is half way at 1.625 s and all smile at 1.75 s.
    assert 1.5 <= changes[0] / 25 <= 1.75 + 0.25


def test_results_have_raw_and_smoothed_expressions(results: list[FrameResult]) -> None:
    face = results[30].faces[0]
    assert face.expression is not None
    assert face.expression_raw is not None
    assert face.expression_raw.held is None
    assert not np.allclose(
        face.expression.probabilities, face.expression_raw.probabilities, atol=1e-7
    )
    assert face.track is not None
    assert face.track.age_s == pytest.approx(30 / 25)


def test_frames_are_numbered_and_timed(results: list[FrameResult]) -> None:
    assert [result.frame_index for result in results] == list(range(75))
    assert results[10].timestamp_s == pytest.approx(0.4)
    assert set(results[10].timings_ms) == {"locate", "describe", "smooth"}


class CountingPipeline(FacePipeline):
    """A pipeline that counts how often it looks for faces."""

    detections = 0

    def detect(self, image: Image, *, still: bool = False) -> list[Detection]:
        self.detections += 1
        return super().detect(image)


def test_the_detector_runs_rarely(smile_frames: Frames) -> None:
    pipeline = CountingPipeline()
    stream = FaceStream(pipeline, StreamSettings(search=SearchSettings(detect_every_s=0.5)))
    found = [len(stream.update(image, timestamp_s)) for image, timestamp_s in smile_frames]
    assert found == [1] * 75
    # At 0, 0.5, 1.0, … 2.5 seconds.
    assert pipeline.detections <= 7


def test_a_face_that_returns_keeps_its_track_id(
    pipeline: FacePipeline, smile_frames: Frames
) -> None:
    stream, empty = FaceStream(pipeline), np.full((270, 480, 3), 120, np.uint8)
    # A wall that has the picture's mean gray is no scene cut, as someone ducking is none.
    script = [image for image, _ in smile_frames[:10]] + [empty] * 10
    script += [image for image, _ in smile_frames[10:20]]
    stream._cuts.is_cut = lambda *_: False  # type: ignore[method-assign]
    seen = [
        [face.track_id for face in stream.update(image, number / 25)]
        for number, image in enumerate(script)
    ]
    assert seen[:10] == [[1]] * 10
    assert seen[11:20] == [[]] * 9
    assert seen[24:] == [[1]] * 6


def test_a_face_goes_on_in_frames_of_another_size(
    pipeline: FacePipeline, smile_frames: Frames
) -> None:
    sizes_wh = [(480, 270)] * 6 + [(200, 150)] + [(480, 270)] * 6 + [(960, 540)] * 6
    stream = FaceStream(pipeline)
    results = [
        stream.update(np.asarray(PillowImage.fromarray(image).resize(size)), timestamp_s)
        for size, (image, timestamp_s) in zip(sizes_wh, smile_frames, strict=False)
    ]
    assert [[face.track_id for face in result] for result in results] == [[1]] * 19
    assert [result.image_size_wh for result in results] == sizes_wh
    small, large = results[6], results[-1]
    assert small.faces[0].box.center[0] / 200 == pytest.approx(0.5, abs=0.05)
    assert large.faces[0].box.center[0] / 960 == pytest.approx(0.5, abs=0.05)
    (warning,) = [text for result in results for text in result.warnings]
    assert "200x150 at 0.24 s after 480x270" in warning


def test_a_cut_ends_the_tracks(
    pipeline: FacePipeline, smile_frames: Frames, samples: dict[str, Path]
) -> None:
    group = np.asarray(PillowImage.open(samples["group"]).convert("RGB").resize((480, 270)))
    stream = FaceStream(pipeline)
    stream.update(smile_frames[0][0], 0.0)
    after = stream.update((group * 0.4).astype(np.uint8), 0.04)
    kinds = [event.kind for event in stream.events]
    assert kinds[:1] == ["scene_cut"]
    assert "track_ended" in kinds
    assert 1 not in [face.track_id for face in after]


def test_finish_returns_the_last_events(pipeline: FacePipeline, smile_frames: Frames) -> None:
    stream = FaceStream(pipeline)
    for image, timestamp_s in smile_frames[:5]:
        stream.update(image, timestamp_s)
    (ended,) = [event for event in stream.finish() if event.kind == "track_ended"]
    assert ended.track_id == 1
    assert ended.details["frames"] == 5
    assert stream.finish() == ()


def test_time_must_go_forward(pipeline: FacePipeline, smile_frames: Frames) -> None:
    stream = FaceStream(pipeline)
    stream.update(smile_frames[0][0], 1.0)
    with pytest.raises(InputError, match="later than"):
        stream.update(smile_frames[1][0], 1.0)


@pytest.mark.parametrize("timestamp_s", [float("nan"), float("inf"), float("-inf"), "1", None])
def test_a_time_that_is_no_finite_number_is_refused_and_changes_nothing(timestamp_s: Any) -> None:
    stream, image = FaceStream(FakePipeline()), np.zeros((32, 32, 3), np.uint8)
    for last_s in (None, 0.0):
        with pytest.raises(InputError, match=r"expected timestamp_s as a .*number, got "):
            stream.update(image, timestamp_s)
        found = stream.update(image, 0.0 if last_s is None else 0.04)
    assert (found.frame_index, found.timestamp_s) == (1, 0.04)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3, 2)])
def test_accepts_frames_of_any_size(pipeline: FacePipeline, size: tuple[int, int]) -> None:
    assert FaceStream(pipeline).update(np.zeros((*size, 3), np.uint8), 0.0).faces == ()


@pytest.mark.parametrize(
    ("region", "warned"),
    [((0.5, 0.0, 1.0, 1.0), 0), ((0.0, 0.0, 640.0, 360.0), 0), ((320.0, 200.0, 640.0, 360.0), 1)],
)
def test_a_region_outside_the_picture_has_one_warning(
    region: tuple[float, float, float, float], warned: int
) -> None:
    stream = FaceStream(FakePipeline(), StreamSettings(region=region))
    frame = np.zeros((180, 320, 3), np.uint8)
    warnings = [text for n in range(3) for text in stream.update(frame, n / 10).warnings]
    assert len(warnings) == warned
    assert all("inside frames of 320x180 pixels" in text for text in warnings)


def test_memory_does_not_grow_with_the_tracks_that_were() -> None:
    stream = FaceStream(FakePipeline(), StreamSettings(max_gap_s=0.5))
    image, sizes = face_frames(1)[0][0], []
    for visit in range(12):
        # Every visit is ten seconds after the last, so each is a new track.
        for number in range(4):
            stream.update(image, 10.0 * visit + number / 25)
        sizes.append(len(pickle.dumps((stream._people, stream._statistics))))
    assert [track.track_id for track in stream._tracker.tracks] == [12]
    assert max(sizes[4:]) < 1.1 * sizes[4]


@pytest.mark.parametrize("step_s", [0.2, 1.0, 2.0])
def test_a_person_is_one_track_at_every_sampling_rate(step_s: float) -> None:
    stream = FaceStream(FakePipeline())
    frames = face_frames(60, frame_rate=1 / step_s)
    results = [stream.update(image, timestamp_s) for image, timestamp_s in frames]
    assert [[face.track_id for face in result] for result in results] == [[1]] * 60
    (ended,) = [event for event in stream.finish() if event.kind == "track_ended"]
    assert ended.details["visible_s"] == pytest.approx(59 * step_s)
    assert ended.details["share_happiness"] == pytest.approx(0.5, abs=1.5 / 59)


def test_a_resumed_stream_continues_statistics_and_numbers() -> None:
    frames = face_frames(60)
    whole, first, second = (FaceStream(FakePipeline()) for _ in range(3))
    for image, timestamp_s in frames:
        whole.update(image, timestamp_s)
    recorded = [(first.update(*frame), first.events) for frame in frames[:30]]
    second.resume(recorded)
    for image, timestamp_s in frames[30:]:
        (face,) = second.update(image, timestamp_s).faces
        assert face.track_id == 1
    summaries = [
        event.details
        for stream in (whole, second)
        for event in stream.finish()
        if event.kind == "track_ended"
    ]
    assert len(summaries) == 2
    for name in ("frames", "visible_s", "first_s", "last_s", "gaps"):
        assert summaries[0][name] == summaries[1][name]
