"""Whether new answers bear a finding out. Pure; the new ones must have fresh seeds and blocks."""

from __future__ import annotations

from beacon_pipeline.findings.finding import Finding, Verdict
from beacon_pipeline.findings.statistics import replication as statistics
from beacon_pipeline.findings.statistics.replication import Effect, Replication


def replication(original: Finding, new: Finding, delta: float | None) -> Replication:
    """What a new finding of the same claim says of an original that differs.

    Raises ValueError for an original without an effect.
    """
    first, again = _effect(original), _effect(new)
    if first is None:
        raise ValueError(f"claim {original.claim} has no effect that could be replicated")
    if again is None:
        return Replication.INCONCLUSIVE
    return statistics.replication(first, again, differs=new.verdict is Verdict.DIFFERS, delta=delta)


def _effect(found: Finding) -> Effect | None:
    if found.effect is None or found.low is None or found.high is None:
        return None
    return Effect(found.effect, found.low, found.high, found.interval_level)
