"""What the ledger gives and takes: frozen values, never database rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beacon_pipeline.ledger.status import AnswerKind, Cause, Evidence, LabelKind, LabelMethod, Status
from inference.contract import (
    CallFailure,
    CallStatus,
    Deployment,
    FailureCode,
    FinishReason,
    Provenance,
    Request,
)


@dataclass(frozen=True, order=True, slots=True)
class Cell:
    """One region × model × question: a partition, and the place of its executions in a job."""

    region: str
    model: str
    question: str

    @property
    def deployment(self) -> Deployment:
        """Where it is asked."""
        return Deployment(region=self.region, model=self.model)


REGIONAL_ARM = "regional"  # every region under its own system prompt
PROBE_ARM = "probe"  # of items that only ask whether the same computation is done everywhere


@dataclass(frozen=True, order=True, slots=True)
class Slot:
    """The place of one execution in a job: a cell, and which of its answers.

    ``seed`` is the answer's own, None where the model's holds; ``greedy``: it is not sampled at all.
    """

    cell: Cell
    arm: str = REGIONAL_ARM
    block: int = 1
    sample: int = 1
    seed: int | None = None
    greedy: bool = False


def one_slot(cell: Cell) -> tuple[Slot, ...]:
    """The slots of a cell that is asked once, under its region's own prompt."""
    return (Slot(cell),)


@dataclass(frozen=True, slots=True)
class Job:
    """One round of asking. ``plan`` as JSON, None where every cell is asked once."""

    id: str
    job_name: str
    source: str
    catalog: str
    catalog_digest: str
    specification: dict[str, Any] | None
    created_at: datetime
    plan: dict[str, Any] | None = None

    @property
    def study(self) -> str | None:
        """The id of the study that planned the job."""
        return self.plan.get("study") if self.plan else None

    @property
    def study_version(self) -> int | None:
        """The version of that study."""
        return self.plan.get("version") if self.plan else None


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a provider. ``replied`` means its reply, or its refusal, is on record."""

    id: str
    job_id: str
    region: str
    model: str
    provider: str
    request: Request
    provider_call_id: str | None
    workspace: str | None  # None: not known, or the provider has no such thing
    environment: str | None
    created_at: datetime
    accepted_at: datetime | None
    settled_at: datetime | None
    confirmed_at: datetime | None
    cancel_requested_at: datetime | None
    status: CallStatus | None
    replied: bool
    failure_code: str | None
    failure_message: str | None
    raw_reply: str | None
    reported_region: str | None
    cloud: str | None
    task_id: str | None
    cold_start: bool | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution's part in a call; open until it is settled."""

    id: str
    execution_id: str
    number: int
    settled_at: datetime | None
    failure_code: str | None
    failure_message: str | None
    call: Call


@dataclass(frozen=True, slots=True)
class Execution:
    """One answer: a cell of one job in an arm, a block and a sample; with its attempts, oldest first."""

    id: str
    job_id: str
    region: str
    model: str
    question: str
    status: Status
    answer: str | None
    answer_kind: AnswerKind | None
    finish_reason: FinishReason | None
    prompt_tokens: int | None
    output_tokens: int | None
    output_token_sha256: str | None
    executed_region: str | None
    failure_code: FailureCode | None
    failure_message: str | None
    dead_lettered_at: datetime | None
    prompt: str | None
    system_prompt: str | None
    parameters: dict[str, Any] | None
    provenance: Provenance | None
    cold_start: bool | None
    queued_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime
    attempts: tuple[Attempt, ...]
    rendered_prompt: str | None = None  # as the model got it, where the provider reports it
    reasoning: str | None = None  # the model's thoughts, no part of the answer
    arm: str = REGIONAL_ARM
    block: int = 1
    sample: int = 1
    seed: int | None = None  # None: that of the parameters
    kind_version: str | None = None  # of the rules that the kind is by; None: no rule, or not on record

    @property
    def slot(self) -> Slot:
        return Slot(self.cell, self.arm, self.block, self.sample, self.seed, self.greedy)

    @property
    def is_probe(self) -> bool:
        return self.arm == PROBE_ARM

    @property
    def greedy(self) -> bool:
        """Whether it is never sampled, whatever the parameters: the first probe of a block."""
        return self.is_probe and self.seed is None

    @property
    def cell(self) -> Cell:
        return Cell(self.region, self.model, self.question)

    @property
    def newest_call(self) -> Call | None:
        """The call of the newest attempt."""
        return self.attempts[-1].call if self.attempts else None

    @property
    def usable(self) -> bool:
        """Whether the answer may be used: of the model asked for, in the region asked for."""
        other_model = self.provenance is not None and self.provenance.other_model
        return self.status is Status.COMPLETED and self.executed_region == self.region and not other_model

    @property
    def seconds(self) -> float | None:
        """From dispatch to completion, in seconds."""
        if self.dispatched_at is None or self.completed_at is None:
            return None
        return max((self.completed_at - self.dispatched_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Sibling:
    """How one execution of a cell stands, among the others of the cell and job."""

    id: str
    cell: Cell
    status: Status
    answer_kind: AnswerKind | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One status change, as kept for ever."""

    execution_id: str
    from_status: Status | None
    to_status: Status
    at: datetime
    cause: Cause
    actor: str
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The execution has an answer."""

    answer: str
    answer_kind: AnswerKind
    finish_reason: FinishReason
    prompt_tokens: int | None
    output_tokens: int | None
    output_token_sha256: str | None
    executed_region: str
    provenance: Provenance
    cold_start: bool | None
    started_at: datetime
    completed_at: datetime
    rendered_prompt: str | None = None
    reasoning: str | None = None
    kind_version: str | None = None  # of the rules that the kind is by; None: no rule was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuccessful:
    """The execution ended without an answer."""

    status: Status  # failed, timed_out or cancelled
    failure_code: FailureCode
    message: str
    dead_letter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The attempt failed and another one is due."""

    failure_code: FailureCode
    message: str


Outcome = Completed | Unsuccessful | Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What is known of a call when it is settled."""

    status: CallStatus
    replied: bool
    failure: CallFailure | None = None
    raw_reply: str | None = None
    reported_region: str | None = None
    cloud: str | None = None
    task_id: str | None = None
    cold_start: bool | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many executions of a job there are, by what is recorded of them."""

    executions: int
    by_status: dict[str, int]
    by_answer_kind: dict[str, int]
    by_region: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """How an execution stands, without what was asked and answered."""

    job_name: str
    cell: Cell
    status: Status
    updated_at: datetime  # when it took this status
    failure_code: str | None
    failure_message: str | None
    dead_lettered_at: datetime | None


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """What came from outside for a registered study."""

    kind: Evidence
    content: bytes
    sha256: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as it was registered."""

    study: str
    version: int
    hash: str
    content: str
    registered_at: datetime
    evidence: tuple[EvidenceRecord, ...] = ()

    def of_kind(self, kind: Evidence) -> EvidenceRecord | None:
        """The evidence of this kind, if any came."""
        return next((one for one in self.evidence if one.kind is kind), None)


ADJUDICATION = "adjudication"  # the reason of the label of whoever decides between two that differ


@dataclass(frozen=True, slots=True)
class Label:
    """A judgement on one answer. ``chance`` is that of the draw, of people's labels only; ``reason`` the
    rule that matched, or `ADJUDICATION`; ``at`` is given by the ledger."""

    execution_id: str
    kind: LabelKind
    method: LabelMethod
    version: str
    labeller: str
    chance: float | None = None
    reason: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """An answer of a draw. ``stratum``: model, arm, region, label by rules."""

    execution_id: str
    stratum: tuple[str, str, str, str]
    chance: float


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """A batch of answers put before a judge model. ``reply`` is raw JSON of the contract's `Reply`;
    ``failure`` why there is none; neither: the call is open."""

    id: str
    judge: str
    version: str
    provider: str
    request: Request
    provider_call_id: str | None
    reply: str | None
    failure: str | None
    created_at: datetime
    settled_at: datetime | None
