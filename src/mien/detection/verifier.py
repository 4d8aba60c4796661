"""Verifying detections: whether there is a face, and whether its mouth or its eyes are covered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien import imaging
from mien.landmarks import Region, roi_from_detection, roi_from_landmarks
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.runtime.spec import read_parameters
from mien.types import Detection, FloatArray, Image, Landmarks

# Landmarks of a lower presence may lie anywhere: the region is then that of the detection.
_TRUSTED_PRESENCE = 0.5
_MAX_EVIDENCE = 8.0
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
        size_wh = self._input.size_wh
        crops = [
            imaging.warp(image, region(*pair, self._scale).transform(size_wh[0]), size_wh)
            for pair in pairs
        ]
        (logits,) = self._session.run({self._input.name: imaging.to_input(crops, self._input)})
        known = np.array([evidence(*pair) for pair in pairs]) @ self._weights
        return [
            Verdict(
                1 / (1 + math.exp(-max(-80.0, min(80.0, float(face + more))))),
                tuple(part for part, logit in zip(PARTS, covered, strict=True) if logit > 0),
            )
            for (face, *covered), more in zip(logits, known, strict=True)
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


def _logit(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -_MAX_EVIDENCE), _MAX_EVIDENCE)
