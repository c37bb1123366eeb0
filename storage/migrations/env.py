"""Alembic's entry: runs the migrations on the connection that `storage.migrate` has opened and will commit."""

from alembic import context

from storage import models  # noqa: F401  the tables are there
from storage.columns import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    transactional_ddl=True,
    transaction_per_migration=False,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
