"""Sessions know the size of their results, which counts toward the server's space."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "sessions", sa.Column("size", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE sessions SET size = (SELECT coalesce(sum(length(data)), 0) FROM session_chunks "
        "WHERE session_chunks.session_id = sessions.id)"
    )
