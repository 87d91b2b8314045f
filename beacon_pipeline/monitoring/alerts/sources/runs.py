"""Asset checks that fail and runs that fail, read from the events of each run.

Runs are found by the moment they were created, by the database's own clock, and each is followed
from its first event to some time after its last, with a cursor of its own. One process writes the
events of a run one after the other, so their ids are committed in order, and none is missed or
read twice; ids over all runs, which PostgreSQL has and the default SQLite storage has not, can be
committed out of order.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from beacon_pipeline.catalog.partitions import cell_of, question_key
from beacon_pipeline.escaping import one_line
from beacon_pipeline.jobs.job_of_run import asking_of_run
from beacon_pipeline.jobs.runs import work_of
from beacon_pipeline.links import asset_path, check_path, run_path
from beacon_pipeline.monitoring.alerts.causes import EMPTY_ANSWER, RUN_FAILED, check_cause
from beacon_pipeline.monitoring.alerts.grouping import Failing, Passing, Severity
from beacon_pipeline.monitoring.alerts.sources.dagster_errors import innermost
from beacon_pipeline.monitoring.alerts.state import Positions, RunPosition
from beacon_pipeline.names import INFERENCE, JOB_TAG, WITHOUT_ANSWER
from beacon_pipeline.reconciliation.view import JOB_METADATA

UNSTARTED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
)
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
OVERLAP = timedelta(minutes=2)  # a run created by a slow transaction appears late
AFTERMATH = timedelta(minutes=1)  # a run called failed may still be writing
FIRST_RUNS = 20  # looked at in a tick in which nothing is new
EVENTS = 10_000  # check evaluations read at most in one tick: about two seconds
PAGE = 1000
EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION
NO_RUN = ""  # the run id under which Dagster keeps events of no run

SEVERITIES: Mapping[dg.AssetCheckSeverity, Severity] = {
    dg.AssetCheckSeverity.WARN: Severity.WARNING,
    dg.AssetCheckSeverity.ERROR: Severity.ERROR,
}


@dataclass
class _Reader:
    """One look at the runs of an instance; moves ``positions``."""

    instance: dg.DagsterInstance
    location: str | None
    positions: Positions
    now: datetime
    left: int = EVENTS

    def read(self) -> list[Failing | Passing]:
        found: list[Failing | Passing] = []
        for record in self._records():
            run_id = record.dagster_run.run_id
            position = self.positions.runs.setdefault(run_id, RunPosition(record.create_timestamp))
            if not position.done and self.left > 0 and record.dagster_run.status not in UNSTARTED:
                found += self._follow(record, position)
        self._let_go()
        # Evaluations that someone reported from outside, in no run.
        reported, self.positions.reported, _ = self._evaluations(NO_RUN, self.positions.reported)
        found += [_evaluated(event, None) for event in reported]
        # Runs work side by side: what was found last, whichever run found it, is how things are.
        return sorted(found, key=lambda observation: observation.at)

    def _records(self) -> list[dg.RunRecord]:
        """The runs to follow, oldest first: those followed already, and new ones."""
        followed = self.positions.runs
        created = self._created()
        by_id = {r.dagster_run.run_id: r for r in created if self._is_ours(r.dagster_run)}
        since = self.positions.runs_created_since
        self.positions.runs_created_since = max([since, *(record.create_timestamp for record in created)])
        others = [i for i, position in followed.items() if i not in by_id and not position.done]
        for start in range(0, len(others), PAGE):
            some = self.instance.get_run_records(dg.RunsFilter(run_ids=others[start : start + PAGE]))
            by_id |= {record.dagster_run.run_id: record for record in some}
        for deleted in set(others) - set(by_id):
            del followed[deleted]
        return sorted(by_id.values(), key=lambda record: record.create_timestamp)

    def _created(self) -> list[dg.RunRecord]:
        """The runs created since the last look, and those of the overlap."""
        horizon = self.positions.runs_created_since - OVERLAP
        found: list[dg.RunRecord] = []
        while True:
            # Newest first, by their ids: Dagster has no index of runs by their creation.
            limit = max(FIRST_RUNS, min(len(found), PAGE))
            cursor = found[-1].dagster_run.run_id if found else None
            page = self.instance.get_run_records(limit=limit, cursor=cursor)
            fresh = [record for record in page if record.create_timestamp >= horizon]
            found += fresh
            if len(fresh) < limit:
                return found

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        origin = run.remote_job_origin
        return self.location is None or origin is None or origin.location_name == self.location

    def _follow(self, record: dg.RunRecord, position: RunPosition) -> Iterator[Failing | Passing]:
        run = record.dagster_run
        events, position.cursor, read_to_the_end = self._evaluations(run.run_id, position.cursor)
        yield from (_evaluated(event, run) for event in events)
        if read_to_the_end and run.is_finished:
            if not position.ended:
                position.ended = True
                yield from self._ended(record)
            position.done = self.now - record.update_timestamp > AFTERMATH

    def _evaluations(
        self, run_id: str, cursor: str | None
    ) -> tuple[list[dg.EventLogRecord], str | None, bool]:
        """The next check evaluations of a run, where to go on, and whether there are no more by now."""
        found: list[dg.EventLogRecord] = []
        while self.left > 0:
            page = self.instance.get_records_for_run(
                run_id, cursor=cursor, of_type=EVALUATION, limit=min(PAGE, self.left)
            )
            cursor = page.cursor
            found += page.records
            self.left -= len(page.records)
            if not page.has_more:
                return found, cursor, True
        return found, cursor, False

    def _ended(self, record: dg.RunRecord) -> Iterator[Failing | Passing]:
        run = record.dagster_run
        at = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
        if run.status is dg.DagsterRunStatus.FAILURE and not _is_of_executions(self.instance, run.run_id):
            yield Failing(
                RUN_FAILED,
                job_of(run),
                work_of(run),
                at,
                detail=_why_failed(self.instance, run.run_id),
                link=run_path(run.run_id),
            )
        elif run.status is dg.DagsterRunStatus.SUCCESS:
            yield Passing(RUN_FAILED, work_of(run), at)

    def _let_go(self) -> None:
        horizon = self.positions.runs_created_since - OVERLAP
        self.positions.runs = {
            run_id: position
            for run_id, position in self.positions.runs.items()
            if not position.done or position.created_at >= horizon
        }


def read_runs(
    instance: dg.DagsterInstance, location: str | None, positions: Positions, now: datetime
) -> tuple[list[Failing | Passing], Positions]:
    """What the runs say since the last look, in the order of its happening, and how far was read.

    ``location`` limits it to one code location.
    """
    # A copy, so that nothing counts as read when reading fails half-way.
    reader = _Reader(instance, location, copy.deepcopy(positions), now)
    return reader.read(), reader.positions


def first_positions(instance: dg.DagsterInstance, now: datetime) -> Positions:
    """Where a first look begins: with the runs under way and those of the last minutes."""
    unfinished = [status for status in dg.DagsterRunStatus if status not in FINISHED]
    records = instance.get_run_records(dg.RunsFilter(statuses=unfinished))
    newest = instance.get_records_for_run(NO_RUN, of_type=EVALUATION, limit=1, ascending=False)
    return Positions(
        runs_created_since=now,
        reported=newest.cursor if newest.records else None,
        runs={record.dagster_run.run_id: RunPosition(record.create_timestamp) for record in records},
    )


def job_of(run: dg.DagsterRun) -> str:
    """The name of the job that a run works for: Beacon's where it has one, or else Dagster's own."""
    if JOB_TAG in run.tags or INFERENCE in (run.asset_selection or ()):
        return asking_of_run(run).job_name
    return run.job_name


def _evaluated(event: dg.EventLogRecord, run: dg.DagsterRun | None) -> Failing | Passing:
    assert event.event_log_entry.dagster_event is not None
    evaluation = event.event_log_entry.dagster_event.asset_check_evaluation_data
    asset, name = evaluation.asset_key.to_user_string(), evaluation.check_name
    at = datetime.fromtimestamp(event.timestamp, UTC)
    cause = check_cause(asset, name, of_partition=evaluation.partition is not None)
    subject = evaluation.partition or asset
    if evaluation.passed:
        return Passing(cause, subject, at)  # of a finding in a partition this changes nothing
    texts = {key: str(value.value) for key, value in evaluation.metadata.items()}
    path = "/".join(evaluation.asset_key.path)
    # An empty answer is a finding about a model: the same one in each region and each job that asks again.
    finding = cause == EMPTY_ANSWER
    place, subject = _finding_of(subject) if finding else ("", subject)
    return Failing(
        cause,
        None if finding else texts.get(JOB_METADATA) or (job_of(run) if run else None),
        subject,
        at,
        detail=one_line(texts.get("seen") or _data_test_found(evaluation) or evaluation.description or ""),
        remedy=one_line(texts.get("what_to_do", "")),
        link=asset_path(path, evaluation.partition) if evaluation.partition else check_path(path, name),
        severity=SEVERITIES[evaluation.severity],
        more_may_come=run is not None and not run.is_finished,
        seen_in=place,
    )


def _finding_of(partition: str) -> tuple[str, str]:
    """The region of a partition, and what an answer in it is a finding about: a model and a question."""
    cell = cell_of(partition)
    return cell.region, question_key(cell.model, cell.question)


def _data_test_found(evaluation: dg.AssetCheckEvaluation) -> str:
    """What a failing data test found: its table, its rows counted, and the first of them."""
    count, rows = evaluation.metadata.get("failures"), evaluation.metadata.get("failing_rows")
    table = evaluation.metadata.get("table")
    if not isinstance(count, dg.IntMetadataValue):
        return ""
    found = f"{count.value} failing row" + ("" if count.value == 1 else "s")
    if isinstance(table, dg.TextMetadataValue):
        found += f" in {table.value}"
    if isinstance(rows, dg.TableMetadataValue) and rows.records:
        first = ", ".join(f"{column}={value}" for column, value in rows.records[0].data.items())
        found += f"; the first: {first}"
    return found


def _is_of_executions(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run failed for executions without an answer and nothing else: each is reported by itself."""
    steps = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    failures = [e.dagster_event.step_failure_data.user_failure_data for e in steps if e.dagster_event]
    return bool(failures) and all(f is not None and WITHOUT_ANSWER in f.metadata for f in failures)


def _why_failed(instance: dg.DagsterInstance, run_id: str) -> str:
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = instance.all_logs(run_id, of_type=kinds)
    steps = [e.dagster_event for e in events if e.dagster_event and e.dagster_event.is_step_failure]
    if steps and (error := steps[0].step_failure_data.error):
        return innermost(error)
    return one_line(events[-1].user_message or events[-1].message) if events else ""
