"""The pipeline: with real models on photographs, and with fake stages where those suffice."""

import asyncio
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien import imaging
from mien.config import Settings
from mien.detection import FaceDetector, FaceSearch, build_detector
from mien.detection.base import Found
from mien.detection.verifier import FaceVerifier, Verdict
from mien.errors import InputError, MienError, SettingError
from mien.labels import Expression
from mien.landmarks import build_landmarks
from mien.media.images import read_image
from mien.pipeline import FacePipeline
from mien.samples import sample_paths
from mien.streaming import FaceStream
from mien.testing import FakeClassifier, FakeDetector, FakeLandmarks, FakePipeline, face_image
from mien.types import Box, Detection, FrameResult, Image, Landmarks

SAMPLES = {path.stem: path for path in sample_paths()}
PEOPLE = [name for name in SAMPLES if name.startswith("person")]


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(Settings())


@pytest.fixture(scope="module")
def fake() -> FacePipeline:
    return FakePipeline()


PAINTED_BOXES = [Box(10, 20, 90, 100), Box(120, 20, 220, 120), Box(240, 90, 310, 160)]
PAINTED_LABELS = [Expression.HAPPINESS, Expression.NEUTRAL, Expression.FEAR]


@pytest.fixture(scope="module")
def painted() -> Image:
    return face_image(zip(PAINTED_BOXES, PAINTED_LABELS, strict=True))


@pytest.fixture(scope="module")
def group() -> Image:
    return read_image(SAMPLES["group"])


def _labels(result: FrameResult) -> list[Expression]:
    return [face.expression.top for face in result if face.expression is not None]


@pytest.mark.parametrize("name", PEOPLE)
def test_recognizes_neutral_and_smiling_people(pipeline: FacePipeline, name: str) -> None:
    result = pipeline.analyze(read_image(SAMPLES[name]))
    wanted = Expression.HAPPINESS if name.endswith("smiling") else Expression.NEUTRAL
    assert _labels(result) == [wanted]
    assert result.faces[0].quality is not None
    assert result.faces[0].quality.reasons == ()


def test_returns_a_group_from_left_to_right(pipeline: FacePipeline, group: Image) -> None:
    # For the composition of group.jpg see src/mien/samples/ATTRIBUTION.md.
    result = pipeline.analyze(group, source="group.jpg")
    happy, neutral = Expression.HAPPINESS, Expression.NEUTRAL
    assert _labels(result) == [happy, neutral, happy, neutral]
    assert [int(face.box.center[0] // 320) for face in result] == [0, 1, 2, 3]
    assert result.source == "group.jpg"
    assert result.image_size_wh == (1280, 400)
    assert set(result.timings_ms) >= {"detect", "landmarks", "classify"}
    assert result.models["detector"] == "blazeface"


def test_finds_most_of_many_small_faces(pipeline: FacePipeline) -> None:
    """Faces of about 24 pixels; without a closer look at weak candidates 15 of 24."""
    people = [read_image(path) for path in sample_paths() if path.stem.startswith("person")]
    page = np.full((450, 900, 3), 245, np.uint8)
    for at in range(24):
        y, x = 30 + at // 8 * 150, 20 + at % 8 * 112
        page[y : y + 52, x : x + 52] = imaging.resize(people[at % 8], (52, 52))
    assert 19 <= len(pipeline.detect(page, still=True)) <= 24


def test_the_handle_of_a_cup_is_no_face(pipeline: FacePipeline) -> None:
    coffee = read_image(Path(__file__).parent / "data" / "coffee.jpg")
    assert len(pipeline.analyze(coffee)) == 0
    upside_down = np.ascontiguousarray(coffee[::-1, ::-1])
    assert pipeline.detect(upside_down, still=True)
    assert len(pipeline.analyze(upside_down)) == 0


def test_returns_no_faces_for_noise(pipeline: FacePipeline) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    assert len(pipeline.analyze(noise)) == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (900, 1, 3), (2, 3)])
def test_analyzes_unusual_sizes(fake: FacePipeline, shape: tuple[int, ...]) -> None:
    assert len(fake.analyze(np.full(shape, 128, np.uint8))) == 0


def test_known_boxes_replace_the_detector(fake: FacePipeline, painted: Image) -> None:
    given = fake.analyze(painted, boxes=PAINTED_BOXES[::-1])
    assert _labels(given) == PAINTED_LABELS[::-1]
    assert [face.score for face in given] == [1.0] * 3


def test_empty_boxes_give_no_faces(fake: FacePipeline, painted: Image) -> None:
    assert len(fake.analyze(painted, boxes=[])) == 0


@pytest.mark.parametrize(
    "boxes",
    [
        [1, 2, 3, 4],
        [[1, 2, 3]],
        [[5, 5, 5, 9]],
        [[0, 0, np.nan, 1]],
        "box",
        [[1, 2], [3]],
        [[9000, 0, 9009, 9]],
        [[-9, -9, -1, -1]],
        [[0, 0, 1e30, 1e30]],
    ],
)
def test_rejects_invalid_boxes(fake: FacePipeline, painted: Image, boxes: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        fake.analyze(painted, boxes=boxes)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 2), np.uint8), np.zeros(7, np.uint8), np.full((4, 4, 3), 7.0), "face"]
)
def test_rejects_invalid_images(fake: FacePipeline, image: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        fake.analyze(image)


def test_accepts_float_gray_and_strided_arrays(pipeline: FacePipeline, group: Image) -> None:
    expected = _labels(pipeline.analyze(group))
    wide = np.zeros((group.shape[0], group.shape[1], 6), np.uint8)
    wide[:, :, ::2] = group
    assert _labels(pipeline.analyze(group / np.float32(255))) == expected
    assert _labels(pipeline.analyze(wide[:, :, ::2])) == expected
    assert len(pipeline.analyze(group.mean(axis=2).astype(np.uint8))) == len(expected)


def test_max_faces_keeps_the_largest(painted: Image) -> None:
    result = FakePipeline(Settings(max_faces=1)).analyze(painted)
    assert [face.box for face in result] == [PAINTED_BOXES[1]]


class _Hesitant(FaceDetector):
    """A detector that is never sure."""

    name = "hesitant"

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def detect(self, image: Image, *, min_score: float = 0.5) -> list[Detection]:
        found = self._detector.detect(image, min_score=0.1)
        weak = [replace(detection, score=0.45 * detection.score) for detection in found]
        return [detection for detection in weak if detection.score >= min_score]


def test_the_only_face_is_found_with_a_low_score_if_nothing_else_denies_it() -> None:
    weak = FaceSearch(_Hesitant(build_detector("blazeface")), tiled=False)
    image = read_image(SAMPLES[PEOPLE[0]])
    (face,) = FacePipeline(detector=weak).analyze(image).faces
    assert face.score < 0.5
    assert not FacePipeline(detector=weak, min_score=0.6).analyze(image).faces
    noise = np.random.default_rng(3).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    assert not FacePipeline(detector=weak).analyze(noise).faces


class _ByPlace(FaceVerifier):
    """A verifier that denies what is left of the middle, and is this sure of the rest."""

    def __init__(self, sure: float) -> None:
        self.name, self._sure = "by place", sure

    def verify(
        self, image: Image, detections: Sequence[Detection], landmarks: Sequence[Landmarks]
    ) -> list[Verdict]:
        middle = image.shape[1] / 2
        return [Verdict(self._sure if d.box.center[0] >= middle else 0.0) for d in detections]


class _TwoLooks(FaceSearch):
    """Finds the first painted face, and in a second look the last one."""

    def search_still(self, image: Any, min_score: float = 0.5, *, judge: Any = None) -> Found:
        return Found([Detection(PAINTED_BOXES[0], 0.9)], [])

    def detect_close(self, image: Any, min_score: float = 0.5) -> list[Detection]:
        return [Detection(PAINTED_BOXES[2], 0.9)]


@pytest.mark.parametrize(("sure", "count"), [(0.2, 0), (0.5, 1)])
def test_a_second_look_must_be_surer_than_the_first(
    painted: Image, sure: float, count: int
) -> None:
    looks = _TwoLooks(FakeDetector(), tiled=False)
    pipeline = FakePipeline(detector=looks, landmarks=FakeLandmarks())
    pipeline.verifier = _ByPlace(sure)
    assert len(pipeline.analyze(painted)) == count
    pipeline.settings = pipeline.settings.override(min_presence=0)
    assert [face.box for face in pipeline.analyze(painted)] == PAINTED_BOXES[:1]


def test_detections_that_landmarks_deny_are_no_faces(painted: Image) -> None:
    denied = FakePipeline(landmarks=FakeLandmarks(presence=0.01))
    assert len(denied.analyze(painted)) == 0
    assert len(denied.analyze(painted, boxes=[PAINTED_BOXES[0].to_array()])) == 1
    asked = FakePipeline(Settings(min_presence=0), landmarks=FakeLandmarks(presence=0.01))
    assert [face.box for face in asked.analyze(painted)] == PAINTED_BOXES
    assert all(
        face.quality and "unclear" in face.quality.reasons for face in asked.analyze(painted)
    )


def test_max_faces_counts_faces_and_not_what_landmarks_deny(painted: Image) -> None:
    class DeniesTheLargest(FakeLandmarks):
        def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
            return [
                replace(points, presence=0.0) if detection.box == PAINTED_BOXES[1] else points
                for detection, points in zip(
                    detections, super().predict(image, detections), strict=True
                )
            ]

    result = FakePipeline(Settings(max_faces=1), landmarks=DeniesTheLargest()).analyze(painted)
    assert [face.box for face in result] == [PAINTED_BOXES[0]]


def test_detector_landmarks_deny_nothing(painted: Image) -> None:
    pipeline = FakePipeline(Settings(min_presence=1), landmarks=build_landmarks("detector"))
    assert len(pipeline.analyze(painted)) == len(PAINTED_BOXES)


def test_classifies_crops(pipeline: FacePipeline, group: Image) -> None:
    crops = []
    for detection, landmarks in zip(
        detections := pipeline.detect(group),
        pipeline.landmarks.predict(group, detections),
        strict=True,
    ):
        crops.append(pipeline.align(group, detection, landmarks).image)
    whole = pipeline.analyze(group)
    for scores, face in zip(pipeline.classify(crops), whole, strict=True):
        assert face.expression is not None
        assert scores.probabilities == pytest.approx(face.expression.probabilities, abs=1e-4)
    assert pipeline.classify([]) == []


def test_classifies_crops_of_any_image_type(pipeline: FacePipeline, group: Image) -> None:
    crop = group[110:330, 50:270]
    (expected, *others) = pipeline.classify(
        [crop, crop / np.float32(255), np.dstack([crop, np.full(crop.shape[:2], 255, np.uint8)])]
    )
    for scores in others:
        assert scores.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
    assert pipeline.classify([crop[:, :, 1]])[0].top == expected.top


@pytest.mark.parametrize(
    "crop", [np.zeros((0, 3), np.uint8), np.full((4, 4), 700), np.full((4, 4, 3), 7.0), "face"]
)
def test_rejects_invalid_crops(fake: FacePipeline, crop: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        fake.classify([crop])


def test_prior_is_in_the_result(group: Image) -> None:
    box = [330, 80, 630, 380]
    natural, uniform = (
        FacePipeline(
            Settings(prior=prior), detector=FakeDetector(), landmarks=FakeLandmarks()
        ).analyze(group, boxes=[box])
        for prior in ("natural", "uniform")
    )
    assert (natural.models["prior"], uniform.models["prior"]) == ("natural", "uniform")
    before, after = natural.faces[0].expression, uniform.faces[0].expression
    assert before is not None
    assert after is not None
    # Neutral is the most common in training, so it weighs less under equal shares.
    assert after["neutral"] < before["neutral"]


def test_is_thread_safe(pipeline: FacePipeline, group: Image) -> None:
    expected = pipeline.analyze(group).to_dict()["faces"]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(pipeline.analyze, [group] * 4))
    assert [result.to_dict()["faces"] for result in results] == [expected] * 4


def test_works_in_asyncio(fake: FacePipeline, painted: Image) -> None:
    async def analyze_both() -> list[FrameResult]:
        calls = [asyncio.to_thread(fake.analyze, painted) for _ in range(2)]
        return await asyncio.gather(*calls)

    assert [len(result) for result in asyncio.run(analyze_both())] == [3, 3]


def _count_faces(pipeline: FacePipeline, path: Path) -> int:
    return len(pipeline.analyze(read_image(path)))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_works_after_a_fork(pipeline: FacePipeline) -> None:
    pipeline.warm_up()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply_async(_count_faces, (pipeline, SAMPLES["group"])).get(timeout=600)
    assert found == 4


@pytest.mark.parametrize(
    "values", [{"model": "no-such"}, {"detector": "no-such"}, {"model": "blazeface"}]
)
def test_rejects_unknown_models_and_models_for_other_tasks(values: dict[str, Any]) -> None:
    with pytest.raises(MienError, match=r"no-such|blazeface"):
        FacePipeline(Settings(**values))


def test_error_for_an_unknown_model_lists_models_of_the_task() -> None:
    names = r"\(ensemble, classical, direct, opencv-fer, quick, scratch, transfer\)"
    with pytest.raises(MienError, match=names):
        FacePipeline(Settings(model="no-such"))


def test_refuses_what_is_no_stage() -> None:
    with pytest.raises(SettingError, match=r"a method detect.*got object"):
        FacePipeline(detector=object())  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"a method predict.*got int"):
        FacePipeline(landmarks=3)  # type: ignore[arg-type]


_POINTS = Landmarks(np.eye(5, 2, dtype=np.float32), "five")


@pytest.mark.parametrize(
    ("detections", "points", "expected"),
    [
        (None, [_POINTS], "of Detection, got NoneType"),
        ("no", [_POINTS], "of Detection, got str"),
        ([(1, 2, 3, 4)], [_POINTS], "of Detection, got one with tuple"),
        ([Detection(PAINTED_BOXES[0], 1.0)], None, "of Landmarks, got NoneType"),
        ([Detection(PAINTED_BOXES[0], 1.0)], [np.eye(5)], "of Landmarks, got one with ndarray"),
        ([Detection(PAINTED_BOXES[0], 1.0)], [_POINTS] * 2, "one for each of 1, got 2"),
        ([Detection(Box(1e6, 0, 2e6, 9), 1.0)], [_POINTS], "boxes that overlap the image"),
        (
            [Detection(PAINTED_BOXES[0], 1.0)],
            [Landmarks(np.eye(5, 2, dtype=np.float32), "mesh468")],
            "468 points of the scheme mesh468, got 5",
        ),
    ],
)
def test_names_what_a_stage_of_ones_own_returns_wrongly(
    painted: Image, detections: Any, points: Any, expected: str
) -> None:
    class Own:
        name, scheme = "own", "five"

        def detect(self, image: Image, *, min_score: float = 0.5) -> Any:
            return detections

        def predict(self, image: Image, detections: Sequence[Detection]) -> Any:
            return points

    pipeline = FacePipeline(detector=Own(), landmarks=Own(), classifier=FakeClassifier())
    with pytest.raises(InputError, match=expected):
        pipeline.analyze(painted)
    with pytest.raises(InputError, match=expected):
        FaceStream(pipeline).update(painted, 0.0)
