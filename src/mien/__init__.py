"""mien: apparent facial expressions from photographs, videos and live cameras.

::

    import mien

    result = mien.analyze("photo.jpg")
    for face in result:
        print(face.box, face.expression.top, face.expression[face.expression.top])

We see a face, not a feeling: an expression is what a face apparently shows, and no evidence of
what a person feels, thinks or intends.
"""

from functools import lru_cache
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

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
    from mien.streaming import FaceStream, stream

__version__ = "0.1.0"

# Loaded when first asked for, so that `import mien` takes no time and opens no model.
_LAZY = {
    "FacePipeline": "mien.pipeline",
    "FaceStream": "mien.streaming",
    "annotate": "mien.drawing",
    "blur_faces": "mien.drawing",
    "read_image": "mien.media.images",
    "stream": "mien.streaming",
}

__all__ = [
    "Affect",
    "Box",
    "Detection",
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
    "analyze",
    "annotate",
    "blur_faces",
    "read_image",
    "stream",
]


def analyze(image: Any, *, boxes: Any = None, **settings: Any) -> FrameResult:
    """Find every face in a picture and its apparent expression.

    Args:
        image: path, bytes or open file of a picture, a Pillow image, or an RGB array; see
            :func:`read_image`.
        boxes: ``(N, 4)`` faces that are known already, in pixels; no detector runs then.
        **settings: any field of :class:`Settings`, for example ``detector="haar"``.

    Raises:
        ImageReadError: the picture cannot be read.
        SettingError: no such setting, or a value that it cannot have.
    """
    from mien.media.images import read_image

    pipeline = _shared_pipeline(Settings.from_environment(**settings))
    source = str(image) if isinstance(image, str | PathLike) else None
    rgb = read_image(image, max_megapixels=pipeline.settings.max_megapixels)
    return pipeline.analyze(rgb, boxes=boxes, source=source)


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
