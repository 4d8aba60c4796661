"""The contract of applications: rules over what a stream gives."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from mien.config import Settings
from mien.errors import ModelError
from mien.pipeline import FacePipeline
from mien.streaming import FaceStream, StreamSettings
from mien.tracking import Event
from mien.types import ExpressionScores, Face, FrameResult, Image, ModelSpec


class Application(Protocol):
    """Watches one stream and tells what matters for one use.

    Attributes:
        name: as the command line has it.
        limits: what it does not do, for people.
        reads_expressions: whether it needs the expression model; where not, it is never loaded.
    """

    name: ClassVar[str]
    limits: ClassVar[str]
    reads_expressions: ClassVar[bool]

    def update(self, result: FrameResult, events: Sequence[Event]) -> list[Event]:
        """Take in one frame and what happened in it, and tell what follows from it."""
        ...

    def summary(self) -> dict[str, Any]:
        """What was seen so far, as JSON."""
        ...


class NoExpressions:
    """Stands in the place of the expression model where expressions must not be read."""

    name = "none"
    prior = "none"

    @property
    def spec(self) -> ModelSpec:
        raise ModelError("this pipeline reads no expressions: expected to be asked for none")

    def classify(self, crops: Sequence[Image]) -> list[ExpressionScores]:
        raise ModelError("this pipeline reads no expressions: expected to be asked for none")


def open_stream(application: Application, settings: Settings | None = None) -> FaceStream:
    """A stream that measures what an application needs, and nothing else."""
    if application.reads_expressions:
        return FaceStream(FacePipeline(settings))
    # Its spec can be read but not set, which is all that anyone does.
    pipeline = FacePipeline(settings, classifier=NoExpressions())  # type: ignore[arg-type]
    return FaceStream(pipeline, StreamSettings(expressions=False))


def largest_face(result: FrameResult) -> Face | None:
    """The face nearest to the camera, by its box's area."""
    return max(result.faces, key=lambda face: face.box.width * face.box.height, default=None)
