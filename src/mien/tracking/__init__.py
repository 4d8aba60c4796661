"""Faces over time: tracks, smoothed labels, statistics and events."""

from mien.tracking.events import Event, SamplingInterval
from mien.tracking.scene import SceneCutDetector, coarse
from mien.tracking.smoothing import (
    BlendshapeSmoother,
    ExpressionSmoother,
    LabelSettings,
    LandmarkSmoother,
    NeutralBaseline,
    RestingMovements,
    quality_weight,
    resting_face,
)
from mien.tracking.statistics import StreamStatistics
from mien.tracking.track import Observation, Track
from mien.tracking.tracker import Tracker

__all__ = [
    "BlendshapeSmoother",
    "Event",
    "ExpressionSmoother",
    "LabelSettings",
    "LandmarkSmoother",
    "NeutralBaseline",
    "Observation",
    "RestingMovements",
    "SamplingInterval",
    "SceneCutDetector",
    "StreamStatistics",
    "Track",
    "Tracker",
    "coarse",
    "quality_weight",
    "resting_face",
]
