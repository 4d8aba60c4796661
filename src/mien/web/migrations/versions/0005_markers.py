"""Times of a session or a video that a person marked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "markers",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("session_id", sa.String(22), nullable=True),
        sa.Column("job_id", sa.String(22), nullable=True),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("text", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sessions.id"],
            name="fk_markers_session_id_sessions",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_markers_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_markers"),
    )
    op.create_index("ix_markers_session_id", "markers", ["session_id"])
    op.create_index("ix_markers_job_id", "markers", ["job_id"])


def downgrade() -> None:
    op.drop_table("markers")
