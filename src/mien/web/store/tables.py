"""The tables; ``mien/web/migrations`` creates and changes them in a database."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = String(22)

sessions = Table(
    "sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", ID, nullable=False, index=True),
    Column("name", String(120), nullable=False),
    # "recording", "complete", or "interrupted" if the recorder was lost.
    Column("state", String(12), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False, index=True),
    Column("duration_s", Float, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("people", Integer, nullable=False),
)

session_chunks = Table(
    "session_chunks",
    metadata,
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    # FrameResults as JSON Lines, compressed with zlib.
    Column("data", LargeBinary, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", ID, nullable=False, index=True),
    # Stands for the address that sent the video; see security.address_mark.
    Column("address", ID, nullable=False, index=True, server_default=""),
    Column("name", String(200), nullable=False),
    Column("options", JSON, nullable=False),
    Column("state", String(10), nullable=False),
    Column("frames_done", Integer, nullable=False),
    Column("progress", Float, nullable=False),
    Column("message", Text),
    Column("attempts", Integer, nullable=False),
    Column("cancel_asked", Boolean, nullable=False),
    Column("kept", Boolean, nullable=False),
    # The worker that has the job, until the end of its lease.
    Column("worker", String(80)),
    Column("lease_until", DateTime),
    Column("created_at", DateTime, nullable=False),
    Column("finished_at", DateTime),
    Column("expires_at", DateTime, nullable=False, index=True),
    Index("ix_jobs_state_lease_until", "state", "lease_until"),
)

files = Table(
    "files",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", String(8), nullable=False),
    Column("name", String(200), nullable=False),
    Column("media_type", String(80), nullable=False),
    Column("size", BigInteger, nullable=False),
)

file_chunks = Table(
    "file_chunks",
    metadata,
    Column("file_id", ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("url", String(500), nullable=False),
    Column("secret", String(128), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", DateTime, nullable=False, index=True),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", ID, primary_key=True),
    Column("owner", ID, nullable=False, index=True),
    Column("label", String(40), nullable=False),
    # A face as JPEG.
    Column("picture", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False, index=True),
)

markers = Table(
    "markers",
    metadata,
    Column("id", ID, primary_key=True),
    # One of the two.
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), index=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    Column("at_s", Float, nullable=False),
    Column("text", String(200), nullable=False),
)

shares = Table(
    "shares",
    metadata,
    Column("id", ID, primary_key=True),
    # One of the two.
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), index=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False, index=True),
)
