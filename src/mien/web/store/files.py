"""Files in the database, in chunks: web processes and workers share no disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mien.web.config import MEGABYTE
from mien.web.store.database import Database, new_id
from mien.web.store.tables import file_chunks, files

_CHUNK = MEGABYTE


def put_file(
    connection: Connection, source: IO[bytes], *, job_id: str, role: str, name: str, media_type: str
) -> int:
    """Copy a file into the database; tells its size in bytes."""
    file_id = new_id()
    connection.execute(
        sa.insert(files).values(
            id=file_id, job_id=job_id, role=role, name=name, media_type=media_type, size=0
        )
    )
    size = 0
    for sequence, data in enumerate(iter(lambda: source.read(_CHUNK), b"")):
        connection.execute(
            sa.insert(file_chunks).values(file_id=file_id, sequence=sequence, data=data)
        )
        size += len(data)
    connection.execute(sa.update(files).where(files.c.id == file_id).values(size=size))
    return size


def find_files(database: Database, job_id: str, *, role: str) -> list[dict[str, Any]]:
    """A job's files of a role, by name."""
    query = (
        sa.select(files)
        .where(files.c.job_id == job_id, files.c.role == role)
        .order_by(files.c.name)
    )
    with database.begin() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def read_file(database: Database, file_id: str) -> Iterator[bytes]:
    """A file's bytes, chunk by chunk."""
    sequence = 0
    while True:
        query = sa.select(file_chunks.c.data).where(
            file_chunks.c.file_id == file_id, file_chunks.c.sequence == sequence
        )
        with database.begin() as connection:
            data = connection.execute(query).scalar()
        if data is None:
            return
        yield bytes(data)
        sequence += 1


def copy_to(database: Database, file_id: str, path: Path) -> None:
    """Write a file of the database to a new file on disk."""
    with path.open("xb") as target:
        for data in read_file(database, file_id):
            target.write(data)


def delete_files(connection: Connection, job_id: str, *, role: str) -> None:
    """Delete a job's files of a role."""
    connection.execute(sa.delete(files).where(files.c.job_id == job_id, files.c.role == role))
