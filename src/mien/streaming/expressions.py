"""The expression model of streams; its predictions are reused while crops look the same."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.expression import build_classifier
from mien.expression.ensemble import EnsembleClassifier
from mien.pipeline import FacePipeline
from mien.runtime.catalog import STREAM_EXPRESSION_MODEL
from mien.types import ExpressionScores, Image

_quick: WeakKeyDictionary[FacePipeline, FacePipeline] = WeakKeyDictionary()


def for_streams(pipeline: FacePipeline) -> FacePipeline:
    """A pipeline with `quick` where its settings name no expression model, else the same.

    In a stream, labels are smoothed, and the time of the model counts. All other models are shared.
    A classifier of one's own stays.
    """
    settings = pipeline.settings
    if settings.model != "default" or not isinstance(pipeline.classifier, EnsembleClassifier):
        return pipeline
    if pipeline not in _quick:
        found = copy.copy(pipeline)
        found.classifier = build_classifier(
            STREAM_EXPRESSION_MODEL,
            prior=settings.prior,
            threads=settings.threads,
            provider=settings.provider,
        )
        _quick[pipeline] = found
    _quick[pipeline].neutral = pipeline.neutral
    return _quick[pipeline]


_Classify = Callable[[Sequence[Image]], list[ExpressionScores]]
_SIDE = 16
_LONGEST_S = 0.25
# Half a millisecond of tolerance for rounded timestamps.
_TOLERANCE_S = 5e-4


@dataclass(frozen=True, slots=True)
class _Prediction:
    thumbnail: npt.NDArray[np.float32]
    scores: ExpressionScores
    timestamp_s: float


class ExpressionCache:
    """Classifies the aligned crops of a stream's faces, and reuses predictions while they hold.

    A crop is compared with the one that was last classified of the same track, and not with that of
    the frame before, so that a slow change is not missed. Both are reduced to 16 by 16 gray pixels
    of normalized brightness and contrast. A prediction is reused for a quarter of a second at most.

    Args:
        classify: that of a pipeline.
        same_below: the greatest root mean square difference, in standard deviations of the crop's
            gray levels, at which the last prediction is reused; 0 classifies every crop.
    """

    def __init__(self, classify: _Classify, *, same_below: float) -> None:
        self._classify = classify
        self._same_below = same_below
        self._last: dict[int, _Prediction] = {}

    def classify(
        self, crops: Sequence[Image], track_ids: Sequence[int], timestamp_s: float
    ) -> list[ExpressionScores]:
        """The scores of each crop.

        Args:
            crops: one for each track, aligned.
            track_ids: of the crops, each at most once.
            timestamp_s: of the frame.
        """
        if self._same_below <= 0:
            return self._classify(crops)
        thumbnails = [_thumbnail(crop) for crop in crops]
        changed = [
            number
            for number, (track_id, thumbnail) in enumerate(zip(track_ids, thumbnails, strict=True))
            if not self._holds(track_id, thumbnail, timestamp_s)
        ]
        read = self._classify([crops[number] for number in changed]) if changed else []
        for number, scores in zip(changed, read, strict=True):
            self._last[track_ids[number]] = _Prediction(thumbnails[number], scores, timestamp_s)
        return [self._last[track_id].scores for track_id in track_ids]

    def forget(self, track_ids: Iterable[int | None]) -> None:
        """Drop the predictions of tracks that are over."""
        for track_id in track_ids:
            self._last.pop(track_id or 0, None)

    def _holds(self, track_id: int, thumbnail: npt.NDArray[np.float32], timestamp_s: float) -> bool:
        last = self._last.get(track_id)
        if last is None or timestamp_s - last.timestamp_s >= _LONGEST_S - _TOLERANCE_S:
            return False
        difference = thumbnail - last.thumbnail
        return float(np.sqrt(np.vdot(difference, difference) / thumbnail.size)) < self._same_below


def _thumbnail(crop: Image) -> npt.NDArray[np.float32]:
    """``(16, 16)`` of mean 0 and about unit deviation."""
    small = imaging.resize(imaging.to_gray(crop), (_SIDE, _SIDE)).astype(np.float32)
    small -= small.mean()
    # One gray level avoids a division by zero for a uniform crop.
    return small / np.float32(1.0 + small.std())
