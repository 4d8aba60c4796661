"""Times of a session or a video that a person marked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    session = sa.ForeignKey("sessions.id", ondelete="CASCADE")
    job = sa.ForeignKey("jobs.id", ondelete="CASCADE")
    op.create_table(
        "markers",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("session_id", sa.String(22), session, index=True),
        sa.Column("job_id", sa.String(22), job, index=True),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("text", sa.String(200), nullable=False),
    )
