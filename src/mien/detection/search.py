"""Searching an image in several passes, for faces too small or too large for one pass.

A still image is searched more thoroughly than a frame of a stream: in more tiles, beyond its
borders, and turned.
"""

import math
from collections.abc import Iterator, Sequence

from mien import geometry
from mien.detection.base import FaceDetector, Found, Judge, drop_repeated
from mien.detection.blazeface import BlazeFace
from mien.detection.looks import SAME_IOU, detect_again, detect_in, detect_in_copies
from mien.detection.views import (
    MAX_TILES,
    View,
    around,
    at_border,
    is_cut,
    is_flat,
    tiles,
    whole_of,
)
from mien.imaging import LargeImage
from mien.landmarks import schemes
from mien.types import Detection, Image

# A detection is accepted with this score, or if its size is within this share of the view. Others,
# down to a fraction of min_score, are verified by a second pass over a view of several times their
# size. Effect: in tiles of five annotated street frames 31 instead of 27 of 33 faces and 2 instead
# of 4 false positives (views of 3 and 4 times: 29 faces); in every sixth of 1,297 news photographs,
# where a face fills four fifths of the image, a face in 100 instead of 24 %; in nine group
# photographs 43 instead of 41 of 43 faces.
_ACCEPTED_SHARES = (0.125, 0.4)
_ACCEPTED_SCORE = 0.75
_VERIFY_SCALE = 5.0
_CANDIDATE_SCORE = 0.5
# Where nothing is found, the image is padded to a view of this many times its size.
_ZOOM_OUT = 2.5
# The close-up detector has more false positives, so it needs a higher score, if necessary in a
# second pass. It finds a face in 398 instead of 336 of 400 tight crops of FER+ valid pasted into
# scenes (385 without the second pass), and a false one in 1 of 90 photographs without a face (0
# without it, 6 with a score of 0.4).
_CLOSE_UP_SCORE = 0.6
_CLOSE_UP_SCALE = 2.0
_MIN_SIDE = 8
# In a still image, a weak candidate that crosses the image's border is verified in a view that
# extends beyond it: the detector misses faces that the border cuts. Of 204 faces with 35 % cut away
# at one side, beside a whole face, 33 have a score of 0.5, but 98 % one of 0.08; so do 14 % of the
# photographs without such a face. In the view all have 0.5.
_BORDER_SCORE = 0.12
_BORDER_SCALE = 3.0
# Where there is a judge, the first look at a face that is not small has a quarter of the pixels and
# of the cost. Of 190 faces in news photographs it confirms 160 with this score, and 185 with 0.5,
# but then an animal more in 692 pictures without people: there the judge must be sure, too. The
# larger look is for the rest that is likely a face.
_CLOSER_SCALE, _CLOSER_SCORE = 2.5, 0.65
# In a still image, a face with a lower score or a steeper eye line is searched again in a view
# around it, upright and turned by quarters side by side. Of 100 portraits turned by 135 to 225
# degrees one has a score of 0.78, and of 60 turned by 90, 180 or 270 all have the best score in the
# right copy: 0.8 in the median, at most 0.45 in nine tenths of the others. Of upright faces two
# fifths (news photographs) or none (portraits) have a score below 0.78; the judge knows nearly all
# of them to be upright, and the others cost one more run.
_UPRIGHT_SCORE = 0.78
_UPRIGHT_DEG = 40.0
_TURN_SCALE = 2.5
_TURN_GAIN = 0.1
_TURNED_SCORE = 0.7
# Beside upright faces, one that is turned is a weak candidate of 0.6 to 1.6 times their sizes.
_COMPANY_SHARES = (0.6, 1.6)
# So is one whose neighbors touch it, or a very small one: candidates down to a fraction of
# min_score are looked at again, closer. In ten grids of 24 to 160 portraits, and in five pages with
# 20 to 56 small ones, 615 of 872 faces are found; 527 with a fraction of 0.4 and 16 larger looks.
_COMPANY_SCALE, _COMPANY_SHARE, _MAX_COMPANY, _MAX_JUDGED = 2.5, 0.2, 32, 96
# A picture without a face is searched in one look at four copies with black around them, upright
# and turned. Of 60 news photographs turned by 0, 90, 180 and 270 degrees it finds 99 %.
_COPIES_SCALE = 1.3
_COPIES_SCORE = 0.6
# Bounds of the work on pictures in which everywhere is something like a face.
_MAX_CANDIDATES = 1000
_MAX_TURNED = 100
# Of a picture without faces, this many of the best candidates, down to a fraction of min_score, are
# looked at again by others.
_FAINT_SHARE, _MAX_FAINT = 0.4, 4


class FaceSearch:
    """Runs a detector with a small fixed input over several views of an image.

    The views are the whole image, the tiles of a large one, and one around each detection that is
    very small or large. Each view costs one run of the detector: one for most images of up to 768
    pixels, two or three for those without a face, and with tiles 16 for 1920 by 1080 pixels plus
    one for each small face; in a still image, one more for each weak candidate beside faces.

    Args:
        detector: one that works well for faces of a tenth to two fifths of the image.
        tiled: whether large images are searched in tiles.
        close_up: detector for close or tightly cropped faces; runs where the other finds nothing.
    """

    def __init__(
        self, detector: FaceDetector, *, tiled: bool, close_up: FaceDetector | None = None
    ) -> None:
        self.name = detector.name
        self._detector = detector
        self._tiled = tiled
        self._close_up = close_up

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`."""
        return self._search(image, min_score, still=False).faces

    def search_still(
        self, image: Image | LargeImage, min_score: float = 0.5, *, judge: Judge | None = None
    ) -> Found:
        """Search a still image more thoroughly than :meth:`detect` does.

        Large images are searched in as many tiles as faces of 24 pixels need, about 7 for each
        megapixel; candidates that the border cuts are verified beyond it; faces that are clearly
        upright neither by their detection nor by the judge are looked at once more, with copies
        turned by 90, 180 and 270 degrees, and where one is turned, the whole image is searched so.
        """
        if is_flat(image, whole_of(image)):
            return Found([], [])
        found, faint, limited = self._search(image, min_score, still=True, judge=judge)
        # In rows, as a large image is decoded.
        found.sort(key=lambda detection: detection.box.y_min)
        turns: set[int] = set()
        for i in _may_be_turned(found, judge)[:_MAX_TURNED]:
            turn, found[i] = self._turned(image, found[i], min_score)
            turns |= {turn} - {0}
        for face in _possible(_in_company(faint, found)[:1], judge) if found else faint[:2]:
            turn, upright = self._turned(image, face, max(min_score, _COPIES_SCORE))
            if turn:
                turns.add(turn)
                found.append(upright)
        for turn in sorted(turns):
            found += self._search_turned(image, turn, max(min_score, _TURNED_SCORE))
        kept = [found[i] for i in drop_repeated(found, limit=_MAX_CANDIDATES)]
        return Found(kept, faint, limited or len(kept) == _MAX_CANDIDATES)

    def turn_of(self, image: Image, face: Detection | None = None) -> int | None:
        """By how many quarters an image must be turned counterclockwise to bring its faces upright.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            face: the one around which to look; without it, the whole image is looked at.

        Returns:
            0 to 3; None where no face is clear.
        """
        seen = whole_of(image) if face is None else View.of(face.box)
        view = around(seen, _COPIES_SCALE if face is None else _TURN_SCALE)
        best = {0: 0.0}
        for turn, other in detect_in_copies(image, self._detector, view, _CANDIDATE_SCORE**2):
            best[turn] = max(best.get(turn, 0.0), other.score)
        turn = max(best, key=best.__getitem__)
        if best[turn] < _COPIES_SCORE:
            return None
        return turn if best[turn] >= best[0] + _TURN_GAIN else 0

    def _turned(
        self, image: Image | LargeImage, detection: Detection, min_score: float
    ) -> tuple[int, Detection]:
        """The number of quarters by which a face is turned, and its detection in that view."""
        box = detection.box.to_array()
        view = around(View.of(detection.box), _TURN_SCALE)
        best = {0: (0.0, detection)}
        for turn, other in detect_in_copies(image, self._detector, view, _CANDIDATE_SCORE**2):
            same = geometry.box_iou([box], [other.box.to_array()])[0, 0] > SAME_IOU
            if same and other.score > best.get(turn, (0.0, other))[0]:
                best[turn] = other.score, other if turn else detection
        turn = max(best, key=lambda turn: best[turn][0])
        is_sure = best[turn][0] >= max(min_score, best[0][0] + _TURN_GAIN)
        return (turn, best[turn][1]) if is_sure else (0, best[0][1])

    def _search_turned(
        self, image: Image | LargeImage, turn: int, min_score: float
    ) -> list[Detection]:
        height, width = image.shape[:2]
        views = [whole_of(image)]
        if self._tiled:
            views += tiles(width, height, math.inf)
        return [
            detection
            for view in views
            if not is_flat(image, view)
            for detection in detect_in(image, view, self._detector, min_score, turn=turn)
        ]

    def _search(
        self,
        image: Image | LargeImage,
        min_score: float,
        *,
        still: bool,
        judge: Judge | None = None,
    ) -> Found:
        """Faces, and in a still image the best of what is none."""
        if max(image.shape[:2]) < _MIN_SIDE:
            return Found([], [])
        candidates, view_sides = self._candidates(image, min_score, still=still)
        distinct = drop_repeated(candidates, sure_score=_ACCEPTED_SCORE, limit=_MAX_CANDIDATES)
        least = _CANDIDATE_SCORE * min_score
        limited = len(distinct) == _MAX_CANDIDATES and candidates[distinct[-1]].score >= least
        whole = whole_of(image)
        chosen = [(candidates[i], view_sides[i]) for i in distinct if candidates[i].score >= least]
        weak = [candidates[i] for i in distinct if candidates[i].score < least]
        weak = _possible([one for one in weak if is_cut(one.box, whole)], judge, likely=True)
        chosen += [(one, whole.side) for one in weak]
        found = []
        # In rows, as a large image is decoded.
        for one, side in sorted(chosen, key=lambda pair: pair[0].box.y_min):
            verified = self._verify(image, one, side, min_score, judge, still=still)
            if verified is not None and verified.score >= min_score:
                found.append(verified)
        found = [found[i] for i in drop_repeated(found)]
        if not found:
            find = self._find_in_copies if still else self.detect_close
            found = find(image, min_score)
        fainter = [candidates[i] for i in distinct if still]
        fainter = [one for one in fainter if not any(one is face for face in found)]
        faint = [one for one in fainter if one.score >= _FAINT_SHARE * min_score]
        if found:
            beside = _in_company(fainter, found)[:_MAX_JUDGED]
            for one in _possible(beside, judge, likely=True)[:_MAX_COMPANY]:
                again = detect_again(
                    image, self._detector, one.box, _COMPANY_SCALE, min_score, closer=True
                )
                found += [again] if again else []
            return Found([found[i] for i in drop_repeated(found)], faint[:_MAX_FAINT], limited)
        return Found(found, _possible(faint[:_MAX_FAINT], judge), limited)

    def _candidates(
        self, image: Image | LargeImage, min_score: float, *, still: bool
    ) -> tuple[list[Detection], list[int]]:
        """What looks a little like a face in any view, and the longer side of the view."""
        whole = whole_of(image)
        views = [whole]
        if self._tiled:
            views += tiles(whole.width, whole.height, math.inf if still else MAX_TILES)
        candidates: list[Detection] = []
        view_sides: list[int] = []
        for view in views:
            if still and view is not whole and is_flat(image, view):
                continue
            weak = {"weak_score": _COMPANY_SHARE * min_score} if still else {}
            if still and at_border(view, whole):
                weak["border_score"] = _BORDER_SCORE * min_score
            least = _CANDIDATE_SCORE * min_score
            found = detect_in(image, view, self._detector, least, weak=weak)
            for candidate in found:
                if candidate.score >= _COMPANY_SHARE * min_score or is_cut(candidate.box, whole):
                    candidates.append(candidate)
                    view_sides.append(view.side)
        return candidates, view_sides

    def _find_in_copies(self, image: Image | LargeImage, min_score: float) -> list[Detection]:
        """Faces that fill the image, and turned ones."""
        view = around(whole_of(image), _COPIES_SCALE)
        turned_score = max(min_score, _COPIES_SCORE)
        found = [
            detection
            for turn, detection in detect_in_copies(image, self._detector, view, min_score)
            if not turn or detection.score >= turned_score
        ]
        if not found and self._close_up is not None:
            found = list(_detect_close_up(image, self._close_up, max(min_score, _CLOSE_UP_SCORE)))
        return [found[i] for i in drop_repeated(found)]

    def detect_close(self, image: Image | LargeImage, min_score: float = 0.5) -> list[Detection]:
        """Faces that fill the image, which one pass over it does not find."""
        view = around(whole_of(image), _ZOOM_OUT)
        found = list(detect_in(image, view, self._detector, min_score))
        if not found and self._close_up is not None:
            found = list(_detect_close_up(image, self._close_up, max(min_score, _CLOSE_UP_SCORE)))
        return [found[i] for i in drop_repeated(found)]

    def _verify(
        self,
        image: Image | LargeImage,
        candidate: Detection,
        view_side: int,
        min_score: float,
        judge: Judge | None,
        *,
        still: bool,
    ) -> Detection | None:
        box = candidate.box
        share = max(box.width, box.height) / view_side
        low, high = _ACCEPTED_SHARES
        weak_at_border = still and candidate.score < min_score and is_cut(box, whole_of(image))
        if not weak_at_border and (candidate.score >= _ACCEPTED_SCORE or low <= share <= high):
            return candidate
        if judge and share >= low and isinstance(self._detector, BlazeFace):
            sure = max(min_score, _CLOSER_SCORE)
            seen = detect_again(
                image, self._detector, box, _CLOSER_SCALE, sure, closer=True, weak_score=min_score
            )
            if seen and (seen.score >= sure or judge.are_upright([seen])[0]):
                return seen
            if not seen and not judge.may_be_faces([candidate], likely=True)[0]:
                return None
        scale = _BORDER_SCALE if weak_at_border else _VERIFY_SCALE
        return detect_again(image, self._detector, box, scale, min_score)


def _in_company(faint: list[Detection], found: Sequence[Detection]) -> list[Detection]:
    """Those beside the one or more faces that were found, and about as large."""
    sides = [max(face.box.width, face.box.height) for face in found]
    low, high = _COMPANY_SHARES[0] * min(sides), _COMPANY_SHARES[1] * max(sides)
    beside = [one for one in faint if low <= max(one.box.width, one.box.height) <= high]
    others = [face.box.to_array() for face in found]
    return [one for one in beside if not geometry.box_iou([one.box.to_array()], others).any()]


def _possible(
    detections: list[Detection], judge: Judge | None, *, likely: bool = False
) -> list[Detection]:
    """Those in which a closer look may find a face, or is likely to."""
    if judge is None or not detections:
        return detections
    possible = judge.may_be_faces(detections, likely=likely)
    return [one for one, may_be in zip(detections, possible, strict=True) if may_be]


def _may_be_turned(found: Sequence[Detection], judge: Judge | None) -> list[int]:
    """Indices of the faces that are not clearly upright."""
    unclear, weak = [], []
    for i, face in enumerate(found):
        if face.landmarks and abs(schemes.eye_line_angle_deg(face.landmarks)) > _UPRIGHT_DEG:
            unclear.append(i)
        elif face.landmarks and face.score < _UPRIGHT_SCORE:
            weak.append(i)
    if judge and weak:
        sure = judge.are_upright([found[i] for i in weak])
        weak = [i for i, upright in zip(weak, sure, strict=True) if not upright]
    return sorted(unclear + weak)


def _detect_close_up(
    image: Image | LargeImage, detector: FaceDetector, min_score: float
) -> Iterator[Detection]:
    """Detections with the minimum score, in the first pass or in a second one."""
    for candidate in detect_in(image, whole_of(image), detector, _CANDIDATE_SCORE * min_score):
        verified: Detection | None = candidate
        if candidate.score < min_score:
            verified = detect_again(image, detector, candidate.box, _CLOSE_UP_SCALE, min_score)
        if verified is not None:
            yield verified
