"""mien: apparent facial expressions from photographs, videos and live cameras.

::

    import mien

    result = mien.analyze("photo.jpg")
    for face in result:
        print(face.box, face.expression.label, face.expression["happy"])

An expression is what a face apparently shows. It is no evidence of what a person feels, thinks or
intends.
"""

from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from mien.config import Settings
from mien.errors import MienError
from mien.labels import Expression
from mien.types import (
    Affect,
    Box,
    Detection,
    ExpressionScores,
    Face,
    FrameResult,
    Landmarks,
    Quality,
    Signals,
)

if TYPE_CHECKING:
    from mien.drawing import annotate, blur_faces
    from mien.media.images import read_image
    from mien.pipeline import FacePipeline
    from mien.streaming import FaceStream, StreamSettings, stream
    from mien.streaming.video import analyze_video
    from mien.tracking import Event

__version__ = "0.1.0"

# Imported at the first access, so that `import mien` is fast.
_LAZY = {
    "Event": "mien.tracking",
    "FacePipeline": "mien.pipeline",
    "FaceStream": "mien.streaming",
    "StreamSettings": "mien.streaming",
    "analyze_video": "mien.streaming.video",
    "annotate": "mien.drawing",
    "blur_faces": "mien.drawing",
    "read_image": "mien.media.images",
    "stream": "mien.streaming",
}

__all__ = [
    "Affect",
    "Box",
    "Detection",
    "Event",
    "Expression",
    "ExpressionScores",
    "Face",
    "FacePipeline",
    "FaceStream",
    "FrameResult",
    "Landmarks",
    "MienError",
    "Quality",
    "Settings",
    "Signals",
    "StreamSettings",
    "analyze",
    "analyze_video",
    "annotate",
    "blur_faces",
    "read_image",
    "stream",
]


def analyze(
    image: Any,
    *,
    boxes: Any = None,
    detector: str | None = None,
    landmarks: str | None = None,
    model: str | None = None,
    min_score: float | None = None,
    min_presence: float | None = None,
    tiles: Literal["auto", "off"] | None = None,
    max_faces: int | None = None,
    prior: str | None = None,
    max_megapixels: int | None = None,
    threads: int | None = None,
    provider: Literal["cpu", "cuda", "openvino", "coreml"] | None = None,
) -> FrameResult:
    """Find every face in a picture and its apparent expression.

    The environment is not read; ``mien.Settings.from_environment()`` does that.

    Args:
        image: path, data URL, bytes or open file of a picture, a Pillow image, or an RGB array;
            see :func:`read_image`.
        boxes: ``(N, 4)`` faces that are known already, in pixels; the detector does not run then.
        detector, landmarks, model, min_score, min_presence, tiles, max_faces, prior, \
max_megapixels, threads, provider: see :class:`Settings`, which also has the defaults.

    Returns:
        The faces from left to right; none where there is no face.

    Raises:
        ImageReadError: the picture cannot be read.
        SettingError: a setting has an invalid value.
    """
    from mien.imaging import LargeImage
    from mien.media.images import is_data_url, open_image

    settings = Settings().override(
        detector=detector,
        landmarks=landmarks,
        model=model,
        min_score=min_score,
        min_presence=min_presence,
        tiles=tiles,
        max_faces=max_faces,
        prior=prior,
        max_megapixels=max_megapixels,
        threads=threads,
        provider=provider,
    )
    pipeline = _shared_pipeline(settings)
    named = isinstance(image, str | PathLike) and not is_data_url(image)
    source = str(image) if named else None
    pixels, warnings = open_image(image, max_megapixels=settings.max_megapixels)
    if boxes is None:
        result = pipeline.analyze_opened(pixels, source=source)
    else:
        whole = pixels.whole() if isinstance(pixels, LargeImage) else pixels
        result = pipeline.analyze(whole, boxes=boxes, source=source)
    return replace(result, warnings=warnings) if warnings else result


@lru_cache(maxsize=4)
def _shared_pipeline(settings: Settings) -> "FacePipeline":
    from mien.pipeline import FacePipeline

    return FacePipeline(settings)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
