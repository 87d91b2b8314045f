"""answers that a provider's own filter ended, and ends without a reason"""

from beacon_pipeline.ledger.migrations.rebuild import change_check

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    change_check(
        "executions",
        "ck_executions_finish_reason_word",
        old="finish_reason IN ('stop', 'length')",
        new="finish_reason IN ('stop', 'length', 'content_filter', 'unreported')",
    )
