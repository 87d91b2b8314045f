"""The vocabulary of the record: statuses, answer kinds, labels, causes.

Everything that shows or stores one of these names takes it from here.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What the ledger records of an execution."""

    PENDING = "pending"
    DISPATCHED = "dispatched"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more is expected to happen by itself."""
        return self not in (Status.PENDING, Status.DISPATCHED)


UNSUCCESSFUL = frozenset({Status.FAILED, Status.TIMED_OUT, Status.CANCELLED})  # ended, and without an answer


class AnswerKind(StrEnum):
    """What kind of answer a completed execution has."""

    SUBSTANTIVE = "substantive"
    REFUSAL = "refusal"
    EMPTY = "empty"
    UNFINISHED = "unfinished"  # the output ended among the model's thoughts: the answer never began


class LabelKind(StrEnum):
    """A judgement on an answer. What can be counted without judging (empty, unfinished, ended by a
    filter) is a fact of the execution, and no label."""

    COMPLETE = "complete"  # does what was asked
    EVASIVE = "evasive"  # answers around it: softens, lectures, turns to something else
    REFUSAL = "refusal"  # does not answer, and mostly says so


class LabelMethod(StrEnum):
    """Who judged."""

    RULES = "rules"
    JUDGE = "judge"  # a model
    PEOPLE = "people"


class Cause(StrEnum):
    """Why a status changed; kept with every transition."""

    ASKED = "asked"  # the execution came into being
    DISPATCH = "dispatch"  # an attempt was written and is about to be submitted
    REPLY = "reply"  # the provider's reply was read
    PROVIDER_REPORT = "provider_report"  # the provider reported how the call ended, without a reply
    RETRY = "retry"  # another attempt is due, within the budget
    CANCEL = "cancel"  # a person asked for it
    REPAIR = "repair"  # the record disagreed with the provider, or healing gave up


class Evidence(StrEnum):
    """What can come from outside for a registered study."""

    PUBLIC_VALUE = "public_value"  # published after the registration; the seed is made of it
    TIMESTAMP = "timestamp"  # that the hash was there at a time: an RFC 3161 token, an OpenTimestamps proof
