"""calls of a judge model, with what it said"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.types import ExactText, Moment

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "judge_calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("judge", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("request", ExactText(), nullable=False),
        sa.Column("provider_call_id", sa.String(), nullable=True),
        sa.Column("reply", ExactText(), nullable=True),
        sa.Column("failure", ExactText(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("settled_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "(settled_at IS NULL) = (reply IS NULL AND failure IS NULL)",
            name=op.f("ck_judge_calls_settled_with_its_end"),
        ),
        sa.CheckConstraint("reply IS NULL OR failure IS NULL", name=op.f("ck_judge_calls_one_end")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judge_calls")),
    )
    op.create_index(op.f("ix_judge_calls_judge"), "judge_calls", ["judge"])
