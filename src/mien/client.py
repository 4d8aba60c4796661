"""A client of the web application's API, with the standard library alone."""

import base64
import hmac
import http.client
import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from mien.errors import ImageReadError, MienError, ServerError, VideoReadError
from mien.types import FrameResult

_TRIES = 5
_MAX_WAIT_S = 60.0


class Client:
    """Analyzes photographs and videos on a server that runs `mien serve`.

    A busy server is asked again after the time that it names. A client may be shared between
    threads.

    Args:
        base_url: address of the server, such as ``"http://localhost:8000"``.
        token: the server's access token, if it has one.
        timeout_s: seconds to wait for the server at each step.

    Raises:
        ServerError: the address is none of a server.

    Example::

        client = Client("http://localhost:8000")
        for face in client.analyze("photo.jpg"):
            print(face.expression.label)
    """

    def __init__(self, base_url: str, token: str | None = None, *, timeout_s: float = 60.0) -> None:
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ServerError(
                f"expected an address such as http://localhost:8000, got {base_url!r}"
            )
        self._url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s

    def analyze(self, image: str | Path | bytes, *, landmarks: bool = False) -> FrameResult:
        """Analyze a photograph.

        Args:
            image: path of a file, or its bytes.
            landmarks: whether the result has the coordinates of all landmarks.

        Returns:
            Its faces, as :func:`mien.analyze` returns them.

        Raises:
            ImageReadError: there is no such file, or it is no image.
            ServerError: the server is unreachable, busy, or refuses the request.
        """
        ((name, data),) = _read([image])
        query = "?landmarks=true" if landmarks else ""
        document = self._send_form(f"/api/v1/analyze{query}", [("image", name, data)])
        return FrameResult.from_dict(document)

    def analyze_batch(self, images: Iterable[str | Path | bytes]) -> list[FrameResult | MienError]:
        """Analyze up to 100 photographs with one request.

        Args:
            images: paths of files, or their bytes.

        Returns:
            For each photograph its result, or the error why there is none.

        Raises:
            ImageReadError: a file cannot be opened.
            ServerError: the server is unreachable, busy, or refuses the request.
        """
        parts = [("image", name, data) for name, data in _read(images)]
        if not parts:
            return []
        entries = self._send_form("/api/v1/batch", parts)["results"]
        return [
            FrameResult.from_dict(entry["result"])
            if entry["error"] is None
            else ImageReadError(f"{entry['name']}: {entry['error']['message']}")
            for entry in entries
        ]

    def analyze_video(
        self, path: str | Path, out: str | Path, *, every: int = 1, annotate: bool = True
    ) -> Path:
        """Analyze a video, wait for the end, and download the results.

        Args:
            path: of the video.
            out: folder for the results; created if it does not exist.
            every: analyze every Nth frame.
            annotate: whether to make the annotated video.

        Returns:
            The folder.

        Raises:
            VideoReadError: there is no such file, or the server cannot analyze it.
            ServerError: the server is unreachable, busy, or refuses the request.
        """
        job = self.submit_video(path, every=every, annotate=annotate)
        wait_s = 0.2
        while job["state"] in {"queued", "running"}:
            time.sleep(wait_s)
            wait_s = min(5.0, 1.3 * wait_s)
            job = self._json(f"/api/v1/jobs/{job['id']}")
        if job["state"] != "done":
            raise VideoReadError(f"{path}: {job['message'] or 'the analysis was canceled'}")
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in job["files"]:
            with self._open(entry["url"]) as answer, (folder / entry["name"]).open("wb") as file:
                shutil.copyfileobj(answer, file)
        return folder

    def submit_video(
        self,
        path: str | Path,
        *,
        every: int = 1,
        annotate: bool = True,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
    ) -> dict[str, Any]:
        """Start to analyze a video without waiting for the end.

        Args:
            path: of the video.
            every: analyze every Nth frame.
            annotate: whether to make the annotated video.
            webhook_url: is sent the job when it has ended; see :func:`read_webhook`.
            webhook_secret: signs these messages; 16 to 128 characters.

        Returns:
            The job, as the server describes it.

        Raises:
            VideoReadError: there is no such file.
            ServerError: the server is unreachable, busy, or refuses the request.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise VideoReadError(f"{path}: {error.strerror}") from None
        fields = {"every": str(every), "annotate": str(annotate).lower()}
        hook = {"webhook_url": webhook_url, "webhook_secret": webhook_secret}
        fields.update({name: value for name, value in hook.items() if value is not None})
        job: dict[str, Any] = self._send_form(
            "/api/v1/videos", [("video", Path(path).name, data)], fields
        )
        return job

    def _send_form(
        self, path: str, files: list[tuple[str, str, bytes]], fields: dict[str, str] | None = None
    ) -> Any:
        boundary = uuid.uuid4().hex
        body = b"".join(
            [_part(boundary, name, None, value.encode()) for name, value in (fields or {}).items()]
            + [_part(boundary, field, name, data) for field, name, data in files]
            + [f"--{boundary}--\r\n".encode()]
        )
        return self._json(path, body, f"multipart/form-data; boundary={boundary}")

    def _json(self, path: str, body: bytes | None = None, kind: str = "") -> Any:
        with self._open(path, body, kind) as answer:
            try:
                return json.load(answer)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
            except ValueError:
                raise ServerError(
                    f"expected JSON from {self._url}, got something else: is it a mien server?"
                ) from None

    def _open(self, path: str, body: bytes | None = None, kind: str = "") -> IO[bytes]:
        headers = {**self._headers, "Accept": "application/json"}
        if kind:
            headers["Content-Type"] = kind
        request = urllib.request.Request(self._url + path, body, headers)
        for tries_left in reversed(range(_TRIES)):
            try:
                return urllib.request.urlopen(request, timeout=self._timeout_s)  # type: ignore[no-any-return]
            except urllib.error.HTTPError as error:
                with error:
                    wait_s = _retry_after_s(error)
                    if not tries_left or wait_s is None:
                        raise _problem(error) from None
                time.sleep(wait_s)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
        raise AssertionError

    def _unreachable(self, error: Exception) -> ServerError:
        return ServerError(
            f"cannot reach {self._url} ({getattr(error, 'reason', error)}): start it with "
            "`mien serve`, or check the address"
        )


def read_webhook(
    headers: Mapping[str, str], body: bytes, secret: str, *, max_age_s: float = 300.0
) -> dict[str, Any]:
    """Check that a message about an ended job is genuine, and read it.

    Args:
        headers: of the request; their names in any case.
        body: of the request, as it arrived.
        secret: the `webhook_secret` of the job.
        max_age_s: of the message in seconds; an older one may be a copy by someone else.

    Returns:
        `type`, such as ``"job.done"``, `timestamp`, and in `data` the job.

    Raises:
        ServerError: the message is not genuine, or too old.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, moment = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    text = f"{message_id}.{moment}.".encode() + body
    right = base64.b64encode(hmac.digest(secret.encode(), text, "sha256"))
    signatures = given.get("webhook-signature", "").encode().split()
    if not any(hmac.compare_digest(b"v1," + right, one) for one in signatures):
        raise ServerError("expected a message that is signed with the secret, got another one")
    if not moment.isdecimal() or abs(time.time() - int(moment)) > max_age_s:
        raise ServerError(f"expected a message of the last {max_age_s:.0f} s, got an older one")
    document: dict[str, Any] = json.loads(body)
    return document


def _read(images: Iterable[str | Path | bytes]) -> list[tuple[str, bytes]]:
    """The name and the bytes of each image."""
    found = []
    for number, image in enumerate(images, start=1):
        if isinstance(image, bytes):
            found.append((f"image-{number}", image))
            continue
        try:
            found.append((Path(image).name, Path(image).read_bytes()))
        except OSError as error:
            raise ImageReadError(f"{image}: {error.strerror}") from None
    return found


def _part(boundary: str, field: str, name: str | None, data: bytes) -> bytes:
    """A part of a form; `name` is that of a file."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"'
    if name is not None:
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head += f'; filename="{quoted}"\r\nContent-Type: application/octet-stream'
    return f"{head}\r\n\r\n".encode() + data + b"\r\n"


def _retry_after_s(error: urllib.error.HTTPError) -> float | None:
    """Seconds after which a refused request may succeed; None where it will not."""
    text = error.headers.get("Retry-After", "")
    if error.code not in {429, 503} or not text.isdecimal():
        return None
    return float(text) if float(text) <= _MAX_WAIT_S else None


def _problem(error: urllib.error.HTTPError) -> MienError:
    """The error of a response, with the server's own words where it has some."""
    try:
        body = json.loads(error.read())["error"]
        code, message = str(body["code"]), str(body["message"])
    except (ValueError, KeyError, TypeError, OSError):
        code, message = "", f"{error.reason}: is it a mien server?"
    if code in {"image_unreadable", "image_missing"}:
        return ImageReadError(message)
    return ServerError(f"the server answered {error.code}: {message}")
