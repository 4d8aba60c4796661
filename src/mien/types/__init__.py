"""The results of mien, and the specification of a model: frozen, validated, numpy only.

Pixel coordinates are in the original image, origin at the top left corner, x to the right and y
down. Left and right are left and right in the image, not the person's own.
"""

from mien.types.document import FloatArray
from mien.types.face import (
    ACTION_UNITS,
    BLENDSHAPES,
    Affect,
    ExpressionState,
    Face,
    Gaze,
    Quality,
    Signals,
    TrackStatistics,
)
from mien.types.frame import (
    SCHEMA_VERSION,
    FrameResult,
    face_column_descriptions,
    face_columns,
    face_row,
    result_schema,
)
from mien.types.model import AlignmentTemplate, InputSpec, ModelSpec
from mien.types.stages import AlignedCrop, Box, Detection, ExpressionScores, Image, Landmarks

__all__ = [
    "ACTION_UNITS",
    "BLENDSHAPES",
    "SCHEMA_VERSION",
    "Affect",
    "AlignedCrop",
    "AlignmentTemplate",
    "Box",
    "Detection",
    "ExpressionScores",
    "ExpressionState",
    "Face",
    "FloatArray",
    "FrameResult",
    "Gaze",
    "Image",
    "InputSpec",
    "Landmarks",
    "ModelSpec",
    "Quality",
    "Signals",
    "TrackStatistics",
    "face_column_descriptions",
    "face_columns",
    "face_row",
    "result_schema",
]
