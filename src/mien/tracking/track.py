"""A face in a frame, and a person's face through a stream."""

import math
from dataclasses import dataclass, field

from mien.geometry import Array
from mien.tracking.motion import Motion
from mien.types import Detection, FloatArray, Landmarks


@dataclass(frozen=True, slots=True)
class Observation:
    """A face in a frame, not yet assigned to a track.

    Attributes:
        detection: box and score.
        landmarks: landmarks, if known.
        followed: keys of the tracks whose last landmarks led here; empty for a new detection.
    """

    detection: Detection
    landmarks: Landmarks | None = None
    followed: frozenset[int] = frozenset()


@dataclass(slots=True)
class Track:
    """One person's face through a stream.

    Attributes:
        key: unique within the tracker, also before the track is confirmed.
        track_id: ID in results, from 1; None until the track is confirmed.
        motion: position, size and velocity at the last observation.
        score: last detection score.
        first_s, last_s: time of the first and the last observation.
        hits: number of observations.
        mean_score: mean detection score over all observations.
        landmarks: last landmarks.
        detector_s: time of the last detection by the detector.
        beside: key of the track that it may have been taken for; None once that is clear.
        beside_s: when the two were last near to each other.
        shape: running mean of the rigid points.
        shape_s: time of the last update of the shape.
        patch: the face at that time, from :func:`mien.tracking.motion.face_patch`.
    """

    key: int
    motion: Motion
    score: float
    first_s: float
    last_s: float
    track_id: int | None = None
    hits: int = 1
    mean_score: float = 0.0
    landmarks: Landmarks | None = None
    detector_s: float = 0.0
    beside: int | None = None
    beside_s: float = -math.inf
    shape: Array | None = field(default=None, repr=False)
    shape_s: float = 0.0
    patch: FloatArray | None = field(default=None, repr=False)
