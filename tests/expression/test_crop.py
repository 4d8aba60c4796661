"""Analysis, streams, evaluation, training and explanation see the same pixels of a face."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mien import imaging
from mien.evaluation.dataset import LabeledSet
from mien.evaluation.explain import explain
from mien.evaluation.predict import predict
from mien.expression.crop import face_crop
from mien.landmarks.schemes import to_five
from mien.streaming.face_stream import FaceStream
from mien.testing import FakeClassifier, FakePipeline, face_mesh
from mien.types import (
    AlignmentTemplate,
    Box,
    Detection,
    ExpressionScores,
    Image,
    InputSpec,
    Landmarks,
)

SIZE_WH = (32, 32)
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
WHOLE = Box(0, 0, 60, 60)
MESH = Landmarks(face_mesh(Box(12, 10, 50, 52), yaw_deg=12), "mesh468", 0.9)
MESH_TEMPLATE = AlignmentTemplate("mesh468", (33, 263), ((0.25, 0.4), (0.75, 0.4)))
FIVE_TEMPLATE = AlignmentTemplate("five", (0, 1, 3), ((0.3, 0.4), (0.7, 0.4), (0.35, 0.8)))


class RecordingClassifier(FakeClassifier):
    """Keeps the crops that it was asked about."""

    def __init__(self, template: AlignmentTemplate) -> None:
        super().__init__({"neutral": 1.0})
        gray = InputSpec("image", SIZE_WH, "gray", (0.0,), (255.0,))
        self.spec = dataclasses.replace(self.spec, input=gray, alignment=template)
        self.crops: list[Image] = []

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        self.crops += [imaging.to_gray(crop) for crop in crops]
        return super().classify(crops)


class FixedLandmarks:
    name = "fixed"

    def __init__(self, landmarks: Landmarks) -> None:
        self.scheme = landmarks.scheme
        self._landmarks = landmarks

    def predict(self, image: Image, detections: Sequence[Detection]) -> list[Landmarks]:
        return [self._landmarks] * len(detections)


def one_picture() -> LabeledSet:
    return LabeledSet(
        name="one",
        labels=FakeClassifier().spec.labels,
        label_index=np.array([0]),
        names=("picture",),
        images=[PICTURE],
        split=np.array(["train"]),
        face_crops=True,
    )


def crops_seen(landmarks: Landmarks, template: AlignmentTemplate) -> dict[str, Image]:
    """The crop that each part of mien makes of one picture whose box is the whole picture."""
    training = pytest.importorskip("mien.training.dataset", reason="needs torch")
    classifier = RecordingClassifier(template)
    pipeline = FakePipeline(
        boxes=[WHOLE], landmarks=FixedLandmarks(landmarks), classifier=classifier
    )
    rgb, photograph = imaging.as_rgb(PICTURE), dataclasses.replace(one_picture(), face_crops=False)
    seen = {}
    paths: dict[str, Callable[[], object]] = {
        "analysis": lambda: pipeline.analyze(rgb),
        "stream": lambda: FaceStream(pipeline).update(rgb, 0.0),
        "evaluation of crops": lambda: predict(one_picture(), pipeline),
        "evaluation of photographs": lambda: predict(photograph, pipeline),
    }
    for name, look in paths.items():
        classifier.crops.clear()
        look()
        # A stream drops new faces whose landmarks are not trusted.
        if classifier.crops or name != "stream":
            (seen[name],) = classifier.crops
    faces, _ = training._prepare_faces(one_picture(), classifier.spec, pipeline)
    seen["training"] = faces.aligned(0)
    _, (explanation,) = explain(rgb, pipeline, masks=2)
    seen["explanation"] = imaging.warp(PICTURE, explanation.transform, SIZE_WH)
    return seen


@pytest.mark.parametrize(
    ("landmarks", "template", "used"),
    [
        (MESH, MESH_TEMPLATE, MESH),
        (MESH, FIVE_TEMPLATE, to_five(MESH)),
        (to_five(MESH), FIVE_TEMPLATE, to_five(MESH)),
        (dataclasses.replace(MESH, presence=None), MESH_TEMPLATE, MESH),
    ],
    ids=["mesh", "mesh as five points", "five points", "no presence"],
)
def test_every_part_sees_the_same_pixels(
    landmarks: Landmarks, template: AlignmentTemplate, used: Landmarks
) -> None:
    transform = imaging.alignment_transform(used.points, template, SIZE_WH)
    expected = imaging.warp(PICTURE, transform, SIZE_WH)
    seen = crops_seen(landmarks, template)
    assert len(seen) == 6
    for crop in seen.values():
        np.testing.assert_array_equal(crop, expected)


@pytest.mark.parametrize("template", [MESH_TEMPLATE, FIVE_TEMPLATE])
def test_untrusted_landmarks_are_used_in_photographs_only(template: AlignmentTemplate) -> None:
    untrusted = dataclasses.replace(MESH, presence=0.49)
    points = MESH.points if template is MESH_TEMPLATE else to_five(MESH).points
    transform = imaging.alignment_transform(points, template, SIZE_WH)
    aligned = imaging.warp(PICTURE, transform, SIZE_WH)
    as_it_is = imaging.crop_box(PICTURE, WHOLE, SIZE_WH).image
    seen = crops_seen(untrusted, template)
    for name in ("evaluation of crops", "training"):
        np.testing.assert_array_equal(seen.pop(name), as_it_is)
    for crop in seen.values():
        np.testing.assert_array_equal(crop, aligned)


@pytest.mark.parametrize("landmarks", [None, Landmarks(np.empty((0, 2), np.float32), "none")])
def test_without_landmarks_the_crop_is_a_square_around_the_box(landmarks: Landmarks | None) -> None:
    spec, box = RecordingClassifier(MESH_TEMPLATE).spec, Box(10, 20, 40, 30)
    crop = face_crop(PICTURE, box, landmarks, spec)
    expected = imaging.crop_box(PICTURE, box, SIZE_WH)
    np.testing.assert_array_equal(crop.image, expected.image)
    np.testing.assert_array_equal(crop.transform, expected.transform)
