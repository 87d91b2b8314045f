"""Runs that nothing works on any more: found, and ended.

Dagster's run monitoring asks the run launcher about started runs only. A run that died while it was
starting or being cancelled would wait for a time-out of minutes, so these are looked at here too.
"""

from __future__ import annotations

import dagster as dg
import structlog

from beacon_pipeline.instance.run_launcher import BeaconRunLauncher

AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]

log = structlog.get_logger()


def dead_runs(instance: dg.DagsterInstance) -> dict[str, str]:
    """Run id -> why it is dead, of the runs that Dagster shows at work. Changes nothing."""
    launcher = instance.run_launcher
    if not isinstance(launcher, BeaconRunLauncher):
        return {}
    reasons = {
        run.run_id: launcher.why_dead(run) for run in instance.get_runs(dg.RunsFilter(statuses=AT_WORK))
    }
    return {run_id: why for run_id, why in reasons.items() if why is not None}


def end_dead_runs(instance: dg.DagsterInstance) -> dict[str, str]:
    """End the dead runs: one that was being cancelled as cancelled, any other as failed.

    Gives why, by run id. Their places in the queue are free afterwards.
    """
    ended = {}
    for run_id, why in dead_runs(instance).items():
        run = instance.get_run_by_id(run_id)
        if run is None or run.status not in AT_WORK:
            continue  # it wrote its end while it was looked at
        log.warning("a run is dead", run=run_id, why=why)
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, f"Nothing was left to stop: {why}.")
        else:
            instance.report_run_failed(run, f"The run is dead: {why}.")
        ended[run_id] = why
    return ended
