"""Locating the faces of a frame: followed by their landmarks, and detected now and then.

A detector searches the whole frame; a landmark network needs one small square, which the position
in the last frame predicts. So the detector runs only where a face may have come or gone, and most
frames cost their landmarks alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from mien import geometry
from mien.detection.views import tiles
from mien.landmarks import Region, box_from_landmarks, find_landmarks, roi_from_landmarks
from mien.pipeline import FacePipeline
from mien.tracking import Observation, Track
from mien.tracking.blocks import is_found
from mien.tracking.motion import face_patch, similarity
from mien.tracking.scene import Grid, MotionGate
from mien.types import Box, Detection, Image, Landmarks


@runtime_checkable
class _RegionPredictor(Protocol):
    """A landmark model that can analyze a given square of the image."""

    def predict_region(self, image: Image, region: Region) -> Landmarks: ...


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """When the detector runs.

    A large frame is searched in many tiles, and therefore less often, so that the search takes
    about the same share of the time at every frame size.

    Attributes:
        detect_every_s: between searches while every known face is in view.
        still_every_s: the same while nothing has changed outside the faces since the last search.
        search_every_s: while no face is in view, or one is missing.
        min_presence: landmarks with a lower presence have lost their face.
        unconfirmed_s: a followed face that searches miss for this long is dropped, and one of
            uncertain presence after a third of it.
        max_faces: maximum number of faces; 0 for no limit.
    """

    detect_every_s: float = 0.3
    still_every_s: float = 1.0
    search_every_s: float = 0.1
    min_presence: float = 0.5
    unconfirmed_s: float = 3.0
    max_faces: int = 0


# Minimum time between searches for each view (the whole, or a tile) that they analyze.
_PRESENT_S_PER_VIEW = 0.06
_MISSING_S_PER_VIEW = 0.02
# A missing face is searched in a square of this many times its size, where it is expected.
_SEARCH_SIZE = 4.0
_MAX_SEARCHES = 4
# Boxes that share this much are one face.
_SAME_FACE_IOU = 0.4
_SURE_PRESENCE = 0.9
# Patches of a face a tenth of a second apart have 0.88 and more, those of two drivers up to 0.81.
_SAME_PATCH = 0.85


class FaceLocator:
    """Finds the faces of one frame after another.

    Args:
        pipeline: its detector and landmark model are used.
        settings: when the detector runs.
    """

    def __init__(self, pipeline: FacePipeline, settings: SearchSettings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._gate = MotionGate()
        self._last_search_s = -math.inf
        self._last_local_search_s = -math.inf
        self._last_frame_s = -math.inf
        # Faces that were already followed into the frame of this time.
        self._ahead: tuple[float, list[Observation]] = (-math.inf, [])

    def locate(
        self, image: Image, tracks: Sequence[Track], timestamp_s: float, grid: Grid
    ) -> list[Observation]:
        """The faces in a frame, none of them twice.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            tracks: as they stood after the frame before.
            timestamp_s: of this frame.
            grid: of this frame, by :func:`mien.tracking.coarse`.
        """
        in_view = [track for track in tracks if track.last_s >= self._last_frame_s]
        self._last_frame_s = timestamp_s
        followed_s, followed = self._ahead
        if followed_s != timestamp_s or not in_view:
            followed = self._follow(image, in_view, timestamp_s)
        missing = _missing(tracks, followed)
        lost_now = any(
            track.landmarks is not None and self._present(track.landmarks)
            for track in _missing(in_view, followed)
        )
        views = self._count_views(image)
        if self._must_search(
            followed, missing, views, timestamp_s, lost_now=lost_now
        ) and not self._may_wait(followed, missing, timestamp_s, grid, image):
            self._last_search_s = timestamp_s
            self._gate.note_search(grid)
            detections = self._pipeline.detect(image)
            followed, new = self._reconcile(followed, detections, tracks, timestamp_s)
        elif missing and (
            lost_now
            or _is_due(timestamp_s, self._last_local_search_s, self._settings.search_every_s)
        ):
            self._last_local_search_s = timestamp_s
            new = self._search_missing(image, missing, followed, timestamp_s)
        else:
            return followed
        if self._settings.max_faces:
            new = new[: max(0, self._settings.max_faces - len(followed))]
        landmarks = find_landmarks(self._pipeline.landmarks, image, new)
        return followed + [Observation(d, p) for d, p in zip(new, landmarks, strict=True)]

    def continues(
        self, image: Image, before: Image | None, tracks: Sequence[Track], timestamp_s: float
    ) -> bool | None:
        """Whether a face of the frame before is where it is expected in this one.

        None where no face is there that can be compared.

        Args:
            image: this frame.
            before: the frame before.
            tracks: as they stood after the frame before.
            timestamp_s: of this frame.
        """
        in_view = [track for track in tracks if track.last_s >= self._last_frame_s]
        known = {track.key: track.landmarks for track in in_view}
        if before is None:
            return None
        followed = self._follow(image, in_view, timestamp_s)
        self._ahead = timestamp_s, followed
        alike = [
            similarity(face_patch(before, known[key]), face_patch(image, seen.landmarks))
            for seen in followed
            for key in seen.followed
        ]
        compared = [value for value in alike if value is not None]
        if any(value >= _SAME_PATCH for value in compared):
            return True
        if any(is_found(before, image, *_boxes(track, timestamp_s)) for track in in_view):
            return True
        return False if compared else None

    def _count_views(self, image: Image) -> int:
        """How many detector runs a search of the whole frame takes."""
        if self._pipeline.settings.tiles != "auto":
            return 1
        return 1 + len(tiles(image.shape[1], image.shape[0]))

    def _must_search(
        self,
        followed: Sequence[Observation],
        missing: Sequence[Track],
        views: int,
        timestamp_s: float,
        *,
        lost_now: bool,
    ) -> bool:
        settings = self._settings
        if views == 1 and lost_now:
            # Searching everything costs no more than searching where the face was.
            return True
        if not followed or (missing and views == 1):
            every_s = max(settings.search_every_s, _MISSING_S_PER_VIEW * (views - 1))
        else:
            every_s = max(settings.detect_every_s, _PRESENT_S_PER_VIEW * (views - 1))
        return _is_due(timestamp_s, self._last_search_s, every_s)

    def _may_wait(
        self,
        followed: Sequence[Observation],
        missing: Sequence[Track],
        timestamp_s: float,
        grid: Grid,
        image: Image,
    ) -> bool:
        """Whether a search that is due can wait, because no face can have come or gone."""
        if missing or not followed or any(_presence(seen) < _SURE_PRESENCE for seen in followed):
            return False
        if _is_due(timestamp_s, self._last_search_s, self._settings.still_every_s):
            return False
        boxes = [seen.detection.box for seen in followed]
        return self._gate.is_still(grid, boxes, (image.shape[1], image.shape[0]))

    def _search_missing(
        self,
        image: Image,
        missing: Sequence[Track],
        followed: Sequence[Observation],
        timestamp_s: float,
    ) -> list[Detection]:
        """Detect missing faces where they are expected, the longest seen first."""
        found: list[Detection] = []
        known = [seen.detection.box.to_array() for seen in followed]
        for track in sorted(missing, key=lambda track: -track.hits)[:_MAX_SEARCHES]:
            for detection in self._search_around(image, track, timestamp_s):
                box = detection.box.to_array()
                if not known or geometry.box_iou([box], known).max() < _SAME_FACE_IOU:
                    found.append(detection)
                    known.append(box)
        return found

    def _search_around(self, image: Image, track: Track, timestamp_s: float) -> list[Detection]:
        x, y = track.motion.predict(timestamp_s)
        reach = _SEARCH_SIZE * max(track.motion.width, track.motion.height) / 2
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        part = image[top : max(0, int(y + reach)), left : max(0, int(x + reach))]
        if min(part.shape[:2]) < 2:
            return []
        return [detection.moved(left, top) for detection in self._pipeline.detect(part)]

    def _follow(
        self, image: Image, tracks: Sequence[Track], timestamp_s: float
    ) -> list[Observation]:
        predictor = self._pipeline.landmarks
        if not isinstance(predictor, _RegionPredictor):
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

    def _reconcile(
        self,
        followed: list[Observation],
        detections: list[Detection],
        tracks: Sequence[Track],
        timestamp_s: float,
    ) -> tuple[list[Observation], list[Detection]]:
        """Followed faces, confirmed by detections or dropped; and detections of other faces."""
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
        return kept, sorted(new, key=lambda d: -d.box.area)

    def _may_stay(self, seen: Observation, tracks: Sequence[Track], timestamp_s: float) -> bool:
        presence = seen.landmarks.presence if seen.landmarks else None
        sure = (presence or 0.0) >= _SURE_PRESENCE
        limit_s = self._settings.unconfirmed_s * (1.0 if sure else 1 / 3)
        return any(timestamp_s - track.detector_s < limit_s for track in tracks)


def inside(
    observations: Sequence[Observation], region: tuple[float, float, float, float], image: Image
) -> list[Observation]:
    """The faces whose middle is in a region; see :class:`mien.StreamSettings`."""
    height, width = image.shape[:2]
    scale_x, scale_y = (width, height) if max(region) <= 1 else (1, 1)
    x_min, y_min, x_max, y_max = region
    kept = []
    for observation in observations:
        x, y = observation.detection.box.center
        if x_min <= x / scale_x <= x_max and y_min <= y / scale_y <= y_max:
            kept.append(observation)
    return kept


def warn_of_region(
    region: tuple[float, float, float, float] | None, image: Image
) -> tuple[str, ...]:
    """A warning if a region leaves out the whole first frame."""
    height, width = image.shape[:2]
    if region is None or max(region) <= 1 or (region[0] < width and region[1] < height):
        return ()
    text = ",".join(f"{value:g}" for value in region)
    return (
        f"expected a region (region, --roi) inside frames of {width}x{height} pixels, "
        f"got {text}: no face is in it",
    )


def _is_due(timestamp_s: float, last_s: float, every_s: float) -> bool:
    # Half a millisecond of tolerance, so that a rounded timestamp does not cost a whole frame.
    return timestamp_s - last_s >= every_s - 5e-4


def _boxes(track: Track, timestamp_s: float) -> tuple[Box, Box]:
    """The box of a face in the frame before, and where it is expected now."""
    box, (x, y) = track.motion.box, track.motion.predict(timestamp_s)
    return box, box.moved(x - track.motion.x, y - track.motion.y)


def _missing(tracks: Sequence[Track], followed: Sequence[Observation]) -> list[Track]:
    keys = frozenset().union(*(seen.followed for seen in followed))
    return [track for track in tracks if track.key not in keys]


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
    scale = math.sqrt(after.area / before.area)
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
        for number, other in enumerate(kept):
            if _overlap(seen, other) >= _SAME_FACE_IOU:
                kept[number] = replace(other, followed=other.followed | seen.followed)
                break
        else:
            kept.append(seen)
    return kept


def _overlap(a: Observation, b: Observation) -> float:
    """Overlap of two faces by their landmarks, which are nearer to the truth than moved boxes."""
    (ax, ay), (bx, by) = a.detection.box.center, b.detection.box.center
    reach = (a.detection.box.width + b.detection.box.width) / 2
    if abs(ax - bx) > reach or abs(ay - by) > reach:
        return 0.0
    assert a.landmarks is not None
    assert b.landmarks is not None
    boxes = [box_from_landmarks(points).to_array() for points in (a.landmarks, b.landmarks)]
    return float(geometry.box_iou(boxes[:1], boxes[1:])[0, 0])


def _presence(seen: Observation) -> float:
    return (seen.landmarks.presence if seen.landmarks else None) or 0.0


def _confirmed(seen: Observation, detection: Detection) -> Observation:
    """The followed box drawn halfway to the detector's, so that it neither drifts nor jumps."""
    middle = (seen.detection.box.to_array() + detection.box.to_array()) / 2
    box = Box(*(float(value) for value in middle))
    return replace(seen, detection=Detection(box, detection.score, detection.landmarks))
