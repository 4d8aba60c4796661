"""The documents of the API, as the OpenAPI description shows them.

They mirror the ``to_dict`` methods of :mod:`mien.types`; a test holds real output against them.
"""

from typing import Annotated, Any, Literal

from flask_openapi3.models.file import FileStorage
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt

_ID = r"^[A-Za-z0-9_-]{22}$"


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


class BoxDocument(Document):
    """Pixels of the original image, origin at the top left; the maxima are exclusive."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class LandmarksDocument(Document):
    scheme: str
    presence: float | None
    points: list[list[float]] | None = None


class ExpressionDocument(Document):
    """The apparent expression: how a face looks, not what the person feels."""

    label: str = Field(description="The most probable expression, always.")
    uncertain: bool = Field(description="The answer should not be relied upon.")
    probabilities: dict[str, float]


class QualityDocument(Document):
    size_px: float
    sharpness: float | None
    brightness: float | None
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    presence: float | None
    reasons: list[str] = Field(description="Why the expression should not be trusted.")


class AffectDocument(Document):
    valence: float
    arousal: float
    method: str


class SignalsDocument(Document):
    eye_opening_left: float | None
    eye_opening_right: float | None
    mouth_opening: float | None
    facing: float | None
    expressivity: float | None


class TrackDocument(Document):
    """What has been seen of one person up to this frame; streams have it, photographs do not."""

    age_s: float
    state: Literal["clear", "uncertain", "not visible"]
    blinks: int
    blink_rate_per_min: float | None
    perclos: float | None = Field(description="Share of the last minute with the eyes closed.")
    eyes_closed_s: float
    yawns: int
    mood_valence: float | None
    mood_arousal: float | None


class FaceDocument(BaseModel):
    box: BoxDocument
    score: float
    track_id: int | None
    landmarks: LandmarksDocument | None
    expression: ExpressionDocument | None
    quality: QualityDocument | None
    affect: AffectDocument | None
    signals: SignalsDocument | None
    track: TrackDocument | None = None
    expression_raw: ExpressionDocument | None = Field(
        None, description="Of this frame alone; `expression` is smoothed over time in streams."
    )


class FrameResultDocument(BaseModel):
    """What was found in one image, or in one frame of a stream."""

    schema_version: int
    source: str | None
    image_size_wh: list[int]
    frame_index: int | None
    timestamp_s: float | None
    faces: list[FaceDocument]
    timings_ms: dict[str, float]
    models: dict[str, str]


class AnalyzeQuery(BaseModel):
    landmarks: bool = Field(False, description="Whether to give every landmark's coordinates.")


def _parse_bool(value: object) -> object:
    """Form fields are text: Python clients send "True", browsers and others "true"."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    return value


FormBool = Annotated[StrictBool, BeforeValidator(_parse_bool)]


class VideoForm(BaseModel):
    video: FileStorage = Field(description="Any file that FFmpeg reads.")
    every: StrictInt = Field(1, ge=1, le=1000, description="Analyze every Nth frame.")
    annotate: FormBool = Field(True, description="Whether to make the annotated video.")
    blur_faces: FormBool = Field(False, description="Whether the annotated video hides the faces.")


class JobPath(BaseModel):
    job_id: str = Field(pattern=_ID)


class JobFilePath(JobPath):
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")


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
    message: str | None
    attempts: int
    created_at: str
    finished_at: str | None
    expires_at: str | None
    files: list[JobFileDocument]


class JobsDocument(Document):
    jobs: list[JobDocument]


class SessionPath(BaseModel):
    session_id: str = Field(pattern=_ID)


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


class LivePath(BaseModel):
    stream_id: str = Field(pattern=_ID)
