"""Faces over time: tracks, smoothed labels, statistics and events."""

from mien.tracking.baseline import NeutralBaseline, RestingMovements, resting_face
from mien.tracking.events import Event, EventKind
from mien.tracking.sampling import SamplingInterval
from mien.tracking.scene import SceneCutDetector, coarse
from mien.tracking.smoothing import (
    BlendshapeSmoother,
    ExpressionSmoother,
    LabelSettings,
    LandmarkSmoother,
    OneEuroFilter,
    quality_weight,
)
from mien.tracking.statistics import StreamStatistics
from mien.tracking.tracker import Observation, Track, Tracker

__all__ = [
    "BlendshapeSmoother",
    "Event",
    "EventKind",
    "ExpressionSmoother",
    "LabelSettings",
    "LandmarkSmoother",
    "NeutralBaseline",
    "Observation",
    "OneEuroFilter",
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
