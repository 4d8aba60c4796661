"""Faces with the labels that a visitor gave them."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mien.web.store.database import Database, iso, new_id, now
from mien.web.store.tables import corrections


def add_correction(database: Database, owner: str, label: str, picture: bytes, *, days: int) -> str:
    """Keep a face as JPEG with its label; returns its id."""
    moment, found = now(), new_id()
    database.execute(
        sa.insert(corrections).values(
            id=found,
            owner=owner,
            label=label,
            picture=picture,
            size=len(picture),
            created_at=moment,
            expires_at=moment + timedelta(days=days),
        )
    )
    return found


def list_corrections(database: Database, owner: str) -> list[dict[str, Any]]:
    """A visitor's labeled faces without their pictures, the newest first."""
    columns = (corrections.c.id, corrections.c.label, corrections.c.created_at)
    query = sa.select(*columns).where(corrections.c.owner == owner)
    rows = database.rows(query.order_by(corrections.c.created_at.desc(), corrections.c.id))
    return [{**row, "created_at": iso(row["created_at"])} for row in rows]


def read_pictures(database: Database, owner: str) -> list[tuple[str, bytes]]:
    """The label and the JPEG of each of a visitor's faces, the oldest first."""
    query = sa.select(corrections.c.label, corrections.c.picture).where(
        corrections.c.owner == owner
    )
    rows = database.rows(query.order_by(corrections.c.created_at, corrections.c.id))
    return [(row["label"], bytes(row["picture"])) for row in rows]


def find_picture(database: Database, owner: str, correction_id: str) -> bytes | None:
    """The JPEG of one of a visitor's faces."""
    query = sa.select(corrections.c.picture).where(
        corrections.c.owner == owner, corrections.c.id == correction_id
    )
    return next((bytes(row["picture"]) for row in database.rows(query)), None)


def delete_corrections(database: Database, owner: str, correction_id: str | None = None) -> int:
    """Delete one of a visitor's faces, or all; returns how many."""
    delete = sa.delete(corrections).where(corrections.c.owner == owner)
    if correction_id is not None:
        delete = delete.where(corrections.c.id == correction_id)
    return database.execute(delete)


def corrections_bytes(database: Database) -> int:
    """The size of all visitors' faces."""
    total = sa.select(sa.func.coalesce(sa.func.sum(corrections.c.size), 0).label("size"))
    return int(database.rows(total)[0]["size"])


def sweep_corrections(database: Database) -> None:
    """Delete what has expired."""
    database.execute(sa.delete(corrections).where(corrections.c.expires_at < now()))
