"""The results that mien gives, and the facts of a model: frozen, validated, numpy only.

Pixel coordinates are in the original image, origin at the top left corner, x to the right and y
down. Left and right are left and right in the image, not the person's own.
"""

from mien.types.face import Affect, ExpressionScores, Face, Quality, Signals
from mien.types.frame import SCHEMA_VERSION, FrameResult, flat_row
from mien.types.model import AlignmentTemplate, InputSpec, ModelSpec
from mien.types.regions import AlignedCrop, Box, Detection, FloatArray, Image, Landmarks
from mien.types.schema import result_schema
from mien.types.track import ExpressionState, TrackStatistics

__all__ = [
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
    "Image",
    "InputSpec",
    "Landmarks",
    "ModelSpec",
    "Quality",
    "Signals",
    "TrackStatistics",
    "flat_row",
    "result_schema",
]
