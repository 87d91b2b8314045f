"""studies as they were registered, and what came from outside for them"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.types import ExactText, Moment

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("content", ExactText(), nullable=False),
        sa.Column("registered_at", Moment(), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_studies_version_positive")),
        sa.PrimaryKeyConstraint("study", "version", name=op.f("pk_studies")),
        sa.UniqueConstraint("study", "hash", name=op.f("uq_studies_study_hash")),
    )
    op.create_table(
        "study_evidence",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.CheckConstraint("kind IN ('public_value', 'timestamp')", name=op.f("ck_study_evidence_kind_word")),
        sa.ForeignKeyConstraint(
            ["study", "version"],
            ["studies.study", "studies.version"],
            name=op.f("fk_study_evidence_study_version"),
        ),
        sa.PrimaryKeyConstraint("study", "version", "kind", name=op.f("pk_study_evidence")),
    )
