"""Live analysis over the WebSocket ``/ws/live``.

Each binary message is one image; each is answered by one message, in order. An analyzed image is
answered by its FrameResult as JSON. Any other answer has a ``type``: ``busy`` (send more slowly),
``dropped`` (newer images had arrived already), ``error``, ``recording``, ``neutral``. Text messages
to the server are JSON: ``{"type": "options", "landmarks": true}``, ``{"type": "record"}``,
``{"type": "stop_recording"}``, ``{"type": "neutral", "track_id": 1}`` and ``forget_neutral``.
"""

import json
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from flask import Flask
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server  # type: ignore[import-untyped]

from mien.errors import InputError
from mien.web.config import MEGABYTE
from mien.web.errors import ProblemError
from mien.web.inference import BusyError
from mien.web.live import MAX_FRAME_MB, LiveStream
from mien.web.photos import image_error_text
from mien.web.schemas import parse_bool
from mien.web.security import owner
from mien.web.services import services

_TRY_AGAIN_LATER = 1013
_POLICY_VIOLATION = 1008
_IDLE_TIMEOUT_S = 60.0
# The WebSocket library does not always wake a waiting reader when the connection ends.
_POLL_S = 2.0
_CLOSE_TIMEOUT_S = 2.0
# A client that reads nothing for so long is gone or malicious.
_SEND_TIMEOUT_S = 30.0
# A client that waits for answers never sends this many images before it has one.
_MAX_UNANSWERED = 60

_waiting = threading.BoundedSemaphore(8)

_sock = Sock()


def init_app(app: Flask) -> None:
    """Add the WebSocket."""
    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": 20,
        "max_message_size": MAX_FRAME_MB * MEGABYTE,
        "receive_bytes": 65536,
    }
    _sock.init_app(app)
    app.wsgi_app = _without_compression(app.wsgi_app)  # type: ignore[method-assign]


def _without_compression(wsgi_app: Any) -> Any:
    """Images are compressed already; deflating them again only costs both sides time."""

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO") == "/ws/live":
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return wsgi_app(environ, start_response)

    return serve


@_sock.route("/ws/live")  # type: ignore[untyped-decorator]
def _live_socket(ws: Server) -> None:
    _set_send_timeout(ws.sock, _SEND_TIMEOUT_S)
    ws.sock = LockedSocket(ws.sock)
    try:
        stream = services().live_streams.open(owner(), connected=True)
    except ProblemError:
        _close(ws, _TRY_AGAIN_LATER, "All live streams are in use; try again in a moment.")
        return
    try:
        _Conversation(ws, stream).run()
    finally:
        services().live_streams.close(stream.id)


def _close(ws: Server, code: int, reason: str) -> None:
    """Close, and wait until the client has received the reason, for a few clients at a time.

    Closing a socket with unread data discards the reason. But many clients that are refused at once
    must not occupy the threads that serve others.
    """
    ws.close(code, reason)
    if _waiting.acquire(blocking=False):
        try:
            ws.thread.join(_CLOSE_TIMEOUT_S)
        finally:
            _waiting.release()
    # Ends the thread that reads, and leaves the server nothing to wait for.
    with suppress(OSError):
        ws.sock.shutdown(socket.SHUT_RDWR)


class _Conversation:
    """One WebSocket, from its opening to its end."""

    def __init__(self, ws: Server, stream: LiveStream) -> None:
        self._ws = ws
        self._stream = stream
        self._landmarks = False

    def run(self) -> None:
        while True:
            message = self._next()
            if message is None:
                self._ws.close(message="No message arrived for a minute.")
                return
            newest = self._image_of(message)
            dropped = 0
            while (message := self._ws.receive(timeout=0)) is not None:
                image = self._image_of(message)
                if image is not None:
                    dropped += newest is not None
                    newest = image
            if dropped >= _MAX_UNANSWERED:
                _close(self._ws, _POLICY_VIOLATION, "Wait for the answer to an image.")
                return
            if dropped:
                services().metrics.frames.labels("live", "dropped").inc(dropped)
                self._send({"type": "dropped", "frames": dropped})
            if newest is not None:
                self._answer(newest)

    def _next(self) -> bytes | str | None:
        """The next message; None after a timeout."""
        deadline = time.monotonic() + _IDLE_TIMEOUT_S
        while time.monotonic() < deadline:
            message: bytes | str | None = self._ws.receive(timeout=_POLL_S)
            if message is not None:
                return message
            if not self._ws.connected:
                raise ConnectionClosed
        return None

    def _image_of(self, message: bytes | str) -> bytes | None:
        """The image in a binary message; a text message is a command, which is carried out."""
        if isinstance(message, bytes):
            return message
        try:
            command = json.loads(message)
            kind = command["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self._send_error("message_unreadable", 'Expected {"type": …} as JSON, or an image.')
            return None
        if kind == "options":
            self._landmarks = parse_bool(command.get("landmarks")) is True
        elif kind == "record":
            try:
                self._send(self._stream.record(command.get("name"), command.get("session_id")))
            except ProblemError as problem:
                self._send_error(problem.code, problem.message)
        elif kind == "stop_recording":
            self._send(self._stream.stop_recording())
        elif kind in {"neutral", "forget_neutral"}:
            track_id, use = command.get("track_id"), kind == "neutral"
            self._send(self._stream.use_as_neutral(track_id, use=use))
        else:
            message = (
                "Expected the type options, record, stop_recording, neutral or forget_neutral."
            )
            self._send_error("message_unknown", message)
        return None

    def _answer(self, image: bytes) -> None:
        try:
            document = self._stream.analyze(image).to_dict(landmarks=self._landmarks)
        except BusyError as busy:
            document = {"type": "busy", "retry_after_ms": busy.retry_after_ms}
        except InputError as error:
            self._send_error("image_unreadable", image_error_text(error))
            return
        self._send(document)
        try:
            self._stream.check_recording()
        except ProblemError as problem:
            self._send(self._stream.stop_recording())
            self._send_error(problem.code, problem.message)

    def _send_error(self, code: str, message: str) -> None:
        self._send({"type": "error", "error": {"code": code, "message": message}})

    def _send(self, document: dict[str, Any]) -> None:
        if not self._ws.connected:
            raise ConnectionClosed
        try:
            self._ws.send(json.dumps(document, separators=(",", ":")))
        except OSError:
            raise ConnectionClosed from None


class LockedSocket:
    """A socket on which one thread's bytes are sent completely before another's.

    A WebSocket's reading thread sends pings and pongs. On a slow network they would end up in the
    middle of another thread's message, and the client would close the connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, data: bytes) -> int:
        """Send all of it.

        Raises:
            OSError: the connection ended.
        """
        with self._lock:
            self._sock.sendall(data)
        return len(data)

    def fileno(self) -> int:
        return self._sock.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _set_send_timeout(sock: socket.socket, timeout_s: float) -> None:
    """End the connection when the client reads nothing for so long, where the system can.

    It would occupy its stream and its threads forever.
    """
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    # The thread that reads may have closed it already, after a message that breaks the protocol.
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * timeout_s))
