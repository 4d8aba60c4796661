"""Run by Alembic; the connection comes from :mod:`mien.web.store.database`."""

from alembic import context

from mien.web.store.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
