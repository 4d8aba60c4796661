"""Images, videos and cameras in; files out."""

from os import PathLike
from pathlib import Path

from mien.media.camera import CameraSource
from mien.media.sources import Selection, Source
from mien.media.video import VideoSource


def open_source(
    source: "Source | str | int | PathLike[str]", selection: Selection | None = None
) -> Source:
    """The source that someone means.

    Args:
        source: a source; the path of a video; the number of a camera, as a number; or the
            address of a network camera (``rtsp://…``, ``http://…``).
        selection: which frames of a video are wanted.

    Raises:
        VideoReadError: a file that is no readable video, or is not there.
        MissingExtraError: PyAV is not installed.
    """
    if isinstance(source, int) or (isinstance(source, str) and "://" in source):
        return CameraSource(source)
    if isinstance(source, str | PathLike):
        return VideoSource(Path(source), selection)
    return source
