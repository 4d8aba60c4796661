"""The work on pictures in which everywhere is something like a face is bounded."""

import numpy as np
import pytest

from mien import FacePipeline
from mien.detection import FaceSearch
from mien.detection.base import drop_repeated
from mien.detection.views import tiles
from mien.testing import FakeClassifier, FakeLandmarks
from mien.types import Box, Detection, Image, Landmarks


class Everywhere:
    """Finds a face in each cell of a grid of any picture, a large one in the middle of a small one,
    and counts its pictures."""

    name = "everywhere"

    def __init__(self, cells: int, score: float) -> None:
        self.looks = 0
        self._cells, self._score = cells, score

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        self.looks += 1
        cells = self._cells if min(image.shape[:2]) >= 512 else 3
        side = min(image.shape[:2]) / cells
        return [
            Detection(
                Box(x * side, y * side, (x + 0.9) * side, (y + 0.9) * side),
                self._score,
                Landmarks(np.array([[x * side, y * side]] * 6, np.float32), "blazeface6"),
            )
            for y in range(cells)
            for x in range(cells)
            if self._score >= min_score
        ]


@pytest.mark.parametrize(("cells", "score"), [(20, 0.3), (20, 0.55), (20, 0.9), (14, 0.9)])
def test_candidates_of_a_still_are_bounded(cells: int, score: float) -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, (1200, 1600, 1), np.uint8), 3, axis=2)
    detector = Everywhere(cells, score)
    search = FaceSearch(detector, tiled=True)
    views = 1 + len(tiles(1600, 1200, np.inf))
    found, faint, limited = search.search_still(image)
    looks = detector.looks
    assert len(found) <= 1000
    assert limited == (cells == 20)  # there are 1,724 or 914
    assert len(faint) <= 4
    pipeline = FacePipeline(
        detector=search,
        landmarks=FakeLandmarks(),
        classifier=FakeClassifier(),
        min_presence=0,
        max_faces=1,
    )
    assert any("1,000 places" in text for text in pipeline.analyze(image).warnings) == limited
    # Each view, each distinct candidate once more, some faces turned, and each view
    # turned.
    assert looks <= views + 1000 + 100 + 3 * views + 1


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (146, 93, 72), (177, 153, 133)])
def test_nothing_is_looked_for_in_a_plain_color(color: tuple[int, int, int]) -> None:
    detector = Everywhere(24, 0.9)
    image = np.full((2000, 3000, 3), color, np.uint8)
    assert FaceSearch(detector, tiled=True).search_still(image).faces == []
    assert detector.looks == 0


def test_the_best_of_many_detections_are_kept() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(20_000)
    detections = [
        Detection(Box(20.0 * i, 0, 20.0 * i + 10, 10), float(score))
        for i, score in enumerate(scores)
    ]
    assert drop_repeated(detections, limit=50) == np.argsort(-scores)[:50].tolist()
