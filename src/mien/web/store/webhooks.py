"""Who is to be notified of the end of which job."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mien.web.store.database import Database, new_id, now
from mien.web.store.jobs import ACTIVE
from mien.web.store.tables import jobs, webhooks

# After which attempt how long to wait; results are kept for a day by default.
_WAITS_S = (10, 60, 300, 1_800, 7_200, 21_600)


def add_webhook(connection: Connection, job_id: str, url: str, secret: str) -> None:
    """Note that a URL is notified when a job has ended."""
    connection.execute(
        sa.insert(webhooks).values(
            id=new_id(), job_id=job_id, url=url, secret=secret, attempts=0, due_at=now()
        )
    )


def claim_webhook(database: Database) -> dict[str, Any] | None:
    """The next message to send; None where none is due.

    The next attempt is noted first, so that a message is sent again if this process is killed. The
    last one is deleted.
    """
    moment = now()
    ended = sa.select(jobs.c.id).where(jobs.c.state.not_in(ACTIVE))
    with database.begin() as connection:
        query = (
            sa.select(webhooks)
            .where(webhooks.c.due_at <= moment, webhooks.c.job_id.in_(ended))
            .order_by(webhooks.c.due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = connection.execute(query).mappings().first()
        if row is None:
            return None
        this = webhooks.c.id == row["id"]
        if row["attempts"] < len(_WAITS_S):
            later = moment + timedelta(seconds=_WAITS_S[row["attempts"]])
            connection.execute(
                sa.update(webhooks).where(this).values(attempts=row["attempts"] + 1, due_at=later)
            )
        else:
            connection.execute(sa.delete(webhooks).where(this))
    return {**row, "attempts": row["attempts"] + 1}


def delete_webhook(database: Database, webhook_id: str) -> None:
    """Forget a message that was received."""
    database.execute(sa.delete(webhooks).where(webhooks.c.id == webhook_id))
