"""Whether a frame of a stream starts another scene, by the whole picture and by its faces."""

import math

from mien.streaming.locator import FaceLocator
from mien.tracking import SceneCutDetector, Tracker
from mien.tracking.blocks import camera_motion
from mien.tracking.dissolves import DissolveDetector
from mien.tracking.motion import face_patch
from mien.tracking.neighbors import is_beside
from mien.tracking.scene import Grid
from mien.types import Image

# Of the width; two faces at one place may be taken for one that moved by less.
_MIN_MOTION = 4 / 128


class CutFinder:
    """Finds the scene cuts of one stream.

    Args:
        locator: of the stream; follows faces into a frame that may be another scene.
        tracker: of the stream.
    """

    def __init__(self, locator: FaceLocator, tracker: Tracker) -> None:
        self._locator, self._tracker = locator, tracker
        self._scenes, self._dissolves = SceneCutDetector(), DissolveDetector()
        self._has_dissolved = False

    def is_cut(self, image: Image, before: Image | None, grid: Grid, timestamp_s: float) -> bool:
        """Whether this frame starts another scene; moves the tracks where the camera moved far.

        Args:
            image: this frame.
            before: the frame before, of the same size.
            grid: of this frame, by :func:`mien.tracking.coarse`.
            timestamp_s: of this frame.
        """
        is_other = self._scenes.is_cut(grid, timestamp_s)
        if self._has_dissolved:
            self._dissolves.forget()
            return True
        if not is_other and not self._scenes.is_unsure:
            return False
        tracks = self._tracker.tracks
        # One face may be taken for the camera, but of several each moves by itself.
        people = [track.motion.box for track in tracks] if len(tracks) > 1 else []
        moved = None if before is None else camera_motion(before, image, people)
        if moved is not None and math.hypot(*moved) >= _MIN_MOTION * image.shape[1]:
            self._tracker.move(*moved)
            return False
        continues = self._locator.continues(image, before, tracks, timestamp_s)
        if is_other and moved is None:
            is_cut = not (self._scenes.is_partial if continues is None else continues)
        else:
            # Faces that cover each other look like others for a while.
            is_beside_one = any(is_beside(track, timestamp_s) for track in tracks)
            is_cut = continues is False and not is_beside_one
        if is_cut:
            self._dissolves.forget()
        return is_cut

    def note_faces(self, image: Image, grid: Grid, timestamp_s: float) -> None:
        """Look for a dissolve, once the faces of the frame have their tracks."""
        self._has_dissolved = False
        if not self._dissolves.is_due(timestamp_s):
            return
        in_view = [track for track in self._tracker.tracks if track.last_s >= timestamp_s]
        patches = {track.key: face_patch(image, track.landmarks) for track in in_view}
        self._has_dissolved = self._dissolves.is_cut(grid, patches, timestamp_s)
