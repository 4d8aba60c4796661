"""Assigning lasting track IDs to the faces of a stream."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.errors import import_extra
from mien.tracking.events import SamplingInterval
from mien.tracking.motion import (
    Motion,
    blend_shapes,
    face_patch,
    face_shape,
    shape_distance,
)
from mien.tracking.neighbors import is_beside, likeness, note_neighbors, untangle
from mien.tracking.track import Observation, Track
from mien.types import Box, Detection, FloatArray, Image, Landmarks


def _assign(costs: npt.ArrayLike, max_cost: float) -> list[tuple[int, int]]:
    """Pairs of row and column with the minimum total cost, each at most `max_cost`.

    Method: Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
    assignment problems", Computing 38, 1987, as in lapx. Infinite costs exclude a pair.
    """
    matrix = np.asarray(costs, np.float64)
    if matrix.size == 0:
        return []
    lapjv = import_extra("lap", "video", "follow faces through a stream").lapjv
    if matrix.size == 1:
        # One face and one track, the most common case.
        return [(0, 0)] if matrix[0, 0] <= max_cost else []
    finite = np.where(np.isfinite(matrix), matrix, 1e6)
    _, columns, _ = lapjv(finite, extend_cost=True, cost_limit=max_cost)
    return [
        (row, int(column))
        for row, column in enumerate(columns)
        if column >= 0 and matrix[row, column] <= max_cost
    ]


class Tracker:
    """Assigns observations to tracks by motion and by the shape of the landmarks.

    A lost track is kept for `max_gap_s`, and continues with the same ID if a similar face appears
    at its expected position. Costs are in units of face sizes.

    Args:
        max_gap_s: a face that is hidden for longer gets a new track ID; at low frame rates, one
            that is hidden for longer than a few sampling intervals.
        min_presence: a track gets its ID by landmarks of at least this presence, and keeps it.
        sampling: of the stream, kept up to date by the caller.
    """

    # Maximum distance from the expected position; it grows while the face is hidden.
    _REACH = 0.8
    _REACH_PER_S = 0.5
    _MAX_REACH = 1.5
    # Shape distances of one person, neutral and smiling, large and at 90 px, are 0.012 to 0.044,
    # those of two people 0.020 to 0.062 (5th to 95th percentile of 34 people of the London set): a
    # weak cue while the face is in view, and a criterion after a gap.
    _SHAPE_WEIGHT = 4.0
    _MAX_SHAPE_AFTER_GAP = 0.045
    _GAP_S = 0.3
    # A new face near a lost one waits this long for its track ID.
    _WAIT_S = 0.2
    # Patches of one face within two seconds have 0.7 to 0.95 in the median; see the locator.
    # One that turned back may be another who enters there: of 276 pairs of people in one light,
    # 1.8 % have 0.9, of neutral and smiling faces of one person 88 %.
    _SAME_PATCH, _SAME_PATCH_BACK = 0.85, 0.9
    # Penalty for a face that was not followed from the track's last landmarks.
    _NOT_FOLLOWED = 0.5
    # Where a confirmed and a tentative track lead to the same face, the confirmed one continues.
    _NOT_CONFIRMED = 1.0
    _MAX_COST = 3.0
    # A face with this mean score and present landmarks is confirmed at once; with one of the two
    # after three observations, and with neither never.
    _SURE_SCORE = 0.7
    _CONFIRM_HITS = 3
    _TENTATIVE_GAP_S = 0.3
    _SHAPE_TIME_S = 1.0
    _SHAPE_EVERY_S = 0.2

    def __init__(
        self,
        *,
        max_gap_s: float = 2.0,
        min_presence: float = 0.0,
        sampling: SamplingInterval | None = None,
    ) -> None:
        self.tracks: list[Track] = []
        self._max_gap_s = max_gap_s
        self._sampling = sampling or SamplingInterval()
        self._min_presence = min_presence
        self._image: Image | None = None
        self._next_key = 1
        self._next_id = 1

    def update(
        self, observations: Sequence[Observation], timestamp_s: float, image: Image | None = None
    ) -> tuple[list[Track], list[Track]]:
        """Assign the faces of a frame to tracks.

        Args:
            observations: the faces, without duplicates.
            timestamp_s: time of the frame, later than the previous one.
            image: the frame; without it, returning faces are recognized by shape alone.

        Returns:
            The track of each observation, in order, and the tracks that ended.
        """
        self._image = image
        # A face that was hidden for too long gets a new track, even at the same position.
        over = [track for track in self.tracks if self._is_over(track, timestamp_s)]
        self.tracks = [track for track in self.tracks if not self._is_over(track, timestamp_s)]
        costs = [
            [self._cost(seen, track, timestamp_s) for track in self.tracks] for seen in observations
        ]
        pairs = dict(_assign(costs, self._MAX_COST)) if observations and self.tracks else {}
        tentative = self._return_lost(pairs, costs, timestamp_s)
        owners = []
        for row, seen in enumerate(observations):
            if row in pairs:
                track = self.tracks[pairs[row]]
                self._continue(track, seen, timestamp_s)
            else:
                track = self._begin(seen, timestamp_s)
            owners.append(track)
        self.tracks = [track for track in self.tracks if track.key not in tentative]
        known = {track.key for track in self.tracks}
        self.tracks += [track for track in owners if track.key not in known]
        note_neighbors(owners, timestamp_s)
        if image is not None:
            pairs_seen = list(zip(owners, observations, strict=True))
            untangle(image, pairs_seen, self.tracks, timestamp_s)
        return owners, [track for track in over if track.track_id is not None]

    def end_all(self) -> list[Track]:
        """End every track, at a scene cut or at the end of the stream."""
        ended = [track for track in self.tracks if track.track_id is not None]
        self.tracks = []
        return ended

    def resize(self, scale_x: float, scale_y: float) -> None:
        """Move every track to frames of another size."""
        for track in self.tracks:
            track.motion = track.motion.resized(scale_x, scale_y)
            if track.landmarks is not None:
                scale = np.array([scale_x, scale_y, scale_x], np.float32)
                points = track.landmarks.points
                points = points * scale[: points.shape[1]]
                track.landmarks = replace(track.landmarks, points=points)

    def move(self, right: float, down: float) -> None:
        """Move every track with the camera, by pixels; how it moved before says nothing then."""
        for track in self.tracks:
            x, y = track.motion.x + right, track.motion.y + down
            track.motion = replace(track.motion, x=x, y=y, velocity_x=0.0, velocity_y=0.0)
            if track.landmarks is not None:
                points = track.landmarks.points.copy()
                points[:, :2] += np.array([right, down], np.float32)
                track.landmarks = replace(track.landmarks, points=points)

    def restore(self, track_id: int, box: Box, timestamp_s: float) -> None:
        """Restore a track of an earlier run at its last position."""
        track = self._begin(Observation(Detection(box, score=1.0)), timestamp_s)
        track.track_id = track_id
        self.tracks.append(track)
        self.reserve_ids(track_id)

    @property
    def last_id(self) -> int:
        """The highest number that a track has had; 0 before the first."""
        return self._next_id - 1

    def reserve_ids(self, last_id: int) -> None:
        """Let new tracks get IDs above this one."""
        self._next_id = max(self._next_id, last_id + 1)

    def _return_lost(
        self, pairs: dict[int, int], costs: Sequence[Sequence[float]], timestamp_s: float
    ) -> set[int]:
        """Let lost tracks continue in the faces of tentative ones; returns the keys of the latter.

        A face that comes out from behind something is at first half hidden, and then like none.
        """
        lost = [
            column
            for column, track in enumerate(self.tracks)
            if self._is_lost(track, timestamp_s) and column not in pairs.values()
        ]
        replaced: set[int] = set()
        for row, column in list(pairs.items()):
            best = min(lost, key=lambda other: costs[row][other], default=None)
            if self.tracks[column].track_id is not None or best is None:
                continue
            if costs[row][best] <= self._MAX_COST:
                replaced.add(self.tracks[column].key)
                pairs[row] = best
                lost.remove(best)
        return replaced

    def _is_lost(self, track: Track, timestamp_s: float) -> bool:
        gap_s = self._sampling.longest_step_s(self._GAP_S)
        return track.track_id is not None and timestamp_s - track.last_s > gap_s

    def _reach(self, unseen_s: float) -> float:
        return min(self._REACH + self._REACH_PER_S * unseen_s, self._MAX_REACH)

    def _may_be_lost_one(self, track: Track) -> bool:
        """Whether a young track may yet turn out to be a lost one that comes back."""
        hidden_s = track.beside_s if track.beside is not None else track.first_s
        if track.last_s - max(track.first_s, hidden_s) >= self._WAIT_S:
            return False
        box, now = track.motion.box, track.last_s
        return any(
            self._is_lost(other, now)
            and min(
                other.motion.distance(box, now),
                other.motion.distance(box, other.last_s),
            )
            <= self._reach(now - other.last_s)
            for other in self.tracks
        )

    def _cost(self, seen: Observation, track: Track, timestamp_s: float) -> float:
        unseen_s = timestamp_s - track.last_s
        is_gap = unseen_s > self._sampling.longest_step_s(self._GAP_S)
        distance = track.motion.distance(seen.detection.box, timestamp_s)
        reach = self._reach(unseen_s)
        look = likeness(self._image, seen, track) if is_gap else None
        if look is not None and look >= self._SAME_PATCH:
            # The face that is hidden may also have kept its velocity, or have turned back.
            kept = track.motion.distance(seen.detection.box, timestamp_s, keeps_velocity=True)
            distance = min(distance, kept)
            if look >= self._SAME_PATCH_BACK:
                distance = min(distance, track.motion.distance(seen.detection.box, track.last_s))
            return distance + self._NOT_FOLLOWED if distance <= reach else math.inf
        if distance > reach:
            return math.inf
        if seen.followed == {track.key}:
            # Only this track led here, and the position fits: no need to compare shapes.
            return distance
        if len(seen.followed) > 1:
            # One face is before the other, or two tracks have one face.
            look = likeness(self._image, seen, track)
            unlike = 0.0 if look is None else 1 - max(0.0, look)
            distance += self._NOT_CONFIRMED if track.track_id is None else unlike
        shape = face_shape(seen.landmarks)
        if shape is not None and track.shape is not None:
            apart = shape_distance(shape, track.shape)
            if is_gap and apart > self._MAX_SHAPE_AFTER_GAP:
                return math.inf
            distance += self._SHAPE_WEIGHT * apart
        return distance if track.key in seen.followed else distance + self._NOT_FOLLOWED

    def _patch(self, seen: Observation) -> FloatArray | None:
        if self._image is None or seen.landmarks is None:
            return None
        # A face that is half hidden already must not replace the whole one.
        sure = (seen.landmarks.presence or 0.0) >= 0.9
        return face_patch(self._image, seen.landmarks) if sure else None

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
            patch=self._patch(seen),
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
            patch = None if is_beside(track, timestamp_s) else self._patch(seen)
            track.patch = track.patch if patch is None else patch
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
        """Assign the track ID once the track is likely to be a face.

        The detector and the landmarks must agree, or one of them must confirm it repeatedly: in
        clips of a street and of a title sequence, false positives had a presence below 0.06 and a
        mean score below 0.7.
        """
        presence = track.landmarks.presence if track.landmarks else None
        if presence is not None and presence < self._min_presence:
            return
        votes = (track.mean_score >= self._SURE_SCORE) + (presence is None or presence >= 0.5)
        sure = votes == 2 or (votes == 1 and track.hits >= self._CONFIRM_HITS)
        if track.track_id is None and sure and not self._may_be_lost_one(track):
            track.track_id = self._next_id
            self._next_id += 1

    def _is_over(self, track: Track, timestamp_s: float) -> bool:
        gap = self._max_gap_s if track.track_id is not None else self._TENTATIVE_GAP_S
        return timestamp_s - track.last_s > self._sampling.longest_step_s(gap)
