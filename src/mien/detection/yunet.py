"""YuNet, run by OpenCV's own wrapper, with a model file that the user supplies."""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import ModelFileError, ModelNotFoundError
from mien.types import Box, Detection, Image, Landmarks

if TYPE_CHECKING:
    from cv2 import FaceDetectorYN

_MERGE_IOU = 0.3
_MAX_CANDIDATES = 5000


class YuNet:
    """Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", 2023.

    Its detections carry landmarks of the scheme ``"five"``: left eye, right eye (as seen in the
    image), nose tip, left and right mouth corner. It runs on the CPU with OpenCV's DNN module, one
    image at a time.

    Args:
        path: ``face_detection_yunet_2023mar.onnx`` or a later file of OpenCV's model zoo.

    Raises:
        ModelNotFoundError: the file does not exist.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ModelNotFoundError(
                f"expected the path of a YuNet file after yunet:, got {str(path)!r}, which is no "
                "file: for example yunet:face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
            )
        self.name = "yunet"
        self.path = path
        self._lock = threading.Lock()
        self._network: FaceDetectorYN | None = None
        self._owner_pid = 0

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        """See :meth:`mien.detection.base.FaceDetector.detect`.

        Raises:
            ModelFileError: the file is not a YuNet model.
        """
        height, width = image.shape[:2]
        with self._lock:
            network = self._loaded()
            network.setInputSize((width, height))
            network.setScoreThreshold(min_score)
            try:
                _, rows = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            except cv2.error as error:
                raise ModelFileError(f"expected a YuNet model in {self.path}: {error}") from None
        if rows is None:
            return []
        found = [
            Detection(
                Box(float(x), float(y), float(x + wide), float(y + high)),
                min(float(score), 1.0),
                Landmarks(np.reshape(points, (5, 2)), "five"),
            )
            for x, y, wide, high, *points, score in np.asarray(rows)
            if wide > 0 and high > 0
        ]
        return sorted(found, key=lambda detection: -detection.score)

    def _loaded(self) -> "FaceDetectorYN":
        if self._network is None or self._owner_pid != os.getpid():
            try:
                self._network = cv2.FaceDetectorYN.create(
                    str(self.path), "", (32, 32), 0.5, _MERGE_IOU, _MAX_CANDIDATES
                )
            except cv2.error as error:
                raise ModelFileError(
                    f"expected a YuNet model in {self.path}, but OpenCV cannot read it: {error}"
                ) from None
            self._owner_pid = os.getpid()
        return self._network
