"""which version of the rules an answer's kind is by"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("executions", sa.Column("kind_version", sa.String(), nullable=True))
