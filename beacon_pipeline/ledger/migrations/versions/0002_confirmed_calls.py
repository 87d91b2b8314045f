"""when the provider confirmed the end of a call"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.types import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("calls", sa.Column("confirmed_at", Moment(), nullable=True))
