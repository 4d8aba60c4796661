"""Where the faces of a frame are: followed by their landmarks, and searched for now and then.

A detector looks at the whole frame; a landmark network at one small square, and where the face was
in the last frame is where that square should be. So the detector runs only where a face may have
come or gone, and most frames cost their landmarks alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from mien import geometry
from mien.landmarks import LandmarkPredictor, Region, box_from_landmarks, roi_from_landmarks
from mien.tracking import Observation, Track
from mien.types import Box, Detection, Image, Landmarks


@runtime_checkable
class RegionPredictor(Protocol):
    """A landmark model that can look at a given square of the image."""

    def predict_region(self, image: Image, region: Region) -> Landmarks: ...


class FaceSearch(Protocol):
    """What a locator needs of a pipeline."""

    landmarks: LandmarkPredictor

    def detect(self, image: Image) -> list[Detection]: ...


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """When the detector runs.

    Attributes:
        detect_every_s: while every known face is in view.
        search_every_s: while no face is in view, or one is missing.
        min_presence: landmarks with a lower presence have lost their face.
        unconfirmed_s: a followed face that the detector misses for so long is let go, and one of
            doubtful presence after a third of that.
        max_faces: follow at most so many; 0 follows all.
    """

    detect_every_s: float = 0.3
    search_every_s: float = 0.1
    min_presence: float = 0.5
    unconfirmed_s: float = 3.0
    max_faces: int = 0


# Boxes that share this much are one face.
_SAME_FACE_IOU = 0.4
_SURE_PRESENCE = 0.9


class FaceLocator:
    """Finds the faces of one frame after another.

    Args:
        pipeline: its detector and landmark model are used.
        settings: when the detector runs.
    """

    def __init__(self, pipeline: FaceSearch, settings: SearchSettings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._last_detection_s = -math.inf
        self._last_frame_s = -math.inf

    def locate(
        self, image: Image, tracks: Sequence[Track], timestamp_s: float
    ) -> list[Observation]:
        """The faces in a frame, none of them twice.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            tracks: as they stood after the frame before.
            timestamp_s: of this frame.
        """
        in_view = [track for track in tracks if track.last_s >= self._last_frame_s]
        self._last_frame_s = timestamp_s
        followed = self._follow(image, in_view, timestamp_s)
        if not self._is_due(tracks, in_view, followed, timestamp_s):
            return followed
        self._last_detection_s = timestamp_s
        detections = self._pipeline.detect(image)
        kept, new = self._reconcile(followed, detections, tracks, timestamp_s)
        room = self._settings.max_faces - len(kept) if self._settings.max_faces else len(new)
        new = new[: max(0, room)]
        landmarks = self._pipeline.landmarks.predict(image, new) if new else []
        return kept + [Observation(d, p) for d, p in zip(new, landmarks, strict=True)]

    def _follow(
        self, image: Image, tracks: Sequence[Track], timestamp_s: float
    ) -> list[Observation]:
        predictor = self._pipeline.landmarks
        if not isinstance(predictor, RegionPredictor):
            return []
        found: list[Observation] = []
        for track in tracks:
            if track.landmarks is None or not self._present(track.landmarks):
                continue
            landmarks = predictor.predict_region(image, _next_region(track, timestamp_s))
            if not self._present(landmarks):
                continue
            box = _moved_box(track, landmarks)
            if box is not None:
                detection = Detection(box, track.score)
                found.append(Observation(detection, landmarks, frozenset({track.key})))
        return _without_twins(found)

    def _present(self, landmarks: Landmarks) -> bool:
        return (landmarks.presence or 0.0) >= self._settings.min_presence

    def _is_due(
        self,
        tracks: Sequence[Track],
        in_view: Sequence[Track],
        followed: Sequence[Observation],
        timestamp_s: float,
    ) -> bool:
        lost_now = len(followed) < len(in_view)
        missing = len(followed) < len(tracks) or not followed
        every_s = self._settings.search_every_s if missing else self._settings.detect_every_s
        # Half a millisecond of tolerance, so that a rounded timestamp does not cost a whole frame.
        return lost_now or timestamp_s - self._last_detection_s >= every_s - 5e-4

    def _reconcile(
        self,
        followed: list[Observation],
        detections: list[Detection],
        tracks: Sequence[Track],
        timestamp_s: float,
    ) -> tuple[list[Observation], list[Detection]]:
        """Followed faces, confirmed by detections or let go; and detections of other faces."""
        by_key = {track.key: track for track in tracks}
        boxes = [detection.box.to_array() for detection in detections]
        kept: list[Observation] = []
        taken: set[int] = set()
        for seen in followed:
            overlap = geometry.box_iou([seen.detection.box.to_array()], boxes)[0]
            best = int(overlap.argmax()) if len(overlap) else -1
            if best >= 0 and overlap[best] >= _SAME_FACE_IOU:
                taken |= set(np.flatnonzero(overlap >= _SAME_FACE_IOU).tolist())
                kept.append(_confirmed(seen, detections[best]))
                for key in seen.followed:
                    by_key[key].detector_s = timestamp_s
            elif self._may_stay(seen, [by_key[key] for key in seen.followed], timestamp_s):
                kept.append(seen)
        new = [d for number, d in enumerate(detections) if number not in taken]
        return kept, sorted(new, key=lambda d: -d.box.width * d.box.height)

    def _may_stay(self, seen: Observation, tracks: Sequence[Track], timestamp_s: float) -> bool:
        presence = seen.landmarks.presence if seen.landmarks else None
        sure = (presence or 0.0) >= _SURE_PRESENCE
        limit_s = self._settings.unconfirmed_s * (1.0 if sure else 1 / 3)
        return any(timestamp_s - track.detector_s < limit_s for track in tracks)


def _next_region(track: Track, timestamp_s: float) -> Region:
    assert track.landmarks is not None
    region = roi_from_landmarks(track.landmarks)
    x, y = track.motion.predict(timestamp_s)
    center = region.center[0] + x - track.motion.x, region.center[1] + y - track.motion.y
    return replace(region, center=center)


def _moved_box(track: Track, landmarks: Landmarks) -> Box | None:
    """The track's box, moved and resized as its landmarks did; None where they collapsed."""
    assert track.landmarks is not None
    before, after = box_from_landmarks(track.landmarks), box_from_landmarks(landmarks)
    scale = math.sqrt((after.width * after.height) / (before.width * before.height))
    if not 0.5 < scale < 2.0:
        return None
    motion = track.motion
    x = after.center[0] + scale * (motion.x - before.center[0])
    y = after.center[1] + scale * (motion.y - before.center[1])
    half_width, half_height = scale * motion.width / 2, scale * motion.height / 2
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def _without_twins(found: list[Observation]) -> list[Observation]:
    """One observation where several tracks were led to the same face."""
    kept: list[Observation] = []
    for seen in sorted(found, key=_presence, reverse=True):
        box = [seen.detection.box.to_array()]
        for number, other in enumerate(kept):
            if geometry.box_iou(box, [other.detection.box.to_array()])[0, 0] >= _SAME_FACE_IOU:
                kept[number] = replace(other, followed=other.followed | seen.followed)
                break
        else:
            kept.append(seen)
    return kept


def _presence(seen: Observation) -> float:
    return (seen.landmarks.presence if seen.landmarks else None) or 0.0


def _confirmed(seen: Observation, detection: Detection) -> Observation:
    """The followed box drawn halfway to the detector's, so that it neither drifts nor jumps."""
    middle = (seen.detection.box.to_array() + detection.box.to_array()) / 2
    box = Box(*(float(value) for value in middle))
    return replace(seen, detection=Detection(box, detection.score, detection.landmarks))
