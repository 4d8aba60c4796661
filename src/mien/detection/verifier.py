"""Verifying detections: whether there is a face, and whether its mouth or its eyes are covered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien import imaging
from mien.landmarks import (
    LandmarkPredictor,
    Region,
    find_landmarks,
    roi_from_detection,
    roi_from_landmarks,
)
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.runtime.spec import read_parameters
from mien.types import Detection, FloatArray, Image, Landmarks

# Landmarks of a lower presence may lie anywhere: the region is then that of the detection.
_TRUSTED_PRESENCE = 0.5
_MAX_EVIDENCE = 8.0
# A weak detection has a score of at most about 0.9 in a closer look. Of 229 at the border of news
# photographs, 83 of the 99 that such a look does not confirm are below this limit, and one that is
# confirmed, but no face.
_MAX_SCORE_EVIDENCE = 2.0
# Landmarks and verifier are sure that a face is upright: of 246 of 318 faces of news photographs
# with a score below 0.78 that are turned by at most 30 degrees (183 with a presence of 0.97), and
# of 1 of 340 that the detector wrongly takes for upright ones.
_UPRIGHT_MESH, _UPRIGHT_PRESENCE = 0.99999, 0.93
# Of 108 faces that a closer look found at the border of news photographs none had less than 0.7,
# and of 85 places without a face 53; of 816 portraits that a border cuts one had 0.69.
_LIKELY = 0.65
# A blurred face has no mouth to be seen: the least logit of a cover falls from the first number, up
# to a sharpness of the second, to 0 at the third. Of 1,805 clear faces of London and LFW as they
# are, or blurred, shaken, reduced, dark or in JPEG of low quality, 28 instead of 103 are marked; of
# 1,200 with a covered mouth 1,183 instead of 1,191 (docs/cards/verifier.md).
_BLURRED_LOGIT, _BLURRED_SHARPNESS, _CLEAR_SHARPNESS = 1.5, 0.02, 0.06
PARTS = ("mouth", "eyes")
"""The parts of a face that may be covered, in the order of the network's logits."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier sees at one detection.

    Attributes:
        presence: probability in [0, 1] that there is a face; None where it has not looked.
        covered: ``"mouth"``, ``"eyes"``: what something hides.
    """

    presence: float | None = None
    covered: tuple[str, ...] = ()


class FaceVerifier:
    """A second look at detections by a small network, with the score and the presence as evidence.

    A landmark model denies faces that are covered, small or seen from the side, and confirms some
    animals; the verifier was trained on both.

    Args:
        entry: a model whose spec has the parameters ``roi_scale``, the side of its input region
            relative to the face's box, and ``evidence_weights``, what is added to the first logit
            for each value of :func:`evidence`. Its output are the logits ``(N, 3)`` of a face, a
            covered mouth and covered eyes.
        threads: maximum number of threads per run.
        provider: execution provider.

    Raises:
        SpecError: a parameter is missing.
        ProviderError: the provider is not installed.
    """

    def __init__(self, entry: CatalogEntry, *, threads: int = 1, provider: str = "cpu") -> None:
        self._scale, self._weights = read_parameters(
            entry.spec, roi_scale=float, evidence_weights=lambda v: np.array(v, np.float32)
        )
        self.name = entry.spec.name
        self._input = entry.spec.input
        self._session = Session(entry.path, threads=threads, provider=provider)

    def verify(
        self, image: Image, detections: Sequence[Detection], landmarks: Sequence[Landmarks]
    ) -> list[Verdict]:
        """Look at each detection again.

        Args:
            image: ``(H, W, 3)`` RGB uint8.
            detections: what the detector found.
            landmarks: of each detection, with their presence.

        Returns:
            One for each detection, in order.
        """
        if not detections:
            return []
        pairs = list(zip(detections, landmarks, strict=True))
        crops = self._crops(image, [region(*pair, self._scale) for pair in pairs])
        known = np.array([evidence(*pair) for pair in pairs]) @ self._weights
        return [
            Verdict(_share(float(face + more)), _covered(covered, crop))
            for (face, *covered), more, crop in zip(self._logits(crops), known, crops, strict=True)
        ]

    def possible(self, image: Image, detections: Sequence[Detection]) -> list[float]:
        """The highest presence that each detection may have after closer looks."""
        if not detections:
            return []
        regions = [roi_from_detection(one, self._scale) for one in detections]
        logits = self._logits(self._crops(image, regions))
        most = float(self._weights @ np.array([_MAX_SCORE_EVIDENCE, _MAX_EVIDENCE], np.float32))
        return [_share(float(logit) + most) for logit in logits[:, 0]]

    def _crops(self, image: Image, regions: Sequence[Region]) -> list[Image]:
        size_wh = self._input.size_wh
        crops = (imaging.warp(image, one.transform(size_wh[0]), size_wh) for one in regions)
        return [imaging.to_gray(imaging.lit(crop)) for crop in crops]

    def _logits(self, crops: Sequence[Image]) -> FloatArray:
        (logits,) = self._session.run({self._input.name: imaging.to_input(crops, self._input)})
        return logits


Look = tuple[Detection, Landmarks, Verdict]
"""A detection, and what landmarks and verifier see there."""


class Looks:
    """What landmarks and verifier see at the detections of one image; each is looked at once.

    Args:
        image: ``(H, W, 3)`` RGB uint8.
        landmarks: the predictor.
        verifier: None if there is none for these landmarks; the verdicts are empty then.
        min_presence: what has less is no face.
    """

    def __init__(
        self,
        image: Image,
        landmarks: LandmarkPredictor,
        verifier: FaceVerifier | None,
        min_presence: float,
    ) -> None:
        self.image = image
        self._min_presence = min_presence
        self._landmarks = landmarks
        self._verifier = verifier
        self._known: dict[int, Look] = {}
        # With what they are of: an id is free for another when its detection is.
        self._possible: dict[int, tuple[Detection, float]] = {}

    def at(self, detections: Sequence[Detection]) -> list[Look]:
        """One look for each detection, in order."""
        new = [detection for detection in detections if id(detection) not in self._known]
        landmarks = find_landmarks(self._landmarks, self.image, new)
        verdicts = [Verdict()] * len(new)
        if self._verifier is not None:
            verdicts = self._verifier.verify(self.image, new, landmarks)
        looks = zip(new, landmarks, verdicts, strict=True)
        self._known |= {id(look[0]): look for look in looks}
        return [self._known[id(detection)] for detection in detections]

    def may_be_faces(self, detections: Sequence[Detection], *, likely: bool = False) -> list[bool]:
        """Whether a closer look at each may find a face, or is likely to."""
        if self._verifier is None:
            return [True] * len(detections)
        least = max(self._min_presence, _LIKELY) if likely else self._min_presence
        new = [detection for detection in detections if id(detection) not in self._possible]
        possible = self._verifier.possible(self.image, new)
        self._possible |= {
            id(one): (one, presence) for one, presence in zip(new, possible, strict=True)
        }
        return [self._possible[id(detection)][1] >= least for detection in detections]

    def are_upright(self, detections: Sequence[Detection]) -> list[bool]:
        """Whether landmarks and verifier are sure of each face, as its detection shows it."""
        if self._verifier is None:
            return [False] * len(detections)
        return [
            (points.presence or 0.0) >= _UPRIGHT_MESH
            and (verdict.presence or 0.0) >= _UPRIGHT_PRESENCE
            for _, points, verdict in self.at(detections)
        ]


def region(detection: Detection, landmarks: Landmarks, scale: float) -> Region:
    """The square that the verifier looks at, upright in the face.

    Args:
        detection: the box, and the eyes that give its tilt, where there are any.
        landmarks: used where their presence is high.
        scale: side of the square relative to the longer side of the face's box.
    """
    if (landmarks.presence or 0.0) >= _TRUSTED_PRESENCE:
        return roi_from_landmarks(landmarks, scale)
    return roi_from_detection(detection, scale)


def evidence(detection: Detection, landmarks: Landmarks) -> FloatArray:
    """Logits of the detector's score and of the landmarks' presence, ``(2,)``, within ±8."""
    return np.array([_logit(detection.score), _logit(landmarks.presence or 0.0)], np.float32)


def _covered(logits: Sequence[float], crop: Image) -> tuple[str, ...]:
    """The parts whose logits are high enough for a crop, ``(H, W)`` gray, of its sharpness."""
    if max(logits) <= 0:
        return ()
    between = (_CLEAR_SHARPNESS - imaging.sharpness(crop)) / (_CLEAR_SHARPNESS - _BLURRED_SHARPNESS)
    least = _BLURRED_LOGIT * min(max(between, 0.0), 1.0)
    return tuple(part for part, logit in zip(PARTS, logits, strict=True) if logit > least)


def _share(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -80.0), 80.0)))


def _logit(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -_MAX_EVIDENCE), _MAX_EVIDENCE)
