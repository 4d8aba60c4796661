"""Whether a stream is turned, as by a phone on its side or upside down that did not note it."""

from collections import Counter
from collections.abc import Sequence

from mien.detection import FaceDetector, FaceSearch
from mien.types import Detection, Image

# The first looks decide: one costs a run of the detector.
_EVERY_S, _MAX_LOOKS = 0.5, 8
_ENOUGH_UPRIGHT, _ENOUGH_TURNED = 2, 3
_TURNED = {
    1: ("90° clockwise", "transpose=2"),
    2: ("180°", "hflip,vflip"),
    3: ("90° counterclockwise", "transpose=1"),
}


class TurnCheck:
    """Looks a few times whether the faces of a stream are upright.

    Args:
        detector: of the pipeline; only that of :class:`mien.detection.FaceSearch` can tell.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._next_s: float | None = None
        self._looks = 0
        self._votes = Counter[int]()

    def warn(self, image: Image, faces: Sequence[Detection], timestamp_s: float) -> tuple[str, ...]:
        """A warning, once it is clear that faces are turned.

        Args:
            image: this frame.
            faces: found in it; without any, the whole frame is looked at.
            timestamp_s: of the frame.
        """
        is_early = self._next_s is not None and timestamp_s < self._next_s
        if is_early or self._looks >= _MAX_LOOKS or not isinstance(self._detector, FaceSearch):
            return ()
        self._looks += 1
        self._next_s = timestamp_s + _EVERY_S
        turn = self._detector.turn_of(image, max(faces, key=lambda f: f.box.area, default=None))
        if turn is None:
            return ()
        self._votes[turn] += 1
        if self._votes[0] >= _ENOUGH_UPRIGHT:
            self._looks = _MAX_LOOKS
        others = self._votes.total() - self._votes[turn]
        if not turn or self._votes[0] or others > 1 or self._votes[turn] < _ENOUGH_TURNED:
            return ()
        self._looks = _MAX_LOOKS
        how, filters = _TURNED[turn]
        return (
            f"expected upright faces, got faces turned by {how}: what is measured of them may "
            "be wrong. If the people do not lie, turn the video first, for example with "
            f"ffmpeg -i VIDEO -vf {filters} TURNED",
        )
