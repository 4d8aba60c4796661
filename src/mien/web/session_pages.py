"""The pages of recorded sessions; they work without any script."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from mien.web import charts
from mien.web.api_sessions import database, require_session
from mien.web.errors import ProblemError
from mien.web.security import owner
from mien.web.store import sessions as store

blueprint = Blueprint("session_pages", __name__)


@blueprint.get("/sessions")
def sessions() -> str:
    """The visitor's sessions."""
    found = store.list_sessions(database(), owner()) if owner() else []
    return render_template("sessions.html", sessions=found)


@blueprint.post("/sessions")
def delete_all() -> ResponseReturnValue:
    """Delete every session of the visitor."""
    if request.form.get("action") != "delete-all":
        raise ProblemError(400, "bad_request", "Expected the action delete-all.")
    if owner():
        store.delete_all_sessions(database(), owner())
    return redirect(url_for("session_pages.sessions"), 303)


@blueprint.get("/sessions/compare")
def compare() -> ResponseReturnValue:
    """Two or more sessions side by side."""
    chosen = request.args.getlist("id")[:4]
    if len(chosen) < 2:
        return redirect(url_for("session_pages.sessions"))
    return render_template("compare.html", sides=[_with_charts(one) for one in chosen])


@blueprint.get("/sessions/<session_id>")
def session(session_id: str) -> str:
    """A session: its timeline, person by person."""
    return render_template("session.html", **_with_charts(session_id))


def _with_charts(session_id: str) -> dict[str, Any]:
    document = require_session(session_id)
    return {
        "recorded": document,
        "people": charts.people(store.read_frames(database(), session_id)),
    }


@blueprint.post("/sessions/<session_id>")
def change(session_id: str) -> ResponseReturnValue:
    """Rename or delete a session."""
    require_session(session_id)
    action = request.form.get("action")
    if action == "delete":
        store.delete_session(database(), session_id)
        return redirect(url_for("session_pages.sessions"), 303)
    if action == "rename":
        name = request.form.get("name", "").strip()[:120]
        if not name:
            raise ProblemError(422, "invalid", "Expected a name of 1 to 120 characters.")
        store.rename_session(database(), session_id, name)
        return redirect(url_for("session_pages.session", session_id=session_id), 303)
    raise ProblemError(400, "bad_request", "Expected the action rename or delete.")
