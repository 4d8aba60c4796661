"""The database: SQLite in the data folder, or PostgreSQL where ``DATABASE_URL`` says so.

``mien/web/migrations`` creates and changes its tables.
"""

import logging
import os
import secrets
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mien.errors import MissingExtraError, SettingError
from mien.web.config import WebConfig

log = logging.getLogger("mien.web")
_MIGRATIONS = Path(__file__).parents[1] / "migrations"
# Any number will do, so long as all processes use the same.
_MIGRATION_LOCK = 6_365_636
_LIMITS_LOCK = 6_365_637
_CONNECT_TIMEOUT_S = 3

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = sa.String(22)
# They are inside words and pictograms.
_JOINERS = "\u200c\u200d"

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("owner", _ID, nullable=False, index=True),
    sa.Column("name", sa.String(120), nullable=False),
    # "recording", "complete", or "interrupted" if the recorder was lost.
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
    sa.Column("duration_s", sa.Float, nullable=False),
    sa.Column("frames", sa.Integer, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    # Bytes of its chunks.
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
)

session_chunks = sa.Table(
    "session_chunks",
    metadata,
    sa.Column("session_id", sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    # FrameResults as JSON Lines, compressed with zlib.
    sa.Column("data", sa.LargeBinary, nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("owner", _ID, nullable=False, index=True),
    # Stands for the address that sent the video; see security.address_mark.
    sa.Column("address", _ID, nullable=False, index=True, server_default=""),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("frames_done", sa.Integer, nullable=False),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("message", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Column("kept", sa.Boolean, nullable=False),
    # The worker that has the job, until the end of its lease.
    sa.Column("worker", sa.String(80)),
    sa.Column("lease_until", sa.DateTime),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("finished_at", sa.DateTime),
    sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
    sa.Index("ix_jobs_state_lease_until", "state", "lease_until"),
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("role", sa.String(8), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("media_type", sa.String(80), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
)

file_chunks = sa.Table(
    "file_chunks",
    metadata,
    sa.Column("file_id", sa.ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("url", sa.String(500), nullable=False),
    sa.Column("secret", sa.String(128), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.DateTime, nullable=False, index=True),
)

corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("owner", _ID, nullable=False, index=True),
    sa.Column("label", sa.String(40), nullable=False),
    # A face as JPEG.
    sa.Column("picture", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
)

markers = sa.Table(
    "markers",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    # One of the two.
    sa.Column("session_id", sa.ForeignKey("sessions.id", ondelete="CASCADE"), index=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    sa.Column("at_s", sa.Float, nullable=False),
    sa.Column("text", sa.String(200), nullable=False),
)

shares = sa.Table(
    "shares",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    # One of the two.
    sa.Column("session_id", sa.ForeignKey("sessions.id", ondelete="CASCADE"), index=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
)


class Database:
    """Connections to the database, whose tables are migrated at the first use.

    Nothing is opened before that, so that an application can be made before a fork, and starts
    while its database is unavailable.

    Args:
        url: in SQLAlchemy's format.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on an exception.

        Raises:
            SQLAlchemyError: the database is unreachable.
        """
        with self._ready().begin() as connection:
            yield connection

    def rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """The rows of a query; raises as :meth:`begin`."""
        with self.begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def execute(self, statement: sa.Executable) -> int:
        """Run one statement in a transaction of its own; returns the number of changed rows."""
        with self.begin() as connection:
            return connection.execute(statement).rowcount

    def problem(self) -> str | None:
        """Why the database cannot be used; None if it can."""
        try:
            self.execute(sa.text("SELECT 1"))
        except SQLAlchemyError as error:
            log.warning("database unavailable: %s", error)
            return "the database is unreachable"
        return None

    def upgrade(self) -> None:
        """Migrate the tables; safe when several processes do it at once."""
        self._ready()

    def _ready(self) -> Engine:
        engine = self._engine
        if engine is not None:
            return engine
        with self._lock:
            if self._engine is None:
                engine = _make_engine(self.url)
                _upgrade(engine)
                self._engine = engine
            return self._engine


def serialize(connection: Connection, what: str) -> None:
    """Let transactions that say the same go on one after the other, each until its end.

    What one counts afterwards has all that the others wrote, so that a limit holds for parallel
    requests to several processes. SQLite has one transaction at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        number = zlib.crc32(what.encode()) - 2**31
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LIMITS_LOCK, number)))


def stored_bytes(connection: Connection) -> int:
    """The size of all uploads, results, sessions and labeled faces."""
    sums = (sa.select(sa.func.sum(table.c.size)) for table in (files, sessions, corrections))
    return sum(int(connection.execute(query).scalar_one() or 0) for query in sums)


def database_url(config: WebConfig) -> str:
    """The database's address in SQLAlchemy's format.

    Raises:
        SettingError: it is invalid or of another kind of database, or the data folder is not
            writable.
    """
    if not config.database_url:
        return f"sqlite:///{config.ready_data_dir() / 'mien.sqlite'}"
    try:
        url = make_url(config.database_url)
    except ArgumentError:
        raise SettingError(
            "expected DATABASE_URL like postgresql://user:password@host/name or sqlite:///file, "
            "got something else"
        ) from None
    kind = url.drivername.split("+")[0]
    if kind == "sqlite":
        return config.database_url
    if kind not in {"postgres", "postgresql"}:
        raise SettingError(f"expected DATABASE_URL of PostgreSQL or SQLite, got {kind}")
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def now() -> datetime:
    """The time in UTC, without a zone, as both databases keep it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_id() -> str:
    """22 random characters."""
    return secrets.token_urlsafe(16)


def one_line(text: str, most: int) -> str:
    """A name that a visitor gives, as every database keeps and every page shows it.

    Characters that are not printed, such as line ends and those that reverse a text, become spaces.
    """
    kept = (one if one.isprintable() or one in _JOINERS else " " for one in text)
    return " ".join("".join(kept).split())[:most].strip()


def iso(moment: datetime | None) -> str | None:
    """A time of the database as ISO 8601 text with its zone."""
    return None if moment is None else moment.isoformat(timespec="seconds") + "Z"


def _make_engine(url: str) -> Engine:
    if url.startswith("sqlite"):
        _make_private(make_url(url).database)
        engine = sa.create_engine(url, connect_args={"timeout": 15})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return sa.create_engine(
            url,
            # A connection that broke while the server was down is replaced.
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=10,
            pool_timeout=5,
            connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
        )
    except ModuleNotFoundError:
        raise MissingExtraError("psycopg", "web", "use PostgreSQL") from None


def _make_private(path: str | None) -> None:
    """Create SQLite's file so that only this user can read it; its side files follow."""
    if path and path != ":memory:":
        with suppress(OSError):  # connecting reports it
            os.close(os.open(path, os.O_CREAT, 0o600))
            os.chmod(path, 0o600)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver would begin the transaction only at the first write, after the reads.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(engine: Engine) -> None:
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_lock({_MIGRATION_LOCK})"))
        configuration.attributes["connection"] = connection
        alembic.command.upgrade(configuration, "head")
        connection.commit()
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_unlock({_MIGRATION_LOCK})"))
            connection.commit()


def main() -> None:
    """``python -m mien.web.store.database``: migrate the tables, before a release."""
    Database(database_url(WebConfig.from_environment())).upgrade()
    print("The database is up to date.")


if __name__ == "__main__":
    main()
