"""mien: apparent facial expressions from photographs, videos and live cameras.

::

    import mien

    result = mien.analyze("photo.jpg")
    for face in result:
        print(face.box, face.expression.label, face.expression["happy"])

An expression is what a face apparently shows. It is no evidence of what a person feels, thinks or
intends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Unpack, overload

from mien.config import SettingKeywords, Settings, shows_settings
from mien.errors import InputError, MienError, valid_text

if TYPE_CHECKING:
    from mien.adaptation import Adaptation, adapt
    from mien.drawing import annotate, blur_faces
    from mien.labels import Expression
    from mien.media.images import read_image
    from mien.pipeline import FacePipeline
    from mien.streaming import FaceStream, StreamSettings, stream
    from mien.streaming.video import analyze_video
    from mien.tracking import Event
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

__version__ = "0.1.0"

# Imported at the first access, so that `import mien` is fast, and Ctrl-C at the start of a command
# finds no import to interrupt.
_LAZY = {
    **dict.fromkeys(
        (
            *("Affect", "Box", "Detection", "ExpressionScores", "Face", "FrameResult"),
            *("Landmarks", "Quality", "Signals"),
        ),
        "mien.types",
    ),
    "Expression": "mien.labels",
    "Adaptation": "mien.adaptation",
    "adapt": "mien.adaptation",
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
    "Adaptation",
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
    "adapt",
    "analyze",
    "analyze_video",
    "annotate",
    "blur_faces",
    "read_image",
    "stream",
]


@overload
def analyze(
    image: IO[bytes], *, boxes: Any = None, neutral: Any = None, **settings: Unpack[SettingKeywords]
) -> FrameResult: ...
@overload
def analyze(
    image: list[Any] | tuple[Any, ...] | Iterator[Any],
    *,
    boxes: Any = None,
    progress: bool = True,
    neutral: Any = None,
    **settings: Unpack[SettingKeywords],
) -> list[FrameResult]: ...
@overload
def analyze(
    image: Any, *, boxes: Any = None, neutral: Any = None, **settings: Unpack[SettingKeywords]
) -> FrameResult: ...
@shows_settings
def analyze(
    image: Any,
    *,
    boxes: Any = None,
    progress: bool = True,
    neutral: Any = None,
    **settings: Unpack[SettingKeywords],
) -> FrameResult | list[FrameResult]:
    """Find every face in a picture, or in several, and its apparent expression.

    Args:
        image: path, data URL, bytes or open file of a picture, a Pillow image, or an RGB array;
            see :func:`read_image`. Or several: a list, a tuple, an iterator such as
            ``Path("album").glob("*.jpg")``, or an ``(N, H, W, 3)`` array.
        boxes: faces that are known already, `Box` or ``(N, 4)`` in pixels; the detector does not
            run then. Of several pictures: such boxes, or None, for each.
        neutral: photograph of the same person at rest, with one face: action units are measured
            from it. It takes the landmarks that blendshapes need.
        progress: whether several pictures show a progress bar, on stderr if it is a terminal.
        detector, landmarks, model, min_score, min_presence, tiles, max_faces, prior, \
max_megapixels, focal_length, threads, provider: see :class:`Settings`, which also has the defaults.
            The environment is not read; ``mien.Settings.from_environment()`` does that.

    Returns:
        The faces from left to right, maybe none; of several pictures a list of results in order.

    Raises:
        ImageReadError: a picture cannot be read.
        InputError: not as many boxes as pictures, or not one face in `neutral`.
        SettingError: a setting has an invalid value.

    Examples:
        >>> [face.expression.label.value for face in mien.analyze("photo.jpg")]
        ['happiness', 'neutral', 'happiness', 'neutral']
    """
    chosen = Settings().override(**settings)
    if neutral is None:
        pipeline = _shared_pipeline(chosen)
    else:
        from mien.tracking.smoothing import resting_face

        pipeline = copy(_shared_pipeline(chosen.with_blendshapes()))
        pipeline.neutral = resting_face(_analyze_one(pipeline, neutral, None))
    if not _is_several(image):
        return _analyze_one(pipeline, image, boxes)
    return _analyze_several(pipeline, image, boxes, progress)


def _analyze_several(
    pipeline: FacePipeline, image: Any, boxes: Any, progress: bool
) -> list[FrameResult]:
    images: Any = image if isinstance(image, Sequence) or hasattr(image, "shape") else [*image]
    if boxes is None:
        boxes = [None] * len(images)
    elif len(boxes) != len(images):
        raise InputError(
            f"expected boxes for each of {len(images)} pictures, got {len(boxes)}: pass one array "
            "of boxes, or None, for each"
        )
    pairs = zip(images, boxes, strict=True)
    return [
        _analyze_one(pipeline, one, known)
        for one, known in _with_progress(pairs, len(images), shown=progress)
    ]


def _is_several(image: Any) -> bool:
    """Whether these are several pictures. Files can be iterated, too."""
    if hasattr(image, "read"):
        return False
    return isinstance(image, list | tuple | Iterator) or len(getattr(image, "shape", ())) == 4


def _analyze_one(pipeline: FacePipeline, image: Any, boxes: Any) -> FrameResult:
    from mien.media.images import is_data_url, open_image

    named = isinstance(image, str | PathLike) and not is_data_url(image)
    source = valid_text(str(image)) if named else None
    opened = open_image(image, max_megapixels=pipeline.settings.max_megapixels)
    return pipeline.analyze_opened(opened, boxes=boxes, source=source)


def _with_progress(items: Iterable[Any], total: int, *, shown: bool) -> Iterable[Any]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    # Rich warns in notebooks without ipywidgets.
    in_notebook = console.is_jupyter and find_spec("ipywidgets") is not None
    visible = shown and total > 1 and (console.is_terminal or in_notebook)
    return track(
        items, "pictures", total=total, console=console, transient=True, disable=not visible
    )


@lru_cache(maxsize=4)
def _shared_pipeline(settings: Settings) -> FacePipeline:
    from mien.pipeline import FacePipeline

    return FacePipeline(settings)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'mien' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
