"""What a command that follows its runs waits for, and whether that can still come."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.instance import daemon
from beacon_pipeline.instance.dead_runs import AT_WORK, end_dead_runs
from beacon_pipeline.names import DEPLOYMENT_TAG, JOB_TAG

QUIET_SECONDS = 15.0  # without a change, until a person is shown what is waited for
IDLE_SECONDS = 180.0  # without a change while Dagster works on nothing: nothing will begin any more
NAMED_RUNS = 3
WAY_OUT = (
    "nothing is lost: `beacon doctor` says what is wrong, daemon.log in {home} what the daemon does; "
    "after that `beacon run` goes on, and `beacon cancel JOB` gives up"
)


class NothingMoves(BeaconError):
    """What was waited for did not come in the longest time that it can take; the message has the way out."""


@dataclass
class Patience:
    """Follows runs to their end, and knows since when nothing has changed.

    ``longest_seconds``: what no run takes; after so long without any change, waiting is given up.
    """

    instance: dg.DagsterInstance
    run_ids: Sequence[str]
    longest_seconds: float
    clock: Callable[[], float] = time.monotonic
    _seen: object = None
    _since: float = 0.0
    _looked_at: float = float("-inf")

    def look(self, progress: object = None) -> str | None:
        """What is waited for, and since when, once nothing has changed for a while.

        ``progress`` is anything that changes when the work goes on. Raises NothingMoves.
        """
        runs = self.instance.get_runs(dg.RunsFilter(run_ids=list(self.run_ids)))
        at_work = self.instance.get_runs(dg.RunsFilter(statuses=AT_WORK))
        now = self.clock()
        seen = (progress, *sorted((run.run_id, run.status.value) for run in [*runs, *at_work]))
        if seen != self._seen:
            self._seen, self._since = seen, now
        quiet = now - self._since
        if quiet < QUIET_SECONDS:
            return None
        if now - self._looked_at > QUIET_SECONDS:
            self._looked_at = now
            end_dead_runs(self.instance)
        since = datetime.now(UTC) - timedelta(seconds=quiet)
        reason = f"{waits_for(runs, at_work)}; unchanged since {since:%H:%M:%S} UTC"
        if not daemon.is_alive(self.instance):
            reason += ", and no daemon runs"
        if quiet > (self.longest_seconds if at_work else IDLE_SECONDS):
            raise NothingMoves(f"{reason}. {WAY_OUT.format(home=environment.home())}")
        return reason


def waits_for(runs: Sequence[dg.DagsterRun], at_work: Sequence[dg.DagsterRun]) -> str:
    """What these runs wait for, in words, given the runs that Dagster works on. Pure."""
    ours = {run.run_id for run in runs}
    counts = Counter(run.status.value.lower() for run in runs if not run.is_finished)
    reason = "waiting for " + ", ".join(
        f"{n} run{'s' * (n > 1)} {word}" for word, n in sorted(counts.items())
    )
    others = [run for run in at_work if run.run_id not in ours]
    if not others or dg.DagsterRunStatus.QUEUED.value.lower() not in counts:
        return reason
    named = ", ".join(_name(run) for run in others[:NAMED_RUNS])
    more = f" and {len(others) - NAMED_RUNS} more" if len(others) > NAMED_RUNS else ""
    return f"{reason}; before them is {named}{more}"


def _name(run: dg.DagsterRun) -> str:
    what = run.tags.get(DEPLOYMENT_TAG) or run.job_name
    job = f" of job {run.tags[JOB_TAG]}" if JOB_TAG in run.tags else ""
    return f"run {run.run_id[:8]} ({what}{job}, {run.status.value.lower()})"
