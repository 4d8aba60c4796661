"""Links with which others see a session or a video."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    session = sa.ForeignKey("sessions.id", ondelete="CASCADE")
    job = sa.ForeignKey("jobs.id", ondelete="CASCADE")
    op.create_table(
        "shares",
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("session_id", sa.String(22), session, index=True),
        sa.Column("job_id", sa.String(22), job, index=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False, index=True),
    )
