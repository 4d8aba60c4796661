"""Opening streams for applications."""

from collections.abc import Sequence

from mien.config import Settings
from mien.errors import ModelError
from mien.pipeline import FacePipeline
from mien.streaming import Application, FaceStream, StreamSettings
from mien.types import ExpressionScores, Face, FrameResult, Image, ModelSpec

_NO_EXPRESSIONS = "this pipeline classifies no expressions: use an application that reads them"


class NoExpressions:
    """A classifier for streams without expressions, which refuses to classify."""

    name = "none"
    prior = "none"

    @property
    def spec(self) -> ModelSpec:
        raise ModelError(_NO_EXPRESSIONS)

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        raise ModelError(_NO_EXPRESSIONS)


def open_stream(application: Application, settings: Settings | None = None) -> FaceStream:
    """Open a stream that measures what an application needs, and nothing else.

    Without expressions it takes the landmarks that show lids, lips and irises best, unless the
    settings name others.
    """
    if application.reads_expressions:
        return FaceStream(FacePipeline(settings))
    settings = settings or Settings()
    if settings.landmarks == "default":
        settings = settings.with_blendshapes()
    # Its spec is a read-only property, unlike the protocol's.
    pipeline = FacePipeline(settings, classifier=NoExpressions())  # type: ignore[arg-type]
    return FaceStream(pipeline, StreamSettings(expressions=False))


def largest_face(result: FrameResult) -> Face | None:
    """The face with the largest box."""
    return max(result.faces, key=lambda face: face.box.width * face.box.height, default=None)
