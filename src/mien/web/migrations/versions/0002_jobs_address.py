"""Jobs know from which address they came, as an irreversible mark."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("address", sa.String(22), nullable=False, server_default=""))
    op.create_index("ix_jobs_address", "jobs", ["address"])
