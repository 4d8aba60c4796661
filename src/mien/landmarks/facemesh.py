"""FaceMesh: 468 landmarks per face."""

import math
from collections.abc import Sequence

import numpy as np

from mien import geometry, imaging
from mien.landmarks.regions import Region, roi_from_detection, roi_from_landmarks
from mien.runtime.catalog import CatalogEntry
from mien.runtime.session import Session
from mien.runtime.spec import read_parameters
from mien.types import Detection, Image, Landmarks

# Distance between the regions from the landmarks and from the box above which a second pass runs.
# On 43 annotated faces (benchmarks/detection.py), a second pass for all of them lowers the
# normalized mean error without the jaw from 0.0508 to 0.0478; with this rule it is 0.0490 with 16
# second passes. For boxes shifted by a tenth it falls from 0.068 to 0.054.
_SECOND_PASS_DISTANCE = 0.08


class FaceMesh:
    """Kartynnik et al., "Real-time facial surface geometry from monocular video on mobile GPUs",
    2019.

    Args:
        entry: a model whose spec has the parameters ``scheme``, the landmark scheme, and
            ``roi_scale``, the side of its input region relative to the longer side of the face's
            box. Its outputs are the points ``(1, K, 3)`` in input pixels and the logit of the face
            presence.
        presence: another one, whose presence is taken for what a detector found. Of such finds in
            pictures without people, face-landmarker confirms 37 %, and facemesh 9 %.
        threads: maximum number of threads per run.
        provider: execution provider.

    Raises:
        SpecError: a parameter is missing.
        ProviderError: the provider is not installed.
    """

    def __init__(
        self,
        entry: CatalogEntry,
        *,
        presence: "FaceMesh | None" = None,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        self._presence = presence
        self.scheme, self._roi_scale = read_parameters(entry.spec, scheme=str, roi_scale=float)
        self.name = entry.spec.name
        self._input = entry.spec.input
        self._session = Session(entry.path, threads=threads, provider=provider)

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        """See :meth:`mien.landmarks.base.LandmarkPredictor.predict`."""
        found = [self._predict_detection(image, detection) for detection in detections]
        if self._presence is None:
            return found
        judged = self._presence.predict(image, detections)
        return [
            Landmarks(points.points, points.scheme, other.presence)
            for points, other in zip(found, judged, strict=True)
        ]

    def _predict_detection(self, image: Image, detection: Detection) -> Landmarks:
        region = roi_from_detection(detection, self._roi_scale)
        landmarks = self.predict_region(image, region)
        better = roi_from_landmarks(landmarks, self._roi_scale)
        if better.distance(region) <= _SECOND_PASS_DISTANCE:
            return landmarks
        return self.predict_region(image, better)

    def predict_region(self, image: Image, region: Region) -> Landmarks:
        """Landmarks of the face in a square region, in pixels of the image."""
        transform = region.transform(self._input.size_wh[0])
        crop = imaging.warp(image, transform, self._input.size_wh)
        batch = imaging.to_input([crop], self._input)
        points, logit = self._session.run({self._input.name: batch})[:2]
        in_image = geometry.apply_transform(geometry.invert(transform), points.reshape(-1, 3))
        presence = 1 / (1 + math.exp(-max(-80.0, min(80.0, logit.item()))))
        return Landmarks(in_image.astype(np.float32), self.scheme, presence)
