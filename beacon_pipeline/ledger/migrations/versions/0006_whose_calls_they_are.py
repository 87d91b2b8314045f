"""whose calls they are, and calls whose container could not start"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.migrations.rebuild import change_check

revision = "0006"
down_revision = "0005"

WORDS = (
    "'model_unavailable', 'prompt_too_long', 'generation_error', 'out_of_memory', {}'worker_lost', "
    "'timed_out', 'cancelled', 'expired', 'rate_limited', 'rejected', 'malformed_reply', 'unknown_call', "
    "'interrupted', 'provider_error'"
)


def upgrade() -> None:
    op.add_column("calls", sa.Column("workspace", sa.String(), nullable=True))
    op.add_column("calls", sa.Column("environment", sa.String(), nullable=True))
    change_check(
        "executions",
        "ck_executions_failure_code_word",
        old=f"failure_code IN ({WORDS.format('')})",
        new=f"failure_code IN ({WORDS.format(chr(39) + 'start_failed' + chr(39) + ', ')})",
    )
