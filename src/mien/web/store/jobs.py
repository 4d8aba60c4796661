"""Video jobs and their files: the queue itself.

A worker claims the oldest queued job for a limited time (its lease) and renews the lease while it
works. A job whose lease expired is queued again, and marked as failed after several attempts. So
each job runs at least once, whatever happens to the workers. Files are stored in the database, in
chunks, because web processes and workers may run on different machines.

A kept library with at-least-once jobs over SQLite and PostgreSQL was not found: Huey has SQLite and
Redis and loses the task of a killed worker; Procrastinate and PgQueuer need PostgreSQL; RQ needs
Redis. Leases were needed beside Huey anyway. Measured with two workers on two loaded cores, SQLite
/ PostgreSQL: 1,000 small jobs in 37 / 113 s, each run once; a job whose worker is killed with
``kill -9`` runs again after 23 / 28 s; a database that is unreachable for 8 or 30 s loses no job.
"""

import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mien.web.config import MEGABYTE
from mien.web.store.database import Database, file_chunks, files, iso, jobs, new_id, now, one_line

LEASE = timedelta(seconds=20)
_MAX_ATTEMPTS = 3
_MEDIA_TYPES = {
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".mp4": "video/mp4",
    ".html": "text/html",
    ".json": "application/json",
    ".jpg": "image/jpeg",
}

RESULT_TYPES = {*_MEDIA_TYPES.values(), "application/octet-stream"}
"""The media types of job results."""

ACTIVE = ("queued", "running")
"""The states of jobs that have not ended."""


class JobStore:
    """The jobs in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        upload: IO[bytes],
        *,
        owner: str,
        name: str,
        address: str = "",
        options: dict[str, Any],
        hours: int,
        also: Callable[[Connection, str], None] = lambda connection, job_id: None,
    ) -> str:
        """Store an upload and the options of its analysis; returns the job's id.

        Args:
            also: called at the end of the same transaction: writes what belongs to the job, or
                raises where there is no room for it.
        """
        moment, job_id = now(), new_id()
        with self._database.begin() as connection:
            connection.execute(
                sa.insert(jobs).values(
                    id=job_id,
                    owner=owner,
                    address=address,
                    name=one_line(name, 200) or "video",
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
            _put_file(
                connection,
                upload,
                job_id=job_id,
                role="upload",
                name=name,
                media_type="application/octet-stream",
            )
            also(connection, job_id)
        return job_id

    def of_owner(self, owner: str) -> list[dict[str, Any]]:
        """A visitor's jobs, the newest first."""
        return self._database.rows(
            sa.select(jobs).where(jobs.c.owner == owner).order_by(jobs.c.created_at.desc())
        )

    def find(self, job_id: str, visitor: str) -> dict[str, Any] | None:
        """A job that belongs to the visitor, or to no one."""
        query = sa.select(jobs).where(jobs.c.id == job_id, jobs.c.owner.in_(("", visitor)))
        return next(iter(self._database.rows(query)), None)

    def running(self) -> set[str]:
        """The ids of the jobs that a worker has claimed."""
        running = sa.select(jobs.c.id).where(jobs.c.state == "running")
        return {row["id"] for row in self._database.rows(running)}

    def claim(self, worker: str) -> dict[str, Any] | None:
        """Claim the oldest queued job; None where no job is queued."""
        oldest = (
            sa.select(jobs.c.id)
            .where(jobs.c.state == "queued")
            .order_by(jobs.c.created_at, jobs.c.id)
            .limit(1)
            # PostgreSQL: workers skip the row that another one is claiming. SQLite has one writer.
            .with_for_update(skip_locked=True)
        )
        claim = (
            sa.update(jobs)
            .where(jobs.c.id == oldest.scalar_subquery(), jobs.c.state == "queued")
            .values(
                state="running",
                worker=worker,
                lease_until=now() + LEASE,
                attempts=jobs.c.attempts + 1,
                frames_done=0,
                progress=0.0,
                message=None,
            )
            .returning(*jobs.c)
        )
        with self._database.begin() as connection:
            row = connection.execute(claim).mappings().first()
        return None if row is None else dict(row)

    def renew_lease(self, job_id: str, worker: str, *, frames_done: int, progress: float) -> bool:
        """Extend a worker's lease and store its progress.

        Returns:
            Whether the worker should go on: False if the job was canceled, deleted or reassigned.
        """
        renewed = self._database.execute(
            _running(job_id, worker)
            .where(jobs.c.cancel_asked.is_(False))
            .values(lease_until=now() + LEASE, frames_done=frames_done, progress=progress)
        )
        return bool(renewed)

    def finish(
        self,
        job_id: str,
        worker: str,
        *,
        state: str,
        hours: int,
        message: str | None = None,
        frames_done: int | None = None,
        page: bytes | None = None,
        results: Iterable[Path] = (),
    ) -> bool:
        """End a job: delete its upload and store its results, all in one transaction.

        Args:
            state: "done", "failed", or "cancelled", which ends only a job whose cancellation was
                requested.
            message: what the visitor should know, of a done job its warnings.
            frames_done: the final number; by default the last one reported.
            page: what the job's page shows.
            results: files to store.

        Returns:
            Whether the job still belonged to this worker; if not, nothing was changed.
        """
        moment = now()
        end = _running(job_id, worker)
        if frames_done is not None:
            end = end.values(frames_done=frames_done)
        if state == "cancelled":
            end = end.where(jobs.c.cancel_asked)
        with self._database.begin() as connection:
            ended = connection.execute(
                end.values(
                    state=state,
                    message=message,
                    finished_at=moment,
                    lease_until=None,
                    expires_at=moment + timedelta(hours=hours),
                )
            )
            if not ended.rowcount:
                return False
            _delete_uploads(connection, job_id)
            if page is not None:
                _put_page(connection, job_id, page)
            for path in results:
                with path.open("rb") as source:
                    _put_file(
                        connection,
                        source,
                        job_id=job_id,
                        role="result",
                        name=path.name,
                        media_type=_MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
                    )
        return True

    def release(self, job_id: str, worker: str) -> None:
        """Queue a job again without counting the attempt, as when the worker shuts down."""
        self._database.execute(
            _running(job_id, worker).values(
                state="queued", worker=None, lease_until=None, attempts=jobs.c.attempts - 1
            )
        )

    def cancel(self, job_id: str) -> None:
        """Ask a running job to stop; a queued one ends at once."""
        with self._database.begin() as connection:
            queued = connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state == "queued")
                .values(state="cancelled", finished_at=now())
            )
            if queued.rowcount:
                _delete_uploads(connection, job_id)
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state == "running")
                .values(cancel_asked=True)
            )

    def keep(self, job_id: str, *, days: int) -> None:
        """Keep the results for longer than by default."""
        keep = sa.update(jobs).where(jobs.c.id == job_id)
        self._database.execute(keep.values(kept=True, expires_at=now() + timedelta(days=days)))

    def delete(self, job_id: str) -> None:
        """Delete a job with its upload and results; the worker that runs it stops."""
        self._database.execute(sa.delete(jobs).where(jobs.c.id == job_id))

    def sweep(self) -> bool:
        """Queue the jobs that lost their worker again, and delete what has expired.

        Returns:
            Whether any job is queued.
        """
        moment = now()
        lost = sa.update(jobs).where(jobs.c.state == "running", jobs.c.lease_until < moment)
        with self._database.begin() as connection:
            connection.execute(
                sa.delete(jobs).where(jobs.c.expires_at < moment, jobs.c.state.not_in(ACTIVE))
            )
            connection.execute(
                lost.where(jobs.c.cancel_asked).values(state="cancelled", finished_at=moment)
            )
            connection.execute(
                lost.where(jobs.c.attempts >= _MAX_ATTEMPTS).values(
                    state="failed",
                    finished_at=moment,
                    message=f"The analysis was interrupted {_MAX_ATTEMPTS} times. Submit the video "
                    "again, or analyze it with `mien video`.",
                )
            )
            connection.execute(lost.values(state="queued", worker=None))
            ended = sa.select(jobs.c.id).where(jobs.c.state.not_in(ACTIVE))
            connection.execute(
                sa.delete(files).where(files.c.role == "upload", files.c.job_id.in_(ended))
            )
            queued = sa.select(jobs.c.id).where(jobs.c.state == "queued").limit(1)
            return connection.execute(queued).first() is not None

    def document(self, row: dict[str, Any]) -> dict[str, Any]:
        """A job as the API returns it."""
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
                {
                    "name": entry["name"],
                    "size": entry["size"],
                    "media_type": entry["media_type"],
                    "url": f"/api/v1/jobs/{row['id']}/files/{entry['name']}",
                }
                for entry in self.files(row["id"], role="result")
            ],
        }

    def show(self, job_id: str, page: bytes) -> None:
        """Replace what the page of a job shows, unless the job was deleted."""
        with self._database.begin() as connection:
            # Of PostgreSQL's locks the one that stops a deletion until the page is there.
            there = sa.select(jobs.c.id).where(jobs.c.id == job_id)
            if connection.execute(there.with_for_update(key_share=True)).first():
                _put_page(connection, job_id, page)

    def read_page(self, job_id: str) -> bytes | None:
        """What the page of a job shows; None where there is nothing yet."""
        # In one query: another worker may replace the page between two.
        query = (
            sa.select(file_chunks.c.data)
            .join(files, files.c.id == file_chunks.c.file_id)
            .where(files.c.job_id == job_id, files.c.role == "page")
            .order_by(file_chunks.c.sequence)
        )
        return b"".join(bytes(row["data"]) for row in self._database.rows(query)) or None

    def files(self, job_id: str, *, role: str) -> list[dict[str, Any]]:
        """A job's files of a role ("upload" or "result"), ordered by name."""
        query = sa.select(files).where(files.c.job_id == job_id, files.c.role == role)
        return self._database.rows(query.order_by(files.c.name))

    def read_file(self, file_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """A file's bytes, or those from `start` to before `stop`, chunk by chunk."""
        chunks = sa.select(file_chunks.c.data).where(file_chunks.c.file_id == file_id)
        # All chunks but the last have the same size.
        for sequence in itertools.count(start // MEGABYTE):
            first = sequence * MEGABYTE
            found = self._database.rows(chunks.where(file_chunks.c.sequence == sequence))
            if not found or (stop is not None and first >= stop):
                return
            data = bytes(found[0]["data"])
            yield data[max(0, start - first) : None if stop is None else stop - first]

    def copy_file(self, file_id: str, path: Path) -> None:
        """Write a file of the database to a new file on disk."""
        with path.open("xb") as target:
            for data in self.read_file(file_id):
                target.write(data)


def count_active(connection: Connection, *, owner: str | None = None, address: str = "") -> int:
    """The number of jobs that are queued or running, of an owner or from an address or both."""
    query = sa.select(sa.func.count()).where(jobs.c.state.in_(ACTIVE))
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    if address:
        query = query.where(jobs.c.address == address)
    return int(connection.execute(query).scalar_one())


def _put_file(
    connection: Connection, source: IO[bytes], *, job_id: str, role: str, name: str, media_type: str
) -> None:
    """Copy a file into the database."""
    file_id = new_id()
    connection.execute(
        sa.insert(files).values(
            id=file_id, job_id=job_id, role=role, name=name, media_type=media_type, size=0
        )
    )
    size = 0
    for sequence, data in enumerate(iter(lambda: source.read(MEGABYTE), b"")):
        connection.execute(
            sa.insert(file_chunks).values(file_id=file_id, sequence=sequence, data=data)
        )
        size += len(data)
    connection.execute(sa.update(files).where(files.c.id == file_id).values(size=size))


def _put_page(connection: Connection, job_id: str, document: bytes) -> None:
    connection.execute(sa.delete(files).where(files.c.job_id == job_id, files.c.role == "page"))
    _put_file(
        connection,
        io.BytesIO(document),
        job_id=job_id,
        role="page",
        name="page.json",
        media_type="application/json",
    )


def _running(job_id: str, worker: str) -> sa.Update:
    """An update of a job that changes it only while the worker has it."""
    return sa.update(jobs).where(
        jobs.c.id == job_id, jobs.c.worker == worker, jobs.c.state == "running"
    )


def _delete_uploads(connection: Connection, job_id: str) -> None:
    connection.execute(sa.delete(files).where(files.c.job_id == job_id, files.c.role == "upload"))
