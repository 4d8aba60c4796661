"""Video jobs: their state, who works on them, and until when that can be believed.

The queue that wakes the workers forgets a task that dies with its worker. So what is to be done
stands here: a worker takes a job for a while (its lease) and renews the lease as it goes; a job
whose lease ran out is taken up again, and marked failed when that happened too often.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from mien.web.store import files
from mien.web.store.database import Database, iso, new_id, now
from mien.web.store.tables import files as files_table
from mien.web.store.tables import jobs

LEASE = timedelta(seconds=20)
MAX_ATTEMPTS = 3
_ACTIVE = ("queued", "running")


def create_job(
    database: Database,
    upload: IO[bytes],
    *,
    owner: str,
    name: str,
    options: dict[str, Any],
    hours: int,
) -> str:
    """Store an upload and what shall be done with it; gives the job's id."""
    moment, job_id = now(), new_id()
    with database.begin() as connection:
        connection.execute(
            sa.insert(jobs).values(
                id=job_id,
                owner=owner,
                name=name,
                options=options,
                state="queued",
                frames_done=0,
                progress=0.0,
                attempts=0,
                cancel_asked=False,
                kept=False,
                created_at=moment,
                expires_at=moment + timedelta(hours=hours),
            )
        )
        files.put_file(
            connection,
            upload,
            job_id=job_id,
            role="upload",
            name=name,
            media_type="application/octet-stream",
        )
    return job_id


def list_jobs(database: Database, owner: str) -> list[dict[str, Any]]:
    """A visitor's jobs, the newest first."""
    query = sa.select(jobs).where(jobs.c.owner == owner).order_by(jobs.c.created_at.desc())
    with database.begin() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def count_active(database: Database, owner: str) -> int:
    """How many of a visitor's jobs are not ended."""
    query = (
        sa.select(sa.func.count())
        .select_from(jobs)
        .where(jobs.c.owner == owner, jobs.c.state.in_(_ACTIVE))
    )
    with database.begin() as connection:
        return int(connection.execute(query).scalar_one())


def find_job(database: Database, job_id: str, visitor: str) -> dict[str, Any] | None:
    """A job that is the visitor's, or nobody's."""
    query = sa.select(jobs).where(jobs.c.id == job_id, jobs.c.owner.in_(("", visitor)))
    with database.begin() as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else dict(row)


def claim_job(database: Database, job_id: str, worker: str) -> dict[str, Any] | None:
    """Take a waiting job; None where another worker has it, or it is not waiting any more."""
    with database.begin() as connection:
        taken = connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == "queued")
            .values(
                state="running",
                worker=worker,
                lease_until=now() + LEASE,
                attempts=jobs.c.attempts + 1,
                frames_done=0,
                progress=0.0,
                message=None,
            )
        )
        if not taken.rowcount:
            return None
        row = connection.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one()
        return dict(row)


def renew_lease(
    database: Database, job_id: str, worker: str, *, frames_done: int, progress: float
) -> bool:
    """A sign of life from a worker.

    Returns:
        Whether it shall go on: not where the job was cancelled, deleted, or given to another.
    """
    with database.begin() as connection:
        renewed = connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.worker == worker,
                jobs.c.state == "running",
                jobs.c.cancel_asked.is_(False),
            )
            .values(lease_until=now() + LEASE, frames_done=frames_done, progress=progress)
        )
        return bool(renewed.rowcount)


def finish_job(
    database: Database,
    job_id: str,
    worker: str,
    *,
    state: str,
    hours: int,
    message: str | None = None,
    store: Callable[[sa.Connection], None] = lambda connection: None,
) -> bool:
    """End a job: its upload is deleted, its results are stored, all in one transaction.

    Args:
        store: puts the results into the database.

    Returns:
        Whether the job was still this worker's; nothing was changed where not.
    """
    moment = now()
    with database.begin() as connection:
        ended = connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.worker == worker, jobs.c.state == "running")
            .values(
                state=state,
                message=message,
                finished_at=moment,
                lease_until=None,
                expires_at=moment + timedelta(hours=hours),
            )
        )
        if not ended.rowcount:
            return False
        files.delete_files(connection, job_id, role="upload")
        store(connection)
    return True


def release_job(database: Database, job_id: str, worker: str) -> None:
    """Hand a job back unharmed; an end of the worker that was meant is no failed attempt."""
    with database.begin() as connection:
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.worker == worker, jobs.c.state == "running")
            .values(state="queued", worker=None, lease_until=None, attempts=jobs.c.attempts - 1)
        )


def cancel_job(database: Database, job_id: str) -> None:
    """Ask a running job to stop; one that still waits is ended at once."""
    with database.begin() as connection:
        waiting = connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == "queued")
            .values(state="cancelled", finished_at=now())
        )
        if waiting.rowcount:
            files.delete_files(connection, job_id, role="upload")
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == "running")
            .values(cancel_asked=True)
        )


def keep_job(database: Database, job_id: str, *, days: int) -> None:
    """Keep the results for longer than usual."""
    with database.begin() as connection:
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id)
            .values(kept=True, expires_at=now() + timedelta(days=days))
        )


def delete_job(database: Database, job_id: str) -> None:
    """Delete a job with its upload and results; a worker that has it stops."""
    with database.begin() as connection:
        connection.execute(sa.delete(jobs).where(jobs.c.id == job_id))


def sweep_jobs(database: Database) -> list[str]:
    """Take up again what lost its worker, and delete what is past its time.

    Returns:
        Ids of the jobs that wait for a worker.
    """
    moment = now()
    lost = (jobs.c.state == "running", jobs.c.lease_until < moment)
    with database.begin() as connection:
        connection.execute(
            sa.delete(jobs).where(jobs.c.expires_at < moment, jobs.c.state.not_in(_ACTIVE))
        )
        cancelled = sa.update(jobs).where(*lost, jobs.c.cancel_asked.is_(True))
        connection.execute(cancelled.values(state="cancelled", finished_at=moment))
        given_up = sa.update(jobs).where(*lost, jobs.c.attempts >= MAX_ATTEMPTS)
        connection.execute(
            given_up.values(
                state="failed",
                finished_at=moment,
                message=f"The analysis broke off {MAX_ATTEMPTS} times without a reason.",
            )
        )
        connection.execute(sa.update(jobs).where(*lost).values(state="queued", worker=None))
        ended = sa.select(jobs.c.id).where(jobs.c.state.not_in(_ACTIVE))
        connection.execute(
            sa.delete(files_table).where(
                files_table.c.role == "upload", files_table.c.job_id.in_(ended)
            )
        )
        waiting = sa.select(jobs.c.id).where(jobs.c.state == "queued").order_by(jobs.c.created_at)
        return list(connection.execute(waiting).scalars())


def job_document(row: dict[str, Any] | RowMapping, results: list[dict[str, Any]]) -> dict[str, Any]:
    """A job as the API shows it; addresses of the files are added by the caller."""
    return {
        "id": row["id"],
        "name": row["name"],
        "state": row["state"],
        "progress": 1.0 if row["state"] == "done" else round(row["progress"], 4),
        "frames_done": row["frames_done"],
        "message": row["message"],
        "attempts": row["attempts"],
        "created_at": iso(row["created_at"]),
        "finished_at": iso(row["finished_at"]),
        "expires_at": iso(row["expires_at"]),
        "files": [
            {"name": entry["name"], "size": entry["size"], "media_type": entry["media_type"]}
            for entry in results
        ],
    }
