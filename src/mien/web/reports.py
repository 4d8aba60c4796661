"""A video's report in the browser: in a sandbox, its own script allowed by its hash alone."""

import base64
import hashlib
from html.parser import HTMLParser

from flask import Response

_DATA_TYPES = {"application/json", "application/ld+json"}


def sandboxed(document: bytes) -> Response:
    """The report as a response that can reach nothing of this site."""
    scripts = " ".join(f"'sha256-{digest}'" for digest in _script_hashes(document)) or "'none'"
    response = Response(document, mimetype="text/html")
    response.headers["Content-Security-Policy"] = "; ".join(
        (
            "sandbox allow-scripts allow-downloads",
            "default-src 'none'",
            f"script-src {scripts}",
            # The report carries its own style sheet, and draws with styles.
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


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = (
            tag == "script" and "src" not in given and given.get("type") not in _DATA_TYPES
        )
        if self._inside:
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False


def _script_hashes(document: bytes) -> list[str]:
    parser = _Scripts()
    parser.feed(document.decode("utf-8", errors="replace"))
    return [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
        for text in parser.found
    ]
