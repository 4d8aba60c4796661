"""Giving the faces of a stream a lasting number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mien.tracking.assignment import assign
from mien.tracking.motion import Motion
from mien.tracking.shape import Array, blend_shapes, face_shape, shape_distance
from mien.types import Box, Detection, Landmarks


@dataclass(frozen=True, slots=True)
class Observation:
    """A face that was seen in a frame, before it is known whose.

    Attributes:
        detection: its box and score.
        landmarks: its points, if they were looked for.
        followed: the tracks whose last landmarks led here; empty for what a detector found.
    """

    detection: Detection
    landmarks: Landmarks | None = None
    followed: frozenset[int] = frozenset()


@dataclass(slots=True)
class Track:
    """One person's face through a stream.

    Attributes:
        key: unique in its tracker, from the first sight on.
        track_id: the number that results carry, from 1; None until the face is sure to be one.
        motion: place, size and velocity when last seen.
        score: of the detector, when it last saw the face.
        first_s, last_s: when the face was first and last seen.
        hits: in how many frames it was seen.
        mean_score: of the detector, over these frames.
        landmarks: when last seen.
        detector_s: when a detector last saw it.
        shape: running mean of its rigid points, and `shape_s`, when it was last learned from.
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
    shape: Array | None = field(default=None, repr=False)
    shape_s: float = 0.0


class Tracker:
    """Assigns observations to tracks by motion and by the shape of the landmarks.

    A track that is not seen waits for `max_gap_s`, at the place where it is expected, and goes on
    under its number when a face like its own turns up there. Costs are in units of face sizes.

    Args:
        max_gap_s: a face that is hidden for longer is a new one afterwards.
        sure_score: a face with this score and with landmarks that fit counts at once; one that
            has only one of the two must be seen thrice, and one without either never counts.
    """

    # The face may be found this far from where it was expected, growing while it is hidden.
    _REACH = 0.8
    _REACH_PER_S = 0.5
    _MAX_REACH = 1.5
    # Rigid shapes of one person, neutral and smiling, large and 90 px small, lie 0.012 to 0.044
    # apart, those of two people 0.020 to 0.062 (5th to 95th percentile of 34 people of the London
    # set): a hint while the face is in view, and after a gap a reason to doubt.
    _SHAPE_WEIGHT = 4.0
    _MAX_SHAPE_AFTER_GAP = 0.045
    _GAP_S = 0.3
    # A face that the last landmarks led to is the same one unless much speaks against it.
    _NOT_FOLLOWED = 0.5
    # Where a known face and one that is not sure yet turn out to be the same, the known one stays.
    _NOT_SURE = 1.0
    _MAX_COST = 3.0
    _SURE_HITS = 3
    _TENTATIVE_GAP_S = 0.3
    _SHAPE_TIME_S = 1.0
    _SHAPE_EVERY_S = 0.2

    def __init__(self, *, max_gap_s: float = 2.0, sure_score: float = 0.7) -> None:
        self.tracks: list[Track] = []
        self._max_gap_s = max_gap_s
        self._sure_score = sure_score
        self._next_key = 1
        self._next_id = 1

    def update(
        self, observations: Sequence[Observation], timestamp_s: float
    ) -> tuple[list[Track], list[Track]]:
        """Take in what was seen in a frame.

        Args:
            observations: the faces, none of them twice.
            timestamp_s: of the frame, larger than the one before.

        Returns:
            The track of each observation, in order, and the tracks that ended.
        """
        # A face that was away for too long is a new one, even at the very same place.
        over = [track for track in self.tracks if self._is_over(track, timestamp_s)]
        self.tracks = [track for track in self.tracks if not self._is_over(track, timestamp_s)]
        costs = [
            [self._cost(seen, track, timestamp_s) for track in self.tracks] for seen in observations
        ]
        pairs = dict(assign(costs, self._MAX_COST)) if observations and self.tracks else {}
        owners = []
        for row, seen in enumerate(observations):
            if row in pairs:
                track = self.tracks[pairs[row]]
                self._continue(track, seen, timestamp_s)
            else:
                track = self._begin(seen, timestamp_s)
            owners.append(track)
        known = {track.key for track in self.tracks}
        self.tracks += [track for track in owners if track.key not in known]
        return owners, [track for track in over if track.track_id is not None]

    def end_all(self) -> list[Track]:
        """End every track, at a scene cut or at the end of the stream."""
        ended = [track for track in self.tracks if track.track_id is not None]
        self.tracks = []
        return ended

    def restore(self, track_id: int, box: Box, timestamp_s: float) -> None:
        """Take up a track of an earlier run, as it was last seen."""
        track = self._begin(Observation(Detection(box, score=1.0)), timestamp_s)
        track.track_id = track_id
        self.tracks.append(track)
        self.reserve_ids(track_id)

    def reserve_ids(self, last_id: int) -> None:
        """Give new tracks larger numbers than this."""
        self._next_id = max(self._next_id, last_id + 1)

    def _cost(self, seen: Observation, track: Track, timestamp_s: float) -> float:
        distance = track.motion.distance(seen.detection.box, timestamp_s)
        reach = self._REACH + self._REACH_PER_S * (timestamp_s - track.last_s)
        if distance > min(reach, self._MAX_REACH):
            return math.inf
        if seen.followed == {track.key}:
            # Nobody else was led here, and the face is where it should be: its shape is known.
            return distance
        if len(seen.followed) > 1 and track.track_id is None:
            distance += self._NOT_SURE
        shape = face_shape(seen.landmarks)
        if shape is not None and track.shape is not None:
            apart = shape_distance(shape, track.shape)
            if timestamp_s - track.last_s > self._GAP_S and apart > self._MAX_SHAPE_AFTER_GAP:
                return math.inf
            distance += self._SHAPE_WEIGHT * apart
        return distance if track.key in seen.followed else distance + self._NOT_FOLLOWED

    def _begin(self, seen: Observation, timestamp_s: float) -> Track:
        track = Track(
            key=self._next_key,
            motion=Motion.start(seen.detection.box, timestamp_s),
            score=seen.detection.score,
            mean_score=seen.detection.score,
            first_s=timestamp_s,
            last_s=timestamp_s,
            landmarks=seen.landmarks,
            detector_s=timestamp_s,
            shape=face_shape(seen.landmarks),
            shape_s=timestamp_s,
        )
        self._next_key += 1
        self._confirm(track)
        return track

    def _continue(self, track: Track, seen: Observation, timestamp_s: float) -> None:
        track.motion = track.motion.seen(seen.detection.box, timestamp_s)
        track.score = seen.detection.score
        track.last_s = timestamp_s
        track.hits += 1
        track.mean_score += (track.score - track.mean_score) / track.hits
        track.landmarks = seen.landmarks
        if not seen.followed:
            track.detector_s = timestamp_s
        if timestamp_s - track.shape_s >= self._SHAPE_EVERY_S:
            self._learn_shape(track, seen.landmarks, timestamp_s)
        self._confirm(track)

    def _learn_shape(self, track: Track, landmarks: Landmarks | None, timestamp_s: float) -> None:
        shape = face_shape(landmarks)
        if shape is None:
            return
        weight = 1 - math.exp(-(timestamp_s - track.shape_s) / self._SHAPE_TIME_S)
        track.shape = shape if track.shape is None else blend_shapes(track.shape, shape, weight)
        track.shape_s = timestamp_s

    def _confirm(self, track: Track) -> None:
        """Give the track its number once it is sure to be a face.

        The detector and the landmarks must agree, or one of them must say so again and again:
        in clips of a street and of a title sequence, false faces had a presence below 0.06 and a
        mean score below 0.7.
        """
        presence = track.landmarks.presence if track.landmarks else None
        votes = (track.mean_score >= self._sure_score) + (presence is None or presence >= 0.5)
        sure = votes == 2 or (votes == 1 and track.hits >= self._SURE_HITS)
        if track.track_id is None and sure:
            track.track_id = self._next_id
            self._next_id += 1

    def _is_over(self, track: Track, timestamp_s: float) -> bool:
        gap = self._max_gap_s if track.track_id is not None else self._TENTATIVE_GAP_S
        return timestamp_s - track.last_s > gap


def overlaps(boxes_xyxy: np.ndarray, box: Box, min_share: float) -> np.ndarray:
    """Which boxes share at least this part of the smaller area with a box: ``(N,)`` bool."""
    array = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    low = np.maximum(array[:, :2], (box.x_min, box.y_min))
    high = np.minimum(array[:, 2:], (box.x_max, box.y_max))
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (array[:, 2:] - array[:, :2]).prod(axis=1)
    result: np.ndarray = shared >= min_share * np.minimum(areas, box.width * box.height)
    return result
