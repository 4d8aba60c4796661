"""Times of a session or a video that a person marked, with a note."""

from typing import Any, Literal

import sqlalchemy as sa

from mien.web.store.database import Database, new_id
from mien.web.store.tables import markers

Kind = Literal["session", "job"]

MOST = 200
"""Markers of a recording at most."""


def list_markers(database: Database, kind: Kind, recording_id: str) -> list[dict[str, Any]]:
    """The markers of a recording with `id`, `at_s` and `text`, by their time."""
    query = sa.select(markers.c.id, markers.c.at_s, markers.c.text)
    query = query.where(markers.c[f"{kind}_id"] == recording_id)
    return database.rows(query.order_by(markers.c.at_s, markers.c.id))


def add_marker(
    database: Database, kind: Kind, recording_id: str, *, at_s: float, text: str
) -> str | None:
    """Mark a time; returns the marker's id, or None where the recording has too many."""
    found = new_id()
    count = sa.select(sa.func.count()).where(markers.c[f"{kind}_id"] == recording_id)
    with database.begin() as connection:
        if connection.execute(count).scalar_one() >= MOST:
            return None
        connection.execute(
            sa.insert(markers).values(
                {"id": found, f"{kind}_id": recording_id, "at_s": at_s, "text": text}
            )
        )
    return found


def change_marker(
    database: Database, kind: Kind, recording_id: str, marker_id: str, *, at_s: float, text: str
) -> bool:
    """Change a marker; returns whether the recording has it."""
    change = sa.update(markers).where(*_one(kind, recording_id, marker_id))
    return bool(database.execute(change.values(at_s=at_s, text=text)))


def delete_marker(database: Database, kind: Kind, recording_id: str, marker_id: str) -> bool:
    """Delete a marker; returns whether the recording had it."""
    return bool(database.execute(sa.delete(markers).where(*_one(kind, recording_id, marker_id))))


def _one(kind: Kind, recording_id: str, marker_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return markers.c[f"{kind}_id"] == recording_id, markers.c.id == marker_id
