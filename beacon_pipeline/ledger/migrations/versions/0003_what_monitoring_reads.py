"""what monitoring reads: executions by time, and how writing went"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.types import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index(op.f("ix_executions_queued_at"), "executions", ["queued_at"], unique=False)
    op.create_index(op.f("ix_calls_created_at"), "calls", ["created_at"], unique=False)
    op.create_table(
        "write_counts",
        sa.Column("hour", Moment(), nullable=False),
        sa.Column("committed", sa.Integer(), nullable=False),
        sa.Column("retried", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", name=op.f("pk_write_counts")),
    )
