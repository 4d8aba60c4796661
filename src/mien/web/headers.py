"""What browsers may do with the responses: content security policy and other headers."""

import base64
import hashlib
import re
from collections.abc import Sequence

from flask import Flask, Response, request

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        # WebAssembly runs the networks of the live page.
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
    )
)


def init_app(app: Flask) -> None:
    """Set the headers of every response that has none of its own."""
    app.after_request(_set_headers)


def policy(frames: Sequence[str] = ()) -> str:
    """The content security policy of a page that some sites, usually none, may show in a frame."""
    allowed = " ".join(frames) or "'none'"
    return f"{_CONTENT_SECURITY_POLICY}; frame-ancestors {allowed}"


def _set_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", policy())
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault(
        "Permissions-Policy", "camera=(self), microphone=(), geolocation=(), display-capture=()"
    )
    headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response


def sandboxed_report(document: bytes) -> Response:
    """A video's HTML report in a sandbox; its own scripts are allowed by their hashes."""
    # Scripts with attributes are data, or files, which are not allowed.
    inline = re.findall(rb"<script>(.*?)</script", document, re.DOTALL)
    scripts = (
        " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}'"
            for text in inline
        )
        or "'none'"
    )
    response = Response(document, mimetype="text/html")
    response.headers["Content-Security-Policy"] = "; ".join(
        (
            "sandbox allow-scripts allow-downloads",
            "default-src 'none'",
            f"script-src {scripts}",
            # The report has its own style sheet, and draws with style attributes.
            "style-src 'unsafe-inline'",
            "img-src data:",
            "media-src data: blob:",
            "font-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )
    return response
