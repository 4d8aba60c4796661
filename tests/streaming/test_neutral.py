"""A photograph of a person at rest, from which a stream measures action units."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.errors import InputError, SettingError
from mien.media.images import read_image
from mien.media.sources import Selection
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.streaming.outputs import VideoOptions
from mien.streaming.video import analyze_video
from mien.types import Image

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")


@pytest.fixture(scope="module")
def photographs(samples: dict[str, Path]) -> dict[str, Image]:
    return {name: read_image(path) for name, path in samples.items()}


Measured = list[tuple[list[int | None], list[Mapping[str, float] | None], tuple[str, ...]]]


def measured_beside(
    pipeline: FacePipeline, photographs: dict[str, Image], settings: StreamSettings
) -> Measured:
    """Ids, action units and warnings: person a smiles alone, then both smile side by side."""
    alone = photographs["person-a-smiling"]
    empty, other = np.full_like(alone, 128), photographs["person-b-smiling"][: len(alone)]
    frames = [np.hstack([alone, empty])] * 4 + [np.hstack([alone, other])] * 8
    stream, found = FaceStream(pipeline, settings), []
    for number, frame in enumerate(frames):
        result = stream.update(frame, number / 10)
        ids = [face.track_id for face in result]
        found.append((ids, [face.action_units for face in result], result.warnings))
    return found


def test_a_neutral_photograph_is_that_of_the_only_face_in_view(
    photographs: dict[str, Image],
) -> None:
    pipeline = FacePipeline(neutral=photographs["person-a-smiling"])
    found = measured_beside(pipeline, photographs, StreamSettings(expressions=False))
    ids, units, _ = found[2]
    assert ids == [1]
    assert units[0] is not None
    # The rest is the same smile.
    assert units[0]["AU12"] == pytest.approx(0, abs=0.02)
    ids, units, _ = found[-1]
    assert ids == [1, 2]
    assert units == [None, None]
    warned = [warning for _, _, warnings in found for warning in warnings]
    assert len(warned) == 1
    assert "--neutral-track" in warned[0]


def test_a_neutral_photograph_is_that_of_a_named_track(photographs: dict[str, Image]) -> None:
    pipeline = FacePipeline(neutral=photographs["person-b-smiling"])
    settings = StreamSettings(expressions=False, neutral_track=2)
    found = measured_beside(pipeline, photographs, settings)
    assert found[2][:2] == ([1], [None])
    ids, units, warnings = found[-1]
    assert ids == [1, 2]
    assert units[0] is None
    assert units[1] is not None
    assert units[1]["AU12"] == pytest.approx(0, abs=0.05)
    assert not warnings


def test_with_a_baseline_others_are_measured_from_their_own_rest(
    photographs: dict[str, Image],
) -> None:
    pipeline = FacePipeline(neutral=photographs["person-b-smiling"])
    rest = photographs["person-a-neutral"]
    settings = StreamSettings(expressions=False, baseline=True, neutral_track=2)
    stream = FaceStream(pipeline, settings)
    results = [stream.update(rest, number / 10) for number in range(36)]
    assert results[5][0].action_units is None
    assert results[-1][0].action_units is not None
    assert results[-1][0].action_units["AU12"] == pytest.approx(0, abs=0.02)


def test_a_neutral_photograph_by_its_path(smile_clip: Path, samples: dict[str, Path]) -> None:
    first = next(mien.stream(smile_clip, neutral=samples["person-a-neutral"]))
    assert first[0].action_units is not None
    with pytest.raises(InputError, match="got 4"):
        next(mien.stream(smile_clip, neutral=samples["group"]))
    with pytest.raises(SettingError, match="a pipeline or settings"):
        next(mien.stream(smile_clip, pipeline=FacePipeline(), neutral=samples["group"]))


def test_one_photograph_for_two_people_one_after_the_other_is_warned_of(
    photographs: dict[str, Image],
) -> None:
    stream = FaceStream(
        FacePipeline(neutral=photographs["person-a-neutral"]), StreamSettings(expressions=False)
    )
    first, second = photographs["person-a-smiling"], photographs["person-b-smiling"]
    frames = [first] * 4 + [np.full_like(first, 128)] * 4 + [second] * 4
    # Three seconds without a face end the first track.
    results = [stream.update(image, number) for number, image in enumerate(frames)]
    assert {face.track_id for result in results for face in result} == {1, 2}
    warned = [warning for result in results for warning in result.warnings]
    assert len(warned) == 1
    assert "tracks 1 and 2" in warned[0]


@pytest.mark.parametrize(("named", "warns"), [(0, False), (1, False), (7, True)])
def test_a_named_track_that_never_was_is_warned_of(
    smile_clip: Path, samples: dict[str, Path], tmp_path: Path, named: int, warns: bool
) -> None:
    pipeline = FacePipeline(neutral=read_image(samples["person-a-neutral"]))
    options = VideoOptions(annotate=False, selection=Selection(end_s=1.0))
    settings = StreamSettings(expressions=False, neutral_track=named)
    outcome = analyze_video(smile_clip, tmp_path, options, pipeline=pipeline, settings=settings)
    assert ["in track 7" in warning for warning in outcome.warnings] == [True] * warns


def test_the_present_face_of_a_track_can_be_its_rest(photographs: dict[str, Image]) -> None:
    stream = FaceStream(settings=StreamSettings(expressions=False))
    smile = photographs["person-a-smiling"]

    def smiling(second: float) -> float:
        (face,) = stream.update(smile, second)
        assert face.action_units is not None
        return face.action_units["AU12"]

    before = smiling(0.0)
    assert before > 0.4
    assert not stream.use_as_neutral(2)
    assert stream.use_as_neutral(1)
    assert smiling(0.1) == pytest.approx(0, abs=0.02)
    stream.forget_neutral(1)
    stream.forget_neutral(2)
    assert smiling(0.2) == pytest.approx(before, abs=0.05)
