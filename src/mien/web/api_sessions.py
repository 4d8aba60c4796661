"""The HTTP API's third part: recorded sessions."""

import json
from collections.abc import Iterator
from typing import Any

from flask import Response, current_app, g, jsonify, stream_with_context
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from mien.labels import Expression
from mien.media.sinks import csv_line, face_columns
from mien.web.api import ERRORS, PREFIX
from mien.web.errors import ProblemError
from mien.web.schemas import (
    DeletedDocument,
    ErrorDocument,
    RenameBody,
    SessionDocument,
    SessionFramesDocument,
    SessionPath,
    SessionsDocument,
)
from mien.web.security import owner
from mien.web.store import sessions
from mien.web.store.database import Database

_NOT_FOUND: dict[str | int, Any] = {**ERRORS, "404": ErrorDocument}

blueprint = APIBlueprint(
    "sessions",
    __name__,
    url_prefix=f"{PREFIX}/sessions",
    abp_tags=[Tag(name="sessions", description="Recorded sessions.")],
)


@blueprint.get("", summary="The visitor's sessions", responses={**ERRORS, "200": SessionsDocument})
def list_sessions() -> Response:
    found = sessions.list_sessions(database(), owner()) if owner() else []
    return jsonify({"sessions": found})


@blueprint.delete(
    "", summary="Delete all of the visitor's sessions", responses={**ERRORS, "200": DeletedDocument}
)
def delete_all() -> Response:
    count = sessions.delete_all_sessions(database(), owner()) if owner() else 0
    return jsonify({"deleted": count})


@blueprint.get(
    "/<session_id>", summary="A session", responses={**_NOT_FOUND, "200": SessionDocument}
)
def session(path: SessionPath) -> Response:
    return jsonify(require_session(path.session_id))


@blueprint.patch(
    "/<session_id>", summary="Rename a session", responses={**_NOT_FOUND, "200": SessionDocument}
)
def rename(path: SessionPath, body: RenameBody) -> Response:
    require_session(path.session_id)
    sessions.rename_session(database(), path.session_id, body.name)
    return jsonify(require_session(path.session_id))


@blueprint.delete(
    "/<session_id>", summary="Delete a session", responses={**_NOT_FOUND, "200": DeletedDocument}
)
def delete(path: SessionPath) -> Response:
    require_session(path.session_id)
    sessions.delete_session(database(), path.session_id)
    return jsonify({"deleted": 1})


@blueprint.get(
    "/<session_id>/frames",
    summary="A session's results as JSON",
    responses={**_NOT_FOUND, "200": SessionFramesDocument},
)
def frames_json(path: SessionPath) -> Response:
    document = require_session(path.session_id)

    def parts() -> Iterator[str]:
        yield '{"session":' + json.dumps(document) + ',"frames":['
        for index, frame in enumerate(sessions.read_frames(database(), path.session_id)):
            yield ("," if index else "") + json.dumps(frame, separators=(",", ":"))
        yield "]}"

    return Response(stream_with_context(parts()), mimetype="application/json")


@blueprint.get(
    "/<session_id>/frames.csv",
    summary="A session's results as a table",
    responses={**_NOT_FOUND, "200": {"content": {"text/csv": {}}}},
)
def frames_csv(path: SessionPath) -> Response:
    """One row per frame and face, with the columns of `mien video`'s table."""
    require_session(path.session_id)

    def lines() -> Iterator[str]:
        columns: list[str] = []
        waiting: list[dict[str, Any]] = []
        for frame in sessions.read_frames(database(), path.session_id):
            for face in frame["faces"]:
                waiting.append(_flat(frame, face))
                # The labels, which are columns, come with the first expression.
                if not columns and face["expression"] is not None:
                    columns = face_columns(map(Expression, face["expression"]["probabilities"]))
                    yield csv_line(columns)
            if columns:
                yield "".join(csv_line(row.get(name) for name in columns) for row in waiting)
                waiting.clear()
        if not columns:
            columns = face_columns(Expression)
            yield csv_line(columns)
            yield "".join(csv_line(row.get(name) for name in columns) for row in waiting)

    return Response(
        stream_with_context(lines()),
        mimetype="text/csv",
        headers={"Content-Disposition": 'attachment; filename="session.csv"'},
    )


def _flat(frame: dict[str, Any], face: dict[str, Any]) -> dict[str, Any]:
    """A face's row, from the stored document; as :func:`mien.types.frame.flat_row` makes it."""
    expression = face["expression"] or {}
    quality = face["quality"] or {}
    return {
        "source": frame["source"],
        "frame_index": frame["frame_index"],
        "timestamp_s": frame["timestamp_s"],
        "track_id": face["track_id"],
        **face["box"],
        "score": face["score"],
        "expression": expression.get("label"),
        "uncertain": expression.get("uncertain"),
        "expression_raw": (face.get("expression_raw") or {}).get("label"),
        **{f"p_{label}": p for label, p in expression.get("probabilities", {}).items()},
        **quality,
        "reasons": " ".join(quality.get("reasons", ())),
        **(face["affect"] or {}),
        **(face["signals"] or {}),
        **(face.get("track") or {}),
    }


def require_session(session_id: str) -> dict[str, Any]:
    """A session that the visitor may see.

    Raises:
        ProblemError: there is none.
    """
    document = sessions.find_session(database(), session_id, g.visitor.id)
    if document is None:
        raise ProblemError(404, "not_found", "There is no such session, or it was deleted.")
    return document


def database() -> Database:
    """The application's database."""
    found: Database = current_app.extensions["mien.database"]
    return found
