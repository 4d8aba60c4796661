"""From a source of frames to results with memory: tracks, smoothed labels, events."""

from mien.streaming.face_stream import FaceStream, StreamSettings
from mien.streaming.locator import SearchSettings
from mien.streaming.runner import Application, Sink, Step, run, stream

__all__ = [
    "Application",
    "FaceStream",
    "SearchSettings",
    "Sink",
    "Step",
    "StreamSettings",
    "run",
    "stream",
]
