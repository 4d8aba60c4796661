"""Links with which others see a session or a video until they expire."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mien.web.store.database import Database, iso, new_id, now
from mien.web.store.markers import Kind
from mien.web.store.tables import jobs, sessions, shares

MOST = 10
"""Links of a recording at most."""


def add_share(database: Database, kind: Kind, recording_id: str, *, days: int) -> bool:
    """Add a link; returns whether the recording had fewer than the most."""
    moment = now()
    count = sa.select(sa.func.count()).where(*_valid(kind, recording_id))
    with database.begin() as connection:
        if connection.execute(count).scalar_one() >= MOST:
            return False
        connection.execute(
            sa.insert(shares).values(
                {
                    "id": new_id(),
                    f"{kind}_id": recording_id,
                    "created_at": moment,
                    "expires_at": moment + timedelta(days=days),
                }
            )
        )
    return True


def list_shares(database: Database, kind: Kind, recording_id: str) -> list[dict[str, Any]]:
    """The links of a recording that have not expired, the newest first."""
    query = sa.select(shares).where(*_valid(kind, recording_id))
    rows = database.rows(query.order_by(shares.c.created_at.desc(), shares.c.id))
    return [{"id": row["id"], "expires_at": iso(row["expires_at"])} for row in rows]


def find_share(database: Database, share_id: str) -> tuple[Kind, str, str] | None:
    """What a link shows: the kind, the id and the name of the recording; None if it expired."""
    query = (
        sa.select(
            shares.c.session_id,
            shares.c.job_id,
            sa.func.coalesce(sessions.c.name, jobs.c.name).label("name"),
        )
        .outerjoin(sessions, sessions.c.id == shares.c.session_id)
        .outerjoin(jobs, jobs.c.id == shares.c.job_id)
        .where(shares.c.id == share_id, shares.c.expires_at > now())
    )
    for row in database.rows(query):
        kind: Kind = "session" if row["session_id"] else "job"
        return kind, row[f"{kind}_id"], row["name"]
    return None


def delete_share(database: Database, kind: Kind, recording_id: str, share_id: str) -> None:
    """Revoke a link of a recording."""
    one = (shares.c[f"{kind}_id"] == recording_id, shares.c.id == share_id)
    database.execute(sa.delete(shares).where(*one))


def sweep_shares(database: Database) -> None:
    """Delete what has expired."""
    database.execute(sa.delete(shares).where(shares.c.expires_at < now()))


def _valid(kind: Kind, recording_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return shares.c[f"{kind}_id"] == recording_id, shares.c.expires_at > now()
