"""labels of answers, and the draws of answers that people label"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.types import ExactText, Moment

revision = "0010"
down_revision = "0009"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "labels",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("labeller", ExactText(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=True),
        sa.Column("reason", ExactText(), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.CheckConstraint("kind IN ('complete', 'evasive', 'refusal')", name=op.f("ck_labels_kind_word")),
        sa.CheckConstraint("method IN ('rules', 'judge', 'people')", name=op.f("ck_labels_method_word")),
        sa.CheckConstraint("chance IS NULL OR method = 'people'", name=op.f("ck_labels_chance_of_people")),
        sa.CheckConstraint("chance > 0 AND chance <= 1", name=op.f("ck_labels_chance_range")),
        sa.CheckConstraint("version <> ''", name=op.f("ck_labels_version_given")),
        sa.CheckConstraint("labeller <> ''", name=op.f("ck_labels_labeller_given")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_labels_execution_id_executions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint(
            "execution_id",
            "method",
            "version",
            "labeller",
            name=op.f("uq_labels_execution_id_method_version_labeller"),
        ),
    )
    op.create_table(
        "label_draws",
        sa.Column("draw", sa.String(), nullable=False),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("stratum", sa.String(), nullable=False),
        sa.Column("chance", sa.Double(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.CheckConstraint("chance > 0 AND chance <= 1", name=op.f("ck_label_draws_chance_range")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_label_draws_execution_id_executions")
        ),
        sa.PrimaryKeyConstraint("draw", "execution_id", name=op.f("pk_label_draws")),
    )
    op.create_index(op.f("ix_label_draws_execution_id"), "label_draws", ["execution_id"])
