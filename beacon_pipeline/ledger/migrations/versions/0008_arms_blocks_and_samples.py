"""several answers of one cell, what a job planned, and what its catalog held"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.migrations.rebuild import change_constraints
from beacon_pipeline.ledger.types import Moment

revision = "0008"
down_revision = "0007"

OF_A_CELL = "job_id, region, model, question"
ONE_ANSWER = f"{OF_A_CELL}, arm, block, sample"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("plan", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "catalogs",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_catalogs")),
    )
    op.add_column("executions", sa.Column("arm", sa.String(), server_default="regional", nullable=False))
    op.add_column("executions", sa.Column("block", sa.Integer(), server_default="1", nullable=False))
    op.add_column("executions", sa.Column("sample", sa.Integer(), server_default="1", nullable=False))
    op.add_column("executions", sa.Column("seed", sa.BigInteger(), nullable=True))
    change_constraints(
        "executions",
        drop={"uq_executions_job_id_region_model_question": f"UNIQUE ({OF_A_CELL})"},
        add={
            "uq_executions_job_id_region_model_question_arm_block_sample": f"UNIQUE ({ONE_ANSWER})",
            "ck_executions_block_positive": "CHECK (block >= 1)",
            "ck_executions_sample_positive": "CHECK (sample >= 1)",
        },
    )
