"""Reading expressions only where a face's picture has changed since it was last read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mien import imaging
from mien.types import ExpressionScores, Image

_SIDE = 16
_LONGEST_S = 0.25
# Half a millisecond of tolerance for rounded timestamps.
_TOLERANCE_S = 5e-4


class CropClassifier(Protocol):
    """What a reader needs of a pipeline."""

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]: ...


@dataclass(frozen=True, slots=True)
class _Reading:
    look: npt.NDArray[np.float32]
    scores: ExpressionScores
    timestamp_s: float


class ExpressionReader:
    """Classifies the aligned crops of a stream's faces, and keeps a reading while it stays true.

    A crop is compared with the one that was last read of the same track, and not with that of the
    frame before, so that a slow change is not missed. Both are brought to 16 by 16 gray pixels,
    and their light and contrast evened out. A reading serves for a quarter of a second at most.

    Args:
        classifier: mostly a pipeline.
        same_below: the greatest root mean square difference, in standard deviations of the crop's
            gray levels, at which the last reading still holds; 0 reads every crop.
    """

    def __init__(self, classifier: CropClassifier, *, same_below: float) -> None:
        self._classifier = classifier
        self._same_below = same_below
        self._last: dict[int, _Reading] = {}

    def read(
        self, crops: Sequence[Image], track_ids: Sequence[int], timestamp_s: float
    ) -> list[ExpressionScores]:
        """The scores of each crop.

        Args:
            crops: one for each track, aligned.
            track_ids: whose they are, none of them twice.
            timestamp_s: of the frame.
        """
        if self._same_below <= 0:
            return self._classifier.classify(crops)
        looks = [_look(crop) for crop in crops]
        changed = [
            number
            for number, (track_id, look) in enumerate(zip(track_ids, looks, strict=True))
            if not self._holds(track_id, look, timestamp_s)
        ]
        read = self._classifier.classify([crops[number] for number in changed]) if changed else []
        for number, scores in zip(changed, read, strict=True):
            self._last[track_ids[number]] = _Reading(looks[number], scores, timestamp_s)
        return [self._last[track_id].scores for track_id in track_ids]

    def forget(self, track_ids: Iterable[int | None]) -> None:
        """Drop what is known of tracks that are over."""
        for track_id in track_ids:
            if track_id is not None:
                self._last.pop(track_id, None)

    def _holds(self, track_id: int, look: npt.NDArray[np.float32], timestamp_s: float) -> bool:
        last = self._last.get(track_id)
        if last is None or timestamp_s - last.timestamp_s >= _LONGEST_S - _TOLERANCE_S:
            return False
        difference = look - last.look
        return float(np.sqrt(np.vdot(difference, difference) / look.size)) < self._same_below


def _look(crop: Image) -> npt.NDArray[np.float32]:
    """``(16, 16)`` of mean 0 and about unit deviation."""
    small = imaging.resize(imaging.to_gray(crop), (_SIDE, _SIDE)).astype(np.float32)
    small -= small.mean()
    # One gray level keeps a flat crop from dividing by nothing.
    return small / np.float32(1.0 + small.std())
