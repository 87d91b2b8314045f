"""The looks of a registered study: which are asked, and which may be asked next."""

from __future__ import annotations

from dataclasses import dataclass

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_plan import look_job_name
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job
from beacon_pipeline.ledger.status import Status


class LookError(BeaconError):
    """A look that cannot be taken now."""


@dataclass(frozen=True)
class Look:
    """A planned look. ``job`` is None while it is not taken; ``by_status`` counts its executions."""

    number: int
    blocks: tuple[int, ...]
    job: Job | None
    by_status: dict[str, int]

    @property
    def executions(self) -> int:
        return sum(self.by_status.values())

    @property
    def completed(self) -> int:
        return self.by_status.get(Status.COMPLETED.value, 0)

    @property
    def is_answered(self) -> bool:
        """Whether everything that it asks has an answer."""
        return 0 < self.executions == self.completed

    @property
    def is_settled(self) -> bool:
        """Whether everything that it asks has ended, answered or not."""
        ended = sum(count for word, count in self.by_status.items() if Status(word).is_terminal)
        return 0 < self.executions == ended


def looks_of(ledger: Ledger, study: Study) -> list[Look]:
    """All planned looks of a registered study, in order."""
    looks = []
    for number in range(1, len(study.looks) + 1):
        job = ledger.jobs.named(look_job_name(study.id, study.version, number))
        by_status = {} if job is None else dict(ledger.aggregates.counts(job.id).by_status)
        looks.append(Look(number, study.blocks_of(number), job, by_status))
    return looks


def look_to_run(looks: list[Look]) -> Look:
    """The look that `run` works on: the newest that was taken, or the first."""
    return next((look for look in reversed(looks) if look.job is not None), looks[0])


def look_to_take(looks: list[Look]) -> Look:
    """The look that `top-up` takes. Raises LookError where none is planned, or one is under way."""
    newest = look_to_run(looks)
    if newest.job is None:
        raise LookError("its first look is not taken yet: `beacon study run` takes it")
    if not newest.is_settled:
        raise LookError(f"look {newest.number} is not finished: `beacon study run` goes on with it")
    if newest.number == len(looks):
        planned = "its one planned look is" if len(looks) == 1 else f"all {len(looks)} planned looks are"
        raise LookError(
            f"{planned} taken: one that was not planned would let chance in. A new version of the file plans "
            "more, with new seeds; `beacon run --blocks` asks for exploration only"
        )
    return looks[newest.number]


def next_look(looks: list[Look]) -> Look:
    """The look that a schedule takes: the first, or the next one. Raises LookError as `look_to_take`."""
    return looks[0] if looks[0].job is None else look_to_take(looks)
