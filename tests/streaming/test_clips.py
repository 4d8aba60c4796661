"""Recordings that do not ship: what is known to happen in them is found, and nothing else."""

from itertools import groupby
from pathlib import Path

import pytest

import mien
from mien.labels import Expression
from mien.media.sources import Selection
from mien.pipeline import FacePipeline
from mien.types import FrameResult

pytest.importorskip("av", reason="videos need PyAV")
pytest.importorskip("lap", reason="tracking needs lapx")


def results_of(
    pipeline: FacePipeline, clip: Path, selection: Selection | None = None
) -> list[FrameResult]:
    if not clip.is_file():
        pytest.skip(f"needs {clip.name}, which does not ship")
    return list(mien.stream(clip, pipeline=pipeline, selection=selection))


def sure_labels(results: list[FrameResult]) -> list[Expression]:
    """The labels in order of those stretches of the first face that are not uncertain."""
    sure = [
        result.faces[0].expression.label
        for result in results
        if result.faces and result.faces[0].expression and not result.faces[0].expression.uncertain
    ]
    return [label for label, _ in groupby(sure)]


def test_a_smile_is_one_change_of_one_track(pipeline: FacePipeline, shared_data: Path) -> None:
    results = results_of(pipeline, shared_data / "media" / "neutral-to-smile.mp4")
    assert [[face.track_id for face in result] for result in results] == [[1]] * 72
    assert sure_labels(results) == [Expression.NEUTRAL, Expression.HAPPINESS]


def test_a_face_that_leaves_is_lost(pipeline: FacePipeline, shared_data: Path) -> None:
    selection = Selection(every=2, end_s=4.0)
    results = results_of(pipeline, shared_data / "media" / "face-then-none.mov", selection)
    seen_s = [result.timestamp_s or 0.0 for result in results if result.faces]
    # The last pictures of it are at 2.333 and 2.367 s.
    assert seen_s[0] == 0
    assert 2.33 <= seen_s[-1] <= 2.36 + 0.3
    assert {face.track_id for result in results for face in result} == {1}
