"""Images, videos and cameras in; files out."""

from os import PathLike
from pathlib import Path

from mien.errors import InputError
from mien.media.camera import CameraSource
from mien.media.sources import Selection, Source, SourceInfo
from mien.media.video import VideoSource
from mien.types.contract import check_kind


def open_source(
    source: "Source | str | int | PathLike[str]", selection: Selection | None = None
) -> Source:
    """Open a video, a camera or any other source of frames.

    Args:
        source: path of a video, number of a camera (int), address of a network camera
            (``rtsp://…``, ``http://…``), or a :class:`Source`, which is returned as it is.
        selection: which frames of a video to use.

    Raises:
        InputError: not a source.
        VideoReadError: the file does not exist or is not a readable video.
        MissingExtraError: PyAV is not installed.
    """
    if isinstance(source, int) or (isinstance(source, str) and "://" in source):
        return CameraSource(source)
    if isinstance(source, str | PathLike):
        return VideoSource(Path(source), selection)
    if not hasattr(source, "frames"):
        raise InputError(
            "expected the path of a video, the number or address of a camera, or a Source, got "
            f"{type(source).__name__}; mien.analyze takes single images"
        )
    check_kind(getattr(source, "info", None), SourceInfo, "the info of a source")
    return source
