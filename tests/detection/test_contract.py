"""The contract of all detectors, on real photographs."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mien import geometry, imaging
from mien.detection import FaceDetector, FaceSearch, build_detector
from mien.landmarks import schemes
from mien.media.images import read_image
from mien.samples import sample_paths
from mien.types import Detection, Image

DETECTORS: dict[str, Callable[[], FaceDetector]] = {
    "blazeface": lambda: build_detector("blazeface"),
    "blazeface-tiles": lambda: build_detector("blazeface", tiles="auto"),
    "blazeface-short": lambda: build_detector("blazeface-short"),
    "haar": lambda: build_detector("haar"),
}
PEOPLE = [path.stem for path in sample_paths() if path.stem.startswith("person")]


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    return DETECTORS[request.param]()


@cache
def _photograph(name: str, scale: float = 0.4) -> Image:
    (path,) = (path for path in sample_paths() if path.stem == name)
    image = read_image(path)
    return imaging.resize(image, (round(scale * image.shape[1]), round(scale * image.shape[0])))


def _boxes(detections: list[Detection]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([found.box.to_array() for found in detections]).reshape(-1, 4)


def _same(first: list[Detection], second: list[Detection]) -> bool:
    return len(first) == len(second) and bool(np.allclose(_boxes(first), _boxes(second), atol=0.01))


def test_satisfies_the_protocol_and_has_a_name(detector: FaceDetector) -> None:
    assert isinstance(detector, FaceDetector)
    assert detector.name


@pytest.mark.parametrize("name", PEOPLE)
def test_finds_one_face_and_its_eyes_in_a_portrait(detector: FaceDetector, name: str) -> None:
    face, *others = detector.detect(_photograph(name))
    # Haar cascades may detect the shadow of a neck as a face.
    assert len(others) <= (detector.name == "haar")
    height, width = _photograph(name).shape[:2]
    assert 0.5 <= face.score <= 1
    assert face.landmarks is not None
    left, right = schemes.eye_centers(face.landmarks)
    # The people of the London set are centered and upright.
    assert left[0] < width / 2 < right[0]
    assert 0.3 * height < left[1] < 0.6 * height
    assert abs(left[1] - right[1]) < 0.1 * (right[0] - left[0]) + 8
    assert face.box.x_min < left[0] < right[0] < face.box.x_max
    assert face.box.y_min < left[1] < face.box.y_max


def test_finds_every_face_of_a_group_once_best_first(detector: FaceDetector) -> None:
    # Large enough for tiles.
    found = detector.detect(_photograph("group", 0.65))
    assert len(found) == 4
    assert all(first.score >= second.score for first, second in pairwise(found))
    overlaps = geometry.box_iou(_boxes(found), _boxes(found)) - np.eye(4)
    assert overlaps.max() < 0.1


def test_returns_no_detections_without_a_face(detector: FaceDetector) -> None:
    flat = np.full((480, 640, 3), 128, np.uint8)
    waves = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (480, 10))
    assert detector.detect(flat) == []
    assert detector.detect(np.repeat(waves[:, :, None], 3, axis=2)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (7, 5), (33, 1000)])
def test_accepts_unusual_image_shapes(detector: FaceDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 200, np.uint8)) == []


def test_weak_detections_are_in_the_image(detector: FaceDetector) -> None:
    # Parts of faces, around which the search finds something in what it adds at the border.
    image = _photograph("person-a-smiling", 1.0)[245:305, 511:562]
    found = _boxes(detector.detect(image, min_score=0.02))
    assert (found[:, :2] < (51, 60)).all()
    assert (found[:, 2:] > 0).all()
    if isinstance(detector, FaceSearch):
        part = _photograph("person-b-neutral", 1.0)[475:484, 326:399]
        assert (_boxes(detector.search_still(part, 0.02).faces)[:, 3] > 0).all()


def test_min_score_only_filters(detector: FaceDetector) -> None:
    image = _photograph("group")
    some, most = detector.detect(image, min_score=0.8), detector.detect(image, min_score=0.3)
    assert all(face.score >= 0.8 for face in some)
    assert len(some) <= len(most)
    assert geometry.box_iou(_boxes(some), _boxes(most)).max(axis=1, initial=1).min(initial=1) > 0.5


def test_is_deterministic_and_does_not_modify_the_image(detector: FaceDetector) -> None:
    image = _photograph("person-a-smiling")
    before = image.copy()
    assert _same(detector.detect(image), detector.detect(image))
    assert (image == before).all()


def test_accepts_views_and_read_only_images(detector: FaceDetector) -> None:
    image = _photograph("person-b-neutral")
    wide = np.concatenate([image, image], axis=1)
    view = wide[:, : image.shape[1]]
    view.setflags(write=False)
    assert not view.flags.c_contiguous
    assert _same(detector.detect(view), detector.detect(image))


def test_mirrored_image_has_the_mirrored_face(detector: FaceDetector) -> None:
    image = _photograph("person-c-neutral")
    face, *_ = detector.detect(image)
    mirrored, *_ = detector.detect(np.ascontiguousarray(image[:, ::-1]))
    box = mirrored.box.to_array()[[2, 1, 0, 3]]
    box[[0, 2]] = image.shape[1] - box[[0, 2]]
    assert geometry.box_iou([box], [face.box.to_array()])[0, 0] > 0.75


def test_is_thread_safe(detector: FaceDetector) -> None:
    images = [_photograph(name) for name in PEOPLE[:2]]
    one_by_one = [detector.detect(image) for image in images]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(detector.detect, images))
    assert all(_same(a, b) for a, b in zip(one_by_one, together, strict=True))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_works_after_a_fork(detector: FaceDetector) -> None:
    image = _photograph("person-d-neutral")
    expected = detector.detect(image)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        sender.send(_boxes(detector.detect(image)).tolist())

    process = context.Process(target=child)
    process.start()
    assert receiver.poll(60)
    assert np.allclose(receiver.recv(), _boxes(expected), atol=0.01)
    process.join()
    assert process.exitcode == 0


def test_finds_the_faces_of_shared_photographs(detector: FaceDetector, shared_data: Path) -> None:
    folder = shared_data / "media"
    if not folder.is_dir():
        pytest.skip(f"needs photographs that do not ship: {folder}")
    empty = read_image(folder / "no-face.jpg")
    assert detector.detect(empty) == []
    if detector.name == "blazeface":
        assert len(detector.detect(read_image(folder / "five-people.jpg"))) == 5
