"""The documents of the API, as the OpenAPI description shows them.

Those of results are made from the JSON Schema, which is generated from :mod:`mien.types`.
"""

from functools import cache
from typing import Annotated, Any, Literal, Union

from flask_openapi3.models.file import FileStorage
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    create_model,
)

from mien.types import result_schema

ID = r"^[A-Za-z0-9_-]{22}$"


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorBody(Document):
    code: str = Field(description="A stable identifier for programs.")
    message: str = Field(description="What was expected, what was received, and how to fix it.")
    status: int
    request_id: str
    details: list[dict[str, Any]]


class ErrorDocument(Document):
    """The format of every error."""

    error: ErrorBody


_RESULT_SCHEMAS: dict[str, Any] = result_schema()["$defs"]


@cache
def _result_model(name: str) -> Any:
    """The model of a part of the result, made from its JSON Schema."""
    schema = _RESULT_SCHEMAS[name]
    fields: dict[str, Any] = {}
    for key, part in schema["properties"].items():
        required = key in schema["required"]
        info = Field(
            ... if required else None,
            description=part.get("description"),
            ge=part.get("minimum"),
            le=part.get("maximum"),
        )
        fields[key] = (_python_type(part), info)
    return create_model(
        f"{name.capitalize()}Document", __base__=Document, __doc__=schema["description"], **fields
    )


def _python_type(schema: dict[str, Any]) -> Any:  # noqa: PLR0911 - one return per kind
    kinds = schema.get("type", ())
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        target = _RESULT_SCHEMAS[name]
        return _result_model(name) if "properties" in target else _python_type(target)
    # Union, because `|` does not take a tuple.
    if "anyOf" in schema:
        return Union[tuple(_python_type(part) for part in schema["anyOf"])]  # noqa: UP007
    if "const" in schema or "enum" in schema:
        return Literal[tuple(schema.get("enum", [schema.get("const")]))]
    if isinstance(kinds, list):
        return Union[tuple(_python_type({**schema, "type": kind}) for kind in kinds)]  # noqa: UP007
    if kinds == "array":
        return list[_python_type(schema["items"])]  # type: ignore[misc]
    if kinds == "object":
        names = _python_type(schema.get("propertyNames", {"type": "string"}))
        return dict[names, _python_type(schema["additionalProperties"])]  # type: ignore[valid-type, misc]
    return {"number": float, "integer": int, "boolean": bool, "string": str, "null": None}[kinds]


class FrameResultDocument(_result_model("result")):  # type: ignore[misc]
    """What was found in one image, or in one frame of a stream."""


class BatchError(Document):
    code: str = Field(description="A stable identifier for programs.")
    message: str = Field(description="What was expected, what was received, and how to fix it.")


class BatchEntry(Document):
    name: str = Field(description="Name of the image's file.")
    result: FrameResultDocument | None
    error: BatchError | None = Field(description="Why there is no result.")


class BatchDocument(Document):
    results: list[BatchEntry]


class AnalyzeQuery(BaseModel):
    landmarks: bool = Field(False, description="Whether to give every landmark's coordinates.")
    min_presence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum presence of a face; 0 returns every detection. Left out: the server's "
        "setting.",
    )


class PhotoQuery(AnalyzeQuery):
    model: str | None = Field(
        None, pattern=ID, description="The job that adapted a model of one's own to use."
    )


def parse_bool(value: object) -> object:
    """The boolean of a text: Python clients send "True", browsers and others "true"."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


_FormBool = Annotated[StrictBool, BeforeValidator(parse_bool)]


class VideoForm(BaseModel):
    video: FileStorage = Field(description="Any file that FFmpeg reads.")
    every: StrictInt = Field(1, ge=1, le=1000, description="Analyze every Nth frame.")
    annotate: _FormBool = Field(True, description="Whether to make the annotated video.")
    blur_faces: _FormBool = Field(False, description="Whether the annotated video hides the faces.")
    webhook_url: str | None = Field(
        None, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$", max_length=500,
        description="Where to send the job when it has ended.",
    )  # fmt: skip
    webhook_secret: str | None = Field(
        None, pattern=r"^[!-~]+$", min_length=16, max_length=128,
        description="Signs these messages; a random text of 16 characters or more.",
    )  # fmt: skip


class JobFileDocument(Document):
    name: str
    size: int
    media_type: str
    url: str


class JobDocument(Document):
    id: str
    name: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1)
    frames_done: int
    message: str | None = Field(
        description="Why a job failed; of a done one its warnings, one a line."
    )
    attempts: int
    created_at: str
    finished_at: str | None
    expires_at: str | None
    files: list[JobFileDocument]


class JobsDocument(Document):
    jobs: list[JobDocument]
    note: str | None = Field(description="Why no job is listed, without a cookie.")


class CorrectionForm(BaseModel):
    image: FileStorage = Field(description="A picture with one face.")
    label: str = Field(
        pattern=r"^\s*[^\s\x00-\x1f][^\x00-\x1f\x7f]*$", max_length=40,
        description="What the face shows, in any words.",
    )  # fmt: skip


class CorrectionDocument(Document):
    id: str
    label: str
    created_at: str | None = None


class CorrectionsDocument(Document):
    corrections: list[CorrectionDocument]


class MarkerBody(Document):
    at_s: StrictFloat = Field(
        ge=0, le=1_000_000, description="Time in the recording, in seconds, up to its end."
    )
    text: str = Field(
        pattern=r"^\s*[^\s\x00-\x1f][^\x00-\x1f\x7f]*$", max_length=200,
        description="What is there, in any words.",
    )  # fmt: skip


class MarkerDocument(MarkerBody):
    id: str


class MarkersDocument(Document):
    markers: list[MarkerDocument]


class SessionDocument(Document):
    id: str
    name: str
    state: Literal["recording", "complete", "interrupted"]
    created_at: str
    duration_s: float
    frames: int
    people: int
    expires_at: str | None


class SessionsDocument(Document):
    sessions: list[SessionDocument]


class SessionFramesDocument(Document):
    session: SessionDocument
    markers: list[MarkerDocument]
    frames: list[FrameResultDocument]


class RenameBody(Document):
    name: str = Field(min_length=1, max_length=120)


class DeletedDocument(Document):
    deleted: int


class ModelDocument(Document):
    name: str
    task: str
    version: str
    license: str
    source: str
    sha256: str | None
    shipped: bool
    labels: list[str]
    metrics: dict[str, float]
    training_data: str


class ModelsDocument(Document):
    active: dict[str, str]
    models: list[ModelDocument]


class HealthDocument(Document):
    status: Literal["ok"]
    version: str
    live_connections: int
    waiting: int


class LiveStreamDocument(Document):
    id: str


class RecordingDocument(Document):
    type: Literal["recording"]
    state: Literal["started", "stopped"]
    session_id: str | None
    complete: bool = Field(True, description="Whether all results were stored.")


class NeutralDocument(Document):
    type: Literal["neutral"]
    track_id: int
    is_set: bool = Field(
        description="Whether the action units of the person are measured from a present face."
    )


class AddedDocument(Document):
    added: int


class ResultsBody(BaseModel):
    results: list[dict[str, Any]] = Field(
        max_length=6000, description="FrameResults in the order of their frames."
    )
