"""Live analysis: the WebSocket, and plain HTTP where WebSockets are blocked.

Protocol of ``/ws/live``: each binary message is one picture; each is answered by one message, in
order. A picture that was analyzed is answered by its FrameResult as JSON. Any other answer carries
``type``: ``busy`` (slow down), ``dropped`` (newer pictures had arrived already), ``error``,
``recording``. Text messages to the server are JSON: ``{"type": "options", "landmarks": true}``,
``{"type": "record"}``, ``{"type": "stop_recording"}``.
"""

import json
import time
from typing import Any

from flask import Response, current_app, g, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server  # type: ignore[import-untyped]
from sqlalchemy.exc import SQLAlchemyError

from mien.errors import InputError
from mien.types import FrameResult
from mien.web import limits, sockets
from mien.web.api import ERRORS, PREFIX, busy_problem, picture_problem
from mien.web.config import MEGABYTE
from mien.web.errors import ProblemError
from mien.web.inference import BusyError
from mien.web.live_streams import FullError, LiveStream, Lobby
from mien.web.metrics import Metrics
from mien.web.schemas import (
    AnalyzeQuery,
    DeletedDocument,
    ErrorDocument,
    FrameResultDocument,
    LivePath,
    LiveStreamDocument,
)
from mien.web.security import owner
from mien.web.store.sessions import start_recording

_TRY_AGAIN_LATER = 1013
_POLICY_VIOLATION = 1008
_IDLE_S = 60.0
# An end that the WebSocket library fails to tell a waiting reader of is noticed after this.
_LOOK_EVERY_S = 2.0
_LAST_WORD_S = 2.0
# Whoever takes nothing for so long is gone, or never meant to listen.
_DEAF_S = 30.0
_MAX_FRAME_MB = 4
# A client that keeps one picture in flight never sends this many before it has an answer.
_FLOOD = 60

sock = Sock()
blueprint = APIBlueprint(
    "live",
    __name__,
    url_prefix=f"{PREFIX}/live",
    abp_tags=[Tag(name="live", description="Live streams where WebSockets are blocked.")],
)


def init_app(app: OpenAPI) -> None:
    """Add the WebSocket and its replacement over plain HTTP."""
    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": 20,
        "max_message_size": _MAX_FRAME_MB * MEGABYTE,
        "receive_bytes": 65536,
    }
    sock.init_app(app)
    app.wsgi_app = _without_compression(app.wsgi_app)  # type: ignore[method-assign]
    app.register_api(blueprint)


def _without_compression(wsgi_app: Any) -> Any:
    """Pictures are compressed already; deflating them again only costs both sides time."""

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO") == "/ws/live":
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return wsgi_app(environ, start_response)

    return serve


@sock.route("/ws/live")  # type: ignore[untyped-decorator]
def live_socket(ws: Server) -> None:
    lobby: Lobby = current_app.extensions["mien.lobby"]
    sockets.notice_the_deaf(ws.sock, _DEAF_S)
    ws.sock = sockets.OneAtATime(ws.sock)
    try:
        stream = lobby.open(owner(), connected=True)
    except FullError:
        _dismiss(ws, _TRY_AGAIN_LATER, "All live places are taken; try again in a moment.")
        return
    try:
        _Conversation(ws, stream).hold()
    finally:
        lobby.close(stream.id)


def _dismiss(ws: Server, code: int, reason: str) -> None:
    """Close, and wait until the other side has heard why.

    A socket that is closed over a picture that nobody read takes the reason with it; and the
    reading threads of very many refused clients would pile up.
    """
    ws.close(code, reason)
    ws.thread.join(_LAST_WORD_S)


class _Conversation:
    """One WebSocket, from its opening to its end."""

    def __init__(self, ws: Server, stream: LiveStream) -> None:
        self.ws = ws
        self.stream = stream
        self.landmarks = False
        self.metrics: Metrics = current_app.extensions["mien.metrics"]

    def hold(self) -> None:
        while True:
            message = self._next()
            if message is None:
                self.ws.close(message="Nothing was sent for a minute.")
                return
            newest = self._take(message)
            dropped = 0
            while (message := self.ws.receive(timeout=0)) is not None:
                picture = self._take(message)
                if picture is not None:
                    dropped += newest is not None
                    newest = picture
            if dropped >= _FLOOD:
                _dismiss(self.ws, _POLICY_VIOLATION, "Wait for the answer to a picture.")
                return
            if dropped:
                self.metrics.frames.labels("live", "dropped").inc(dropped)
                self._send({"type": "dropped", "frames": dropped})
            if newest is not None:
                self._answer(newest)

    def _next(self) -> bytes | str | None:
        """The next message; None where none came for a while."""
        deadline = time.monotonic() + _IDLE_S
        while time.monotonic() < deadline:
            message: bytes | str | None = self.ws.receive(timeout=_LOOK_EVERY_S)
            if message is not None:
                return message
            if not self.ws.connected:
                raise ConnectionClosed
        return None

    def _take(self, message: bytes | str) -> bytes | None:
        """The picture in a message; any other message is carried out at once."""
        if isinstance(message, bytes):
            return message
        try:
            command = json.loads(message)
            kind = command["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self._error("message_unreadable", 'Expected {"type": …} as JSON, or a picture.')
            return None
        if kind == "options":
            self.landmarks = bool(command.get("landmarks"))
        elif kind == "record":
            self._send(start(self.stream, command.get("name")))
        elif kind == "stop_recording":
            self._send(stop(self.stream))
        else:
            self._error("message_unknown", "Expected the type options, record or stop_recording.")
        return None

    def _answer(self, picture: bytes) -> None:
        try:
            document = analyzed(self.stream, picture).to_dict(landmarks=self.landmarks)
        except BusyError as busy:
            document = {"type": "busy", "retry_after_ms": busy.retry_after_ms}
        except InputError as error:
            self._error("image_unreadable", picture_problem(error))
            return
        self._send(document)

    def _error(self, code: str, message: str) -> None:
        self._send({"type": "error", "error": {"code": code, "message": message}})

    def _send(self, document: dict[str, Any]) -> None:
        if not self.ws.connected:
            raise ConnectionClosed
        try:
            self.ws.send(json.dumps(document, separators=(",", ":")))
        except OSError:
            raise ConnectionClosed from None


def analyzed(stream: LiveStream, picture: bytes) -> FrameResult:
    """Analyze a stream's next picture, counted; raises as :meth:`LiveStream.analyze`."""
    metrics: Metrics = current_app.extensions["mien.metrics"]
    started = time.perf_counter()
    try:
        result = stream.analyze(picture)
    except BusyError:
        metrics.frames.labels("live", "refused").inc()
        raise
    except InputError:
        metrics.frames.labels("live", "unreadable").inc()
        raise
    metrics.frame_seconds.labels("live").observe(time.perf_counter() - started)
    metrics.frames.labels("live", "analyzed").inc()
    metrics.faces.inc(len(result.faces))
    return result


def start(stream: LiveStream, name: object) -> dict[str, Any]:
    """Begin to keep a stream's results."""
    if stream.recording is None:
        database = current_app.extensions["mien.database"]
        config = current_app.extensions["mien.config"]
        given = name.strip()[:120] if isinstance(name, str) else ""
        try:
            stream.recording = start_recording(
                database, stream.owner, name=given, days=config.session_days
            )
        except SQLAlchemyError:
            return {
                "type": "error",
                "error": {
                    "code": "storage_unavailable",
                    "message": "Nothing can be recorded now: the database cannot be reached.",
                },
            }
    return {"type": "recording", "state": "started", "session_id": stream.recording.session_id}


def stop(stream: LiveStream) -> dict[str, Any]:
    """Keep no more of a stream's results."""
    recording, stream.recording = stream.recording, None
    if recording is None:
        return {"type": "recording", "state": "stopped", "session_id": None, "complete": True}
    return {
        "type": "recording",
        "state": "stopped",
        "session_id": recording.session_id,
        "complete": recording.finish(),
    }


@blueprint.post(
    "", summary="Open a live stream", responses={**ERRORS, "201": LiveStreamDocument,
                                                 "503": ErrorDocument},
)  # fmt: skip
@limits.limited(limits.LIVE)
def open_stream() -> tuple[Response, int]:
    """Where WebSockets are blocked: open a stream, post pictures to it, delete it."""
    try:
        stream = _lobby().open(owner(), connected=False)
    except FullError:
        raise ProblemError(
            503, "full", "All live places are taken. Try again in a moment.", retry_after_s=5
        ) from None
    return jsonify({"id": stream.id}), 201


@blueprint.post(
    "/<stream_id>/frames",
    summary="Analyze a stream's next picture",
    responses={**ERRORS, "200": FrameResultDocument, "404": ErrorDocument, "413": ErrorDocument,
               "503": ErrorDocument},
    openapi_extensions={
        "requestBody": {
            "required": True,
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)  # fmt: skip
def next_frame(path: LivePath, query: AnalyzeQuery) -> Response:
    """The body is the picture. Results carry tracks, as over the WebSocket."""
    limits.limit_body(_MAX_FRAME_MB)
    stream = _stream(path.stream_id)
    try:
        result = analyzed(stream, request.get_data(cache=False))
    except BusyError as busy:
        raise busy_problem(busy) from None
    except InputError as error:
        raise ProblemError(400, "image_unreadable", picture_problem(error)) from None
    return jsonify(result.to_dict(landmarks=query.landmarks))


@blueprint.post(
    "/<stream_id>/recording", summary="Record a stream", responses={**ERRORS, "404": ErrorDocument,
                                                                    "503": ErrorDocument},
)  # fmt: skip
def record_stream(path: LivePath) -> Response:
    """Keep the stream's results, not its pictures, as a session."""
    answer = start(_stream(path.stream_id), None)
    if answer["type"] == "error":
        raise ProblemError(503, answer["error"]["code"], answer["error"]["message"])
    return jsonify(answer)


@blueprint.delete(
    "/<stream_id>/recording", summary="End a recording", responses={**ERRORS, "404": ErrorDocument}
)
def stop_recording(path: LivePath) -> Response:
    return jsonify(stop(_stream(path.stream_id)))


@blueprint.delete(
    "/<stream_id>",
    summary="Close a live stream",
    responses={**ERRORS, "200": DeletedDocument, "404": ErrorDocument},
)
def close_stream(path: LivePath) -> Response:
    _lobby().close(_stream(path.stream_id).id)
    return jsonify({"deleted": 1})


def _lobby() -> Lobby:
    lobby: Lobby = current_app.extensions["mien.lobby"]
    return lobby


def _stream(stream_id: str) -> LiveStream:
    stream = _lobby().find(stream_id, g.visitor.id)
    if stream is None:
        raise ProblemError(404, "not_found", "This live stream was closed. Open a new one.")
    return stream
