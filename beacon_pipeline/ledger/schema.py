"""The tables of the ledger. What must never be true of a row, the schema refuses."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from beacon_pipeline.ledger.records import REGIONAL_ARM
from beacon_pipeline.ledger.status import AnswerKind, Cause, Evidence, LabelKind, LabelMethod, Status
from beacon_pipeline.ledger.types import ExactText, Moment
from inference.contract import CallStatus, FailureCode, FinishReason


class Base(DeclarativeBase):
    """Base of the ledger's tables; constraint names are spelled out so migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: sa.String, datetime: Moment, dict[str, Any]: sa.JSON}


def _one_of(column: str, words: type[StrEnum], name: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=name)


def _present_iff(column: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"({column} IS NOT NULL) = ({condition})", name=f"{column}_present")


COMPLETED = f"status = '{Status.COMPLETED.value}'"
UNSUCCESSFUL = "status IN ('failed', 'timed_out', 'cancelled')"


class JobRow(Base):
    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    jobspec_id: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    catalog: Mapped[str]
    catalog_digest: Mapped[str]
    specification: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    # What each cell was asked (`catalog.plan.Plan`); none: one answer under the region's own prompt.
    plan: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))


class CatalogRow(Base):
    """What a catalog held when a job was made of it."""

    __tablename__ = "catalogs"

    digest: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(sa.JSON)  # canonical: the digest is its sha256
    created_at: Mapped[datetime]


class ExecutionRow(Base):
    __tablename__ = "executions"
    __table_args__ = (
        sa.UniqueConstraint("job_id", "region", "model", "question", "arm", "block", "sample"),
        sa.CheckConstraint("block >= 1", name="block_positive"),
        sa.CheckConstraint("sample >= 1", name="sample_positive"),
        _one_of("status", Status, "status_word"),
        _one_of("answer_kind", AnswerKind, "answer_kind_word"),
        _one_of("finish_reason", FinishReason, "finish_reason_word"),
        _one_of("failure_code", FailureCode, "failure_code_word"),
        _present_iff("answer", COMPLETED),
        _present_iff("answer_kind", COMPLETED),
        _present_iff("finish_reason", COMPLETED),
        _present_iff("executed_region", COMPLETED),
        _present_iff("provenance", COMPLETED),
        _present_iff("failure_code", UNSUCCESSFUL),
        sa.CheckConstraint(
            "dead_lettered_at IS NULL OR status IN ('failed', 'timed_out')", name="dead_letter"
        ),
        sa.Index("ix_executions_status_updated_at", "status", "updated_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id"))
    region: Mapped[str]  # the region that was asked for
    model: Mapped[str]
    question: Mapped[str]
    status: Mapped[str]

    answer: Mapped[str | None] = mapped_column(ExactText)
    answer_kind: Mapped[str | None]
    finish_reason: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    output_token_sha256: Mapped[str | None]
    executed_region: Mapped[str | None]  # canonical; exactly as reported where no alias is known
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None] = mapped_column(ExactText)
    dead_lettered_at: Mapped[datetime | None]

    prompt: Mapped[str | None] = mapped_column(ExactText)
    system_prompt: Mapped[str | None] = mapped_column(ExactText)
    rendered_prompt: Mapped[str | None] = mapped_column(ExactText)  # None: the provider does not report it
    reasoning: Mapped[str | None] = mapped_column(ExactText)  # the model's thoughts, no part of the answer
    parameters: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    provenance: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    cold_start: Mapped[bool | None]

    arm: Mapped[str] = mapped_column(server_default=REGIONAL_ARM)  # the system prompt, by name
    block: Mapped[int] = mapped_column(server_default="1")
    sample: Mapped[int] = mapped_column(server_default="1")
    seed: Mapped[int | None] = mapped_column(sa.BigInteger)  # none of its own: that of the parameters
    kind_version: Mapped[str | None]  # of the rules by which `answer_kind` is no refusal, or one

    queued_at: Mapped[datetime] = mapped_column(index=True)
    dispatched_at: Mapped[datetime | None]  # the newest attempt's intent
    started_at: Mapped[datetime | None]  # as the runtime reports
    completed_at: Mapped[datetime | None]  # when the runtime finished, or the failure was recorded
    updated_at: Mapped[datetime]


class CallRow(Base):
    __tablename__ = "calls"
    __table_args__ = (
        sa.UniqueConstraint("provider", "provider_call_id"),
        _one_of("truth", CallStatus, "truth_word"),
        sa.CheckConstraint("(accepted_at IS NULL) = (provider_call_id IS NULL)", name="accepted_with_id"),
        sa.Index(
            "ix_calls_open",
            "created_at",
            "id",
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)  # our own request id, written before sending
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id"), index=True)
    region: Mapped[str]
    model: Mapped[str]
    provider: Mapped[str]
    request: Mapped[str] = mapped_column(ExactText)  # JSON, enough to send the identical request again
    provider_call_id: Mapped[str | None]
    workspace: Mapped[str | None]  # that it was made in: another one's token does not know the call
    environment: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    accepted_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]  # asked again after its end, the provider reported the same
    cancel_requested_at: Mapped[datetime | None]
    truth: Mapped[str | None]  # the newest status that the provider gave
    replied: Mapped[bool] = mapped_column(default=False)  # its reply, or its refusal, was read
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None] = mapped_column(ExactText)
    raw_reply: Mapped[str | None] = mapped_column(ExactText)  # of a malformed reply only, bounded
    reported_region: Mapped[str | None]
    cloud: Mapped[str | None]
    task_id: Mapped[str | None]
    cold_start: Mapped[bool | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class AttemptRow(Base):
    __tablename__ = "attempts"
    __table_args__ = (
        sa.UniqueConstraint("execution_id", "number"),
        sa.CheckConstraint("number > 0", name="number_positive"),
        # At most one call in flight per execution: two open attempts cannot be written.
        sa.Index(
            "uq_attempts_open",
            "execution_id",
            unique=True,
            sqlite_where=sa.text("settled_at IS NULL"),
            postgresql_where=sa.text("settled_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    execution_id: Mapped[str] = mapped_column(sa.ForeignKey("executions.id"))
    call_id: Mapped[str] = mapped_column(sa.ForeignKey("calls.id"), index=True)
    number: Mapped[int]
    settled_at: Mapped[datetime | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None] = mapped_column(ExactText)


class TransitionRow(Base):
    __tablename__ = "transitions"
    __table_args__ = (
        _one_of("from_status", Status, "from_word"),
        _one_of("to_status", Status, "to_word"),
        _one_of("cause", Cause, "cause_word"),
        sa.Index(
            "ix_transitions_repairs",
            "at",
            sqlite_where=sa.text("cause = 'repair'"),
            postgresql_where=sa.text("cause = 'repair'"),
        ),
    )

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    execution_id: Mapped[str] = mapped_column(sa.ForeignKey("executions.id"), index=True)
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    at: Mapped[datetime]
    cause: Mapped[str]
    actor: Mapped[str]
    detail: Mapped[str | None] = mapped_column(ExactText)


class WriteCountsRow(Base):
    """How writing to this ledger went, in each hour: added up by every process when it is done."""

    __tablename__ = "write_counts"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    committed: Mapped[int]
    retried: Mapped[int]
    failed: Mapped[int]


class StudyRow(Base):
    """A study as it was registered; rows are added, never changed."""

    __tablename__ = "studies"
    __table_args__ = (
        sa.UniqueConstraint("study", "hash"),
        sa.CheckConstraint("version >= 1", name="version_positive"),
    )

    study: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[str]  # sha256 of the content
    content: Mapped[str] = mapped_column(ExactText)  # canonical JSON
    registered_at: Mapped[datetime]


class StudyEvidenceRow(Base):
    """What came from outside for a registered study: one of each kind, so that none can be chosen."""

    __tablename__ = "study_evidence"
    __table_args__ = (
        sa.ForeignKeyConstraint(["study", "version"], ["studies.study", "studies.version"]),
        _one_of("kind", Evidence, "kind_word"),
    )

    study: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)
    sha256: Mapped[str]
    at: Mapped[datetime]


class LabelRow(Base):
    """A judgement on an answer; rows are added, never changed."""

    __tablename__ = "labels"
    __table_args__ = (
        sa.UniqueConstraint("execution_id", "method", "version", "labeller"),
        _one_of("kind", LabelKind, "kind_word"),
        _one_of("method", LabelMethod, "method_word"),
        sa.CheckConstraint(
            f"chance IS NULL OR method = '{LabelMethod.PEOPLE.value}'", name="chance_of_people"
        ),
        sa.CheckConstraint("chance > 0 AND chance <= 1", name="chance_range"),
        sa.CheckConstraint("version <> ''", name="version_given"),
        sa.CheckConstraint("labeller <> ''", name="labeller_given"),
    )

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    execution_id: Mapped[str] = mapped_column(sa.ForeignKey("executions.id"))
    kind: Mapped[str]
    method: Mapped[str]
    version: Mapped[str]  # of the rules, of the judge's prompt and rubric, of the instructions for people
    labeller: Mapped[str] = mapped_column(ExactText)  # who: a person, a judge model, the rules
    chance: Mapped[float | None] = mapped_column(
        sa.Double
    )  # with which people's answer was drawn; None: it was not drawn
    reason: Mapped[str | None] = mapped_column(ExactText)  # the rule that matched; `adjudication`
    at: Mapped[datetime]


class LabelDrawRow(Base):
    """An answer that was drawn to be labelled by people."""

    __tablename__ = "label_draws"
    __table_args__ = (sa.CheckConstraint("chance > 0 AND chance <= 1", name="chance_range"),)

    draw: Mapped[str] = mapped_column(primary_key=True)
    execution_id: Mapped[str] = mapped_column(sa.ForeignKey("executions.id"), primary_key=True, index=True)
    stratum: Mapped[str]  # model, arm, region and the label by rules, as JSON
    chance: Mapped[float] = mapped_column(sa.Double)
    at: Mapped[datetime]


class JudgeCallRow(Base):
    """A batch of answers put before a judge model, and its raw reply. It belongs to no job."""

    __tablename__ = "judge_calls"
    __table_args__ = (
        sa.CheckConstraint(
            "(settled_at IS NULL) = (reply IS NULL AND failure IS NULL)", name="settled_with_its_end"
        ),
        sa.CheckConstraint("reply IS NULL OR failure IS NULL", name="one_end"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)  # our own request id, written before sending
    judge: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]  # of its prompt and rubric
    provider: Mapped[str]
    request: Mapped[str] = mapped_column(ExactText)
    provider_call_id: Mapped[str | None]
    reply: Mapped[str | None] = mapped_column(ExactText)
    failure: Mapped[str | None] = mapped_column(ExactText)
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
