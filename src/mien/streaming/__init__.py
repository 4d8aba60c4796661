"""From a source of frames to results with memory: tracks, calm labels, events."""

from mien.streaming.face_stream import FaceStream, StreamSettings
from mien.streaming.locator import SearchSettings
from mien.streaming.runner import Step, run, stream

__all__ = ["FaceStream", "SearchSettings", "Step", "StreamSettings", "run", "stream"]
