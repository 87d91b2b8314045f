"""Alembic's entry: runs on the connection that `Database.migrate` hands over."""

from alembic import context

from beacon_pipeline.ledger.schema import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transaction_per_migration=False,
)
context.run_migrations()
