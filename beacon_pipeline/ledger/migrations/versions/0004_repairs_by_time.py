"""repairs by time, which monitoring counts"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index(
        "ix_transitions_repairs",
        "transitions",
        ["at"],
        unique=False,
        sqlite_where=sa.text("cause = 'repair'"),
        postgresql_where=sa.text("cause = 'repair'"),
    )
