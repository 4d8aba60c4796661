"""Live analysis: the open streams, the page, and streams over plain HTTP, where WebSockets are
blocked."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Response, g, jsonify, make_response, render_template
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from mien.errors import InputError
from mien.media.images import read_image
from mien.streaming import FaceStream
from mien.types import FrameResult
from mien.web import headers, security
from mien.web.api import image_body, noun, returns
from mien.web.errors import ProblemError
from mien.web.inference import InferenceEngine
from mien.web.photos import image_problems, read_body
from mien.web.schemas import (
    ID,
    AddedDocument,
    AnalyzeQuery,
    DeletedDocument,
    FrameResultDocument,
    LiveStreamDocument,
    NeutralDocument,
    RecordingDocument,
    ResultsBody,
)
from mien.web.security import owner
from mien.web.services import services
from mien.web.store.sessions import Recording
from mien.web.videos import check_space, storage_full

MAX_FRAME_MB = 4
# Thirty years in seconds, or in frames.
_MOST_LABELS = 50
_MAX_PLACE = 1_000_000_000
# A stream over plain HTTP has no connection whose end could be noticed.
_IDLE_TIMEOUT_S = 20.0
_IDLE_CHECK_S = 5.0
_MAX_FRAME_MEGAPIXELS = 4


class LiveStream:
    """A visitor's live stream, with its own tracks and smoothing.

    Attributes:
        id: cannot be guessed.
        owner: the visitor who opened it; empty for a program without a cookie.
        connected: whether the end of a connection will close it; otherwise it is closed when it is
            idle.
        recording: stores the results, while the visitor records.
    """

    def __init__(
        self, inference: InferenceEngine, owner: str, *, connected: bool, sign: str = ""
    ) -> None:
        self.id = sign + secrets.token_urlsafe(16)[len(sign) :]
        self.owner = owner
        self.connected = connected
        self.recording: Recording | None = None
        self.last_used = time.monotonic()
        self._inference = inference
        self._faces = FaceStream(inference.stream_pipeline)
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._frame_index = 0

    def analyze(self, data: bytes) -> FrameResult:
        """Analyze and count the next frame; its time is that of its arrival.

        Args:
            data: a JPEG or another image file.

        Raises:
            BusyError: the server has no capacity; the frame was not analyzed.
            ImageReadError: the bytes are not a readable image.
        """
        arrived = time.monotonic()
        self.last_used = arrived
        metrics = services().metrics
        with metrics.analysis("live"):
            with self._lock, self._inference.gate.admitted():
                image = read_image(data, max_megapixels=_MAX_FRAME_MEGAPIXELS)
                result = self._faces.update(image, arrived - self._started)
                result = replace(result, frame_index=self._frame_index)
                self._frame_index += 1
            if self.recording is not None:
                self.recording.add(result)
        metrics.faces.inc(len(result.faces))
        return result

    def record(self, name: object, resume: object = None) -> dict[str, Any]:
        """Start to store the results; returns the message for the client.

        Args:
            name: of the session.
            resume: id of a session to go on with, see :meth:`SessionStore.start`.

        Raises:
            ProblemError: the database is unreachable, or the server's space is used up.
        """
        if self.recording is None:
            try:
                with services().database.begin() as connection:
                    check_space(connection, more=1)
                self.recording = services().session_store.start(
                    self.owner,
                    name=name if isinstance(name, str) else "",
                    days=services().config.session_days,
                    resume=resume if isinstance(resume, str) else "",
                )
            except SQLAlchemyError:
                raise ProblemError(
                    503,
                    "storage_unavailable",
                    "Recording is not possible now: the database is unreachable.",
                ) from None
        return {"type": "recording", "state": "started", "session_id": self.recording.session_id}

    def check_recording(self) -> None:
        """Say why a recording has ended by itself.

        Raises:
            ProblemError: the server's space is used up, or the session was deleted.
        """
        recording = self.recording
        if recording is not None and recording.deleted:
            raise ProblemError(
                410, "session_deleted", "The session was deleted, so its recording has ended."
            )
        if recording is not None and recording.full:
            raise storage_full()

    def stop_recording(self) -> dict[str, Any]:
        """End the recording, if there is one; returns the message for the client."""
        recording, self.recording = self.recording, None
        complete = True if recording is None else recording.finish()
        return {
            "type": "recording",
            "state": "stopped",
            "session_id": None if recording is None or recording.empty else recording.session_id,
            "complete": complete,
        }

    def use_as_neutral(self, track_id: object, *, use: bool = True) -> dict[str, Any]:
        """Measure action units of a person from their present face, or no longer.

        Returns:
            The message for the client: whether they are measured from it now. It is not where the
            face cannot be read well, or the server measures no movements.
        """
        is_set = False
        if isinstance(track_id, int):
            with self._lock:
                if use:
                    is_set = self._faces.use_as_neutral(track_id)
                else:
                    self._faces.forget_neutral(track_id)
        return {"type": "neutral", "track_id": track_id, "is_set": is_set}


class LiveStreams:
    """Opens live streams up to a limit, and closes idle ones.

    Args:
        inference: shared by all streams.
        capacity: the maximum number of open streams.
        on_change: called with the number of open streams.

    Attributes:
        sign: begins the ids of the streams; tells the process where several serve.
    """

    def __init__(
        self,
        inference: InferenceEngine,
        capacity: int,
        *,
        on_change: Callable[[int], None] = lambda n: None,
    ) -> None:
        self.capacity = capacity
        self.sign = ""
        self._inference = inference
        self._on_change = on_change
        self._streams: dict[str, LiveStream] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def count(self) -> int:
        """The number of open streams."""
        return len(self._streams)

    def open(self, owner: str, *, connected: bool) -> LiveStream:
        """Open a stream; see :class:`LiveStream`.

        Raises:
            ProblemError: the maximum number of streams is open.
        """
        self._close_idle()
        with self._lock:
            if len(self._streams) >= self.capacity:
                raise ProblemError(
                    503, "full", "All live streams are in use. Try again in a moment.",
                    retry_after_s=5,
                )  # fmt: skip
            stream = LiveStream(self._inference, owner, connected=connected, sign=self.sign)
            self._streams[stream.id] = stream
        self._on_change(self.count)
        return stream

    def find(self, stream_id: str, visitor: str) -> LiveStream | None:
        """An open stream that belongs to the visitor, or to no one; it is not idle then."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.owner not in {"", visitor}:
            return None
        stream.last_used = time.monotonic()
        return stream

    def close(self, stream_id: str) -> None:
        """Close a stream, if it is open."""
        with self._lock:
            stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.stop_recording()
            self._on_change(self.count)

    def close_all(self) -> None:
        """Close every stream and open no more, as when the server shuts down."""
        self.capacity = 0
        self._stopped.set()
        for stream_id in list(self._streams):
            self.close(stream_id)

    def keep_closing_idle(self) -> None:
        """Close idle streams until :meth:`close_all`, so that the recording of a page that was left
        is complete though no other stream is opened."""
        while not self._stopped.wait(_IDLE_CHECK_S):
            self._close_idle()

    def _close_idle(self) -> None:
        before = time.monotonic() - _IDLE_TIMEOUT_S
        for stream in list(self._streams.values()):
            if not stream.connected and stream.last_used < before:
                self.close(stream.id)


pages, blueprint = noun("live", "Live streams where WebSockets are blocked.", "/live")


class _LivePath(BaseModel):
    stream_id: str = Field(pattern=ID)


class _PersonQuery(BaseModel):
    track_id: int = Field(ge=1, description="The person, as in the results.")


class _RecordQuery(BaseModel):
    session_id: str | None = Field(
        None, pattern=ID, description="A session of a lost stream that this one goes on with."
    )
    name: str | None = Field(
        None, max_length=120, description="Of a new session; by default its time in UTC."
    )


@pages.get("/")
def _page() -> Response:
    """The live page, also in a frame of the sites that may embed it."""
    response = make_response(render_template("live.html"))
    frames = services().config.embedding_origins
    if frames:
        response.headers["Content-Security-Policy"] = headers.policy(frames)
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


@blueprint.post(
    "", summary="Open a live stream", responses=returns(LiveStreamDocument, 503, status=201)
)
@security.limited("120/minute")
def _open_stream() -> tuple[Response, int]:
    """Where WebSockets are blocked: open a stream, post frames to it, delete it."""
    stream = services().live_streams.open(owner(), connected=False)
    return jsonify({"id": stream.id}), 201


@blueprint.post(
    "/<stream_id>/frames",
    summary="Analyze a stream's next frame",
    responses=returns(FrameResultDocument, 404, 410, 413, 503, 507),
    openapi_extensions=image_body("image/jpeg"),
)
def _next_frame(path: _LivePath, query: AnalyzeQuery) -> Response:
    """The body is the image. Results have tracks, as over the WebSocket.

    Where a recording has ended by itself, each answer says why until it is stopped.
    """
    image = read_body(MAX_FRAME_MB)
    stream = _require_stream(path.stream_id)
    with image_problems():
        result = stream.analyze(image)
    stream.check_recording()
    return jsonify(result.to_dict(landmarks=query.landmarks))


@blueprint.post(
    "/<stream_id>/results",
    summary="Record results that a browser computed",
    responses=returns(AddedDocument, 404, 409, 410, 413, 422, 507),
)
def _add_results(path: _LivePath, body: ResultsBody) -> Response:
    """The results of a stream that is recorded, analyzed by the caller; images stay there."""
    stream = _require_stream(path.stream_id)
    recording = stream.recording
    if recording is None:
        raise ProblemError(409, "not_recording", "Expected a stream that is recorded; record it.")
    try:
        results = [FrameResult.from_dict(result) for result in body.results]
    except InputError as error:
        raise ProblemError(422, "invalid", f"Expected results of mien: {error}") from None
    for result in results:
        place = result.timestamp_s or 0.0, result.frame_index or 0
        if not all(0 <= value <= _MAX_PLACE for value in place):
            raise ProblemError(
                422, "invalid",
                f"Expected timestamps and frame numbers from 0 to {_MAX_PLACE}, got {place}.",
            )  # fmt: skip
        if any(
            len(expression.probabilities) > _MOST_LABELS
            for face in result.faces
            for expression in (face.expression, face.expression_raw)
            if expression is not None
        ):
            raise ProblemError(422, "invalid", f"Expected at most {_MOST_LABELS} labels of a face.")
    added = sum(map(recording.add, results))
    stream.check_recording()
    return jsonify({"added": added})


@blueprint.post(
    "/<stream_id>/recording",
    summary="Record a stream",
    responses=returns(RecordingDocument, 404, 503, 507),
)
def _record_stream(path: _LivePath, query: _RecordQuery) -> Response:
    """Store the stream's results, not its images, as a session."""
    return jsonify(_require_stream(path.stream_id).record(query.name, query.session_id))


@blueprint.delete(
    "/<stream_id>/recording", summary="End a recording", responses=returns(RecordingDocument, 404)
)
def _end_recording(path: _LivePath) -> Response:
    return jsonify(_require_stream(path.stream_id).stop_recording())


@blueprint.post(
    "/<stream_id>/neutral",
    summary="Measure action units from the present face",
    responses=returns(NeutralDocument, 404),
)
def _use_as_neutral(path: _LivePath, query: _PersonQuery) -> Response:
    """Take a person's present face as neutral, until the person is gone for two seconds."""
    return jsonify(_require_stream(path.stream_id).use_as_neutral(query.track_id))


@blueprint.delete(
    "/<stream_id>/neutral",
    summary="Forget the neutral face",
    responses=returns(NeutralDocument, 404),
)
def _forget_neutral(path: _LivePath, query: _PersonQuery) -> Response:
    return jsonify(_require_stream(path.stream_id).use_as_neutral(query.track_id, use=False))


@blueprint.delete(
    "/<stream_id>", summary="Close a live stream", responses=returns(DeletedDocument, 404)
)
def _close_stream(path: _LivePath) -> Response:
    services().live_streams.close(_require_stream(path.stream_id).id)
    return jsonify({"deleted": 1})


def _require_stream(stream_id: str) -> LiveStream:
    stream = services().live_streams.find(stream_id, g.visitor.id)
    if stream is None:
        raise ProblemError(404, "not_found", "This live stream was closed. Open a new one.")
    return stream
