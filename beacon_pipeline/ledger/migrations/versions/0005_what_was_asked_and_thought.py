"""the prompt as the model got it, its thoughts apart from its answer, and answers that never began"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.migrations.rebuild import change_check
from beacon_pipeline.ledger.types import ExactText

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("executions", sa.Column("rendered_prompt", ExactText(), nullable=True))
    op.add_column("executions", sa.Column("reasoning", ExactText(), nullable=True))
    change_check(
        "executions",
        "ck_executions_answer_kind_word",
        old="answer_kind IN ('substantive', 'refusal', 'empty')",
        new="answer_kind IN ('substantive', 'refusal', 'empty', 'unfinished')",
    )
