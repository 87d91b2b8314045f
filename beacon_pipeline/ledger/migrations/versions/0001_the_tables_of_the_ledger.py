"""the tables of the ledger"""

import sqlalchemy as sa
from alembic import op

from beacon_pipeline.ledger.types import ExactText, Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("jobspec_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("catalog", sa.String(), nullable=False),
        sa.Column("catalog_digest", sa.String(), nullable=False),
        sa.Column("specification", sa.JSON(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("jobspec_id", name=op.f("uq_jobs_jobspec_id")),
    )
    op.create_index(op.f("ix_jobs_created_at"), "jobs", ["created_at"], unique=False)
    op.create_table(
        "calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("request", ExactText(), nullable=False),
        sa.Column("provider_call_id", sa.String(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("accepted_at", Moment(), nullable=True),
        sa.Column("settled_at", Moment(), nullable=True),
        sa.Column("cancel_requested_at", Moment(), nullable=True),
        sa.Column("truth", sa.String(), nullable=True),
        sa.Column("replied", sa.Boolean(), nullable=False),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("failure_message", ExactText(), nullable=True),
        sa.Column("raw_reply", ExactText(), nullable=True),
        sa.Column("reported_region", sa.String(), nullable=True),
        sa.Column("cloud", sa.String(), nullable=True),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("cold_start", sa.Boolean(), nullable=True),
        sa.Column("started_at", Moment(), nullable=True),
        sa.Column("finished_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "truth IN ('pending', 'succeeded', 'failed', 'timed_out', 'cancelled', 'expired', 'unreachable')",
            name=op.f("ck_calls_truth_word"),
        ),
        sa.CheckConstraint(
            "(accepted_at IS NULL) = (provider_call_id IS NULL)", name=op.f("ck_calls_accepted_with_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_calls_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
        sa.UniqueConstraint("provider", "provider_call_id", name=op.f("uq_calls_provider_provider_call_id")),
    )
    op.create_index(op.f("ix_calls_job_id"), "calls", ["job_id"], unique=False)
    op.create_index(
        "ix_calls_open",
        "calls",
        ["created_at", "id"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "executions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("answer", ExactText(), nullable=True),
        sa.Column("answer_kind", sa.String(), nullable=True),
        sa.Column("finish_reason", sa.String(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("output_token_sha256", sa.String(), nullable=True),
        sa.Column("executed_region", sa.String(), nullable=True),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("failure_message", ExactText(), nullable=True),
        sa.Column("dead_lettered_at", Moment(), nullable=True),
        sa.Column("prompt", ExactText(), nullable=True),
        sa.Column("system_prompt", ExactText(), nullable=True),
        sa.Column("parameters", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("provenance", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("cold_start", sa.Boolean(), nullable=True),
        sa.Column("queued_at", Moment(), nullable=False),
        sa.Column("dispatched_at", Moment(), nullable=True),
        sa.Column("started_at", Moment(), nullable=True),
        sa.Column("completed_at", Moment(), nullable=True),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "(answer IS NOT NULL) = (status = 'completed')", name=op.f("ck_executions_answer_present")
        ),
        sa.CheckConstraint(
            "(answer_kind IS NOT NULL) = (status = 'completed')",
            name=op.f("ck_executions_answer_kind_present"),
        ),
        sa.CheckConstraint(
            "(executed_region IS NOT NULL) = (status = 'completed')",
            name=op.f("ck_executions_executed_region_present"),
        ),
        sa.CheckConstraint(
            "(failure_code IS NOT NULL) = (status IN ('failed', 'timed_out', 'cancelled'))",
            name=op.f("ck_executions_failure_code_present"),
        ),
        sa.CheckConstraint(
            "(finish_reason IS NOT NULL) = (status = 'completed')",
            name=op.f("ck_executions_finish_reason_present"),
        ),
        sa.CheckConstraint(
            "(provenance IS NOT NULL) = (status = 'completed')", name=op.f("ck_executions_provenance_present")
        ),
        sa.CheckConstraint(
            "answer_kind IN ('substantive', 'refusal', 'empty')", name=op.f("ck_executions_answer_kind_word")
        ),
        sa.CheckConstraint(
            "dead_lettered_at IS NULL OR status IN ('failed', 'timed_out')",
            name=op.f("ck_executions_dead_letter"),
        ),
        sa.CheckConstraint(
            "failure_code IN ('model_unavailable', 'prompt_too_long', 'generation_error', 'out_of_memory', 'worker_lost', 'timed_out', 'cancelled', 'expired', 'rate_limited', 'rejected', 'malformed_reply', 'unknown_call', 'interrupted', 'provider_error')",
            name=op.f("ck_executions_failure_code_word"),
        ),
        sa.CheckConstraint(
            "finish_reason IN ('stop', 'length')", name=op.f("ck_executions_finish_reason_word")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'dispatched', 'completed', 'failed', 'timed_out', 'cancelled')",
            name=op.f("ck_executions_status_word"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_executions_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
        sa.UniqueConstraint(
            "job_id", "region", "model", "question", name=op.f("uq_executions_job_id_region_model_question")
        ),
    )
    op.create_index(
        "ix_executions_status_updated_at", "executions", ["status", "updated_at", "id"], unique=False
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("settled_at", Moment(), nullable=True),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("failure_message", ExactText(), nullable=True),
        sa.CheckConstraint("number > 0", name=op.f("ck_attempts_number_positive")),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_attempts_call_id")),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_attempts_execution_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("execution_id", "number", name=op.f("uq_attempts_execution_id_number")),
    )
    op.create_index(op.f("ix_attempts_call_id"), "attempts", ["call_id"], unique=False)
    op.create_index(
        "uq_attempts_open",
        "attempts",
        ["execution_id"],
        unique=True,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "transitions",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("from_status", sa.String(), nullable=True),
        sa.Column("to_status", sa.String(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("detail", ExactText(), nullable=True),
        sa.CheckConstraint(
            "cause IN ('asked', 'dispatch', 'reply', 'provider_report', 'retry', 'cancel', 'repair')",
            name=op.f("ck_transitions_cause_word"),
        ),
        sa.CheckConstraint(
            "from_status IN ('pending', 'dispatched', 'completed', 'failed', 'timed_out', 'cancelled')",
            name=op.f("ck_transitions_from_word"),
        ),
        sa.CheckConstraint(
            "to_status IN ('pending', 'dispatched', 'completed', 'failed', 'timed_out', 'cancelled')",
            name=op.f("ck_transitions_to_word"),
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_transitions_execution_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transitions")),
    )
    op.create_index(op.f("ix_transitions_execution_id"), "transitions", ["execution_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_transitions_execution_id"), table_name="transitions")
    op.drop_table("transitions")
    op.drop_index(
        "uq_attempts_open",
        table_name="attempts",
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.drop_index(op.f("ix_attempts_call_id"), table_name="attempts")
    op.drop_table("attempts")
    op.drop_index("ix_executions_status_updated_at", table_name="executions")
    op.drop_table("executions")
    op.drop_index(
        "ix_calls_open",
        table_name="calls",
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.drop_index(op.f("ix_calls_job_id"), table_name="calls")
    op.drop_table("calls")
    op.drop_index(op.f("ix_jobs_created_at"), table_name="jobs")
    op.drop_table("jobs")
