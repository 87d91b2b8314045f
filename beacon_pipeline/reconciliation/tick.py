"""One look at a bounded part of the record: what a write can settle is settled, the rest gets runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.execution.collect import Collected, Collector
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.jobs.cancel import left_by_cancelled
from beacon_pipeline.jobs.job_of_run import asking_of_run, job_for
from beacon_pipeline.jobs.runs import asks_models, cells_of_run, cells_under_way
from beacon_pipeline.jobs.specification import specified_cells
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.overdue import Position
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.ledger.status import UNSUCCESSFUL, Status
from beacon_pipeline.names import RECORDED_TAG
from beacon_pipeline.reconciliation.inspect import LOOK_SECONDS, Inspection, Inspector
from beacon_pipeline.reconciliation.reconcile import Repair
from beacon_pipeline.reconciliation.repair_runs import HEALING_RUNS, HealingRun, healing_runs, tries_so_far
from beacon_pipeline.reconciliation.unchecked import unchecked_partitions
from beacon_pipeline.reconciliation.view import newest_materializations, shown_of_unknown

EXAMINED_A_TICK = 500  # executions of each kind
SWEPT_A_TICK = 200  # partitions compared with what Dagster shows
RUNS_A_TICK = 10
ENDED_RUNS_A_TICK = 50
JOBS_WATCHED_FOR = timedelta(days=7)

SENSOR = ACTOR = "reconciliation"

log = structlog.get_logger()


class Trouble(BaseModel):
    """Something that reconciliation cannot put right: since when, and what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: datetime
    what: str


class Cursor(BaseModel):
    """Where the walks through the record stand; every walk starts again when it is through.

    The troubles are kept here for the alerts, which know nothing of providers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    overdue: Position | None = None
    unconfirmed: Position | None = None
    ended_runs: datetime | None = None
    swept: int = 0  # partitions, in the catalog's order
    unknown_told: dict[str, int] = {}  # partition key -> storage id of the materialization reported on
    unreachable: dict[str, Trouble] = {}  # by the provider that executions wait for
    gave_up: dict[str, Trouble] = {}  # by the first partition of what healing runs did not put right

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """A cursor as it was written; the start for none, and for one of another version."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            return cls()


@dataclass
class Tick:
    """What one tick found and wants done."""

    cursor: Cursor
    runs: list[HealingRun] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)  # partition key -> storage id, not reported before
    unchecked: dict[str, int] = field(default_factory=dict)  # the same, of what dead runs left without checks
    waiting: set[str] = field(default_factory=set)  # executions: wrong, and nothing can be done now
    left: int = 0  # runs that did not fit into this tick
    gave_up: set[str] = field(default_factory=set)  # executions
    settled: set[str] = field(default_factory=set)  # executions that left the catalog, without a run
    troubled: dict[str, str] = field(default_factory=dict)  # first partition of a run given up -> what it is

    @property
    def summary(self) -> str:
        counts = {
            "runs requested": len(self.runs),
            "more runs to come": self.left,
            "executions waiting": len(self.waiting),
            "given up": len(self.gave_up),
            "no longer in the catalog settled": len(self.settled),
            "partitions to be checked": len(self.unchecked),
            "partitions unknown to the ledger": len(self.cursor.unknown_told),
        }
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing is wrong"


class Reconciliation:
    """One look at the record, at the moment ``now``.

    An unsettled execution that nothing has touched for as long as ``deadline`` (default: the
    catalog's) is overdue. A tick requests at most ``runs_a_tick`` runs; None: all that are needed.
    """

    def __init__(
        self,
        ledger: Ledger,
        instance: dg.DagsterInstance,
        catalog: Catalog,
        providers: ProvidersResource,
        *,
        now: datetime | None = None,
        deadline: timedelta | None = None,
        runs_a_tick: int | None = RUNS_A_TICK,
    ) -> None:
        self._ledger = ledger
        self._instance = instance
        self._catalog = catalog
        self._providers = providers
        self._examiner = Inspector(
            ledger,
            catalog,
            providers,
            shown=partial(newest_materializations, instance),
            under_way=cells_under_way(instance, catalog),
        )
        self._runs_a_tick = runs_a_tick
        self._now = now or datetime.now(UTC)
        if deadline is None:
            deadline = timedelta(seconds=catalog.settings.deadline_seconds)
        self._untouched_since = self._now - deadline

    def tick(self, cursor: Cursor) -> Tick:
        """Look at the next part of the record; what cannot be settled by a write needs a run."""
        self.name_regions()
        self.complete_jobs()
        records = self._ended_runs(cursor.ended_runs)
        abandoned = self._abandoned(records)
        overdue = self._ledger.overdue.unsettled(
            self._untouched_since, after=cursor.overdue, limit=EXAMINED_A_TICK
        )
        unconfirmed = self._ledger.overdue.unconfirmed(after=cursor.unconfirmed, limit=EXAMINED_A_TICK)
        cells = self._catalog.cells()[cursor.swept : cursor.swept + SWEPT_A_TICK]
        swept = self._ledger.executions.newest(cells)
        left = self._ledger.executions.with_ids(sorted(abandoned))
        executions = {e.id: e for e in [*left, *overdue, *unconfirmed, *swept]}
        examined = self._examiner.examine(
            list(executions.values()), untouched_since=self._untouched_since, abandoned=abandoned
        )
        tick = Tick(cursor, unchecked=self._unchecked(records))
        self._settle_unserved([*overdue, *unconfirmed], tick)
        self._settle(examined, tick)
        self._request(examined, tick)
        tick.cursor = tick.cursor.model_copy(
            update={
                "unknown_told": dict(self._find_unknown(swept, cells, tick)),
                "unreachable": self._unreachable(
                    examined, tick, whole=_is_whole(cursor, overdue, unconfirmed)
                ),
                "gave_up": self._gave_up(cells, tick),
            }
        )
        if not tick.left:
            # Else the walks stand still until their runs fit; what is requested is under way by then.
            tick.cursor = tick.cursor.model_copy(
                update={
                    "overdue": _next(overdue),
                    "unconfirmed": _next(unconfirmed),
                    "ended_runs": records[-1].update_timestamp if records else cursor.ended_runs,
                    "swept": (cursor.swept + SWEPT_A_TICK) if len(cells) == SWEPT_A_TICK else 0,
                }
            )
        return tick

    def name_regions(self) -> int:
        """Give rows that a client wrote under another spelling their region's canonical name."""
        known = {region.id for region in self._catalog.regions}
        renamed = 0
        for job_id, spelled in self._ledger.overdue.misspelt_regions(
            known, since=self._now - JOBS_WATCHED_FOR
        ):
            region = self._catalog.read_region(spelled)
            if region is None:
                log.warning("a region on record is in no catalog", job=job_id, region=spelled)
                continue
            count = self._ledger.repairs.adopt_region(job_id, spelled, region, actor=ACTOR)
            log.warning("a region was misspelt", job=job_id, spelled=spelled, region=region, renamed=count)
            renamed += count
        return renamed

    def complete_jobs(self) -> None:
        """Make the executions that a job was asked for and does not have: they come up as overdue."""
        since = self._now - JOBS_WATCHED_FOR
        served = set(self._catalog.cells())
        for job, count in self._ledger.jobs.with_counts(since=since, until=self._untouched_since):
            asked = served.intersection(specified_cells(job.specification) or ())
            plan = Plan.of(job.plan)
            wanted = len(asked) * plan.executions_of_a_cell
            if count < wanted:
                log.warning("a job lacks executions", job=job.job_name, asked=wanted, on_record=count)
                self._ledger.executions.ensure(job.id, asked, actor=ACTOR, slots_of=plan.executions_of)

    def _ended_runs(self, since: datetime | None) -> Sequence[dg.RunRecord]:
        """The next runs that ended otherwise than well, in the order of their ends."""
        return self._instance.get_run_records(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
                updated_after=since or self._now - timedelta(days=1),
            ),
            limit=ENDED_RUNS_A_TICK,
            order_by="update_timestamp",
            ascending=True,
        )

    def _abandoned(self, records: Sequence[dg.RunRecord]) -> set[str]:
        """The executions that runs left behind when they failed.

        What a run that was cancelled before it began should have asked is cancelled, unless it was asked
        again since.
        """
        abandoned: set[str] = set()
        for record in records:
            run = record.dagster_run
            if run.status is dg.DagsterRunStatus.CANCELED:
                left = left_by_cancelled(run, self._ledger, self._instance, self._catalog)
                pending = [execution.id for execution in left if execution.status is Status.PENDING]
                self._ledger.repairs.cancel_pending(pending, actor=ACTOR)
            elif asks_models(run) and (cells := cells_of_run(self._catalog, run.tags)):
                abandoned.update(self._left_by(record, cells))
        return abandoned

    def _unchecked(self, records: Sequence[dg.RunRecord]) -> dict[str, int]:
        served = {key_of(cell) for cell in self._catalog.cells()}
        ended = [record.dagster_run for record in records if asks_models(record.dagster_run)]
        found = unchecked_partitions(self._instance, self._catalog, ended)
        return {key: storage_id for key, storage_id in found.items() if key in served}

    def _left_by(self, record: dg.RunRecord, cells: Sequence[Cell]) -> list[str]:
        """The executions of a failed run, made now if it died before it could.

        Of a run from before anything on record, or whose job was on record and is no more (the ledger was
        wiped, or an older one restored), it is not known what was paid for: a person decides whether that is
        asked again.
        """
        run = record.dagster_run
        asking = asking_of_run(run)
        if self._ledger.jobs.named(asking.job_name) is None:
            oldest = self._ledger.jobs.oldest()
            before_the_record = oldest is None or record.create_timestamp < oldest.created_at
            if before_the_record or RECORDED_TAG in run.tags:
                log.warning(
                    "the ledger no longer has the job of a failed run", run=run.run_id, job=asking.job_name
                )
                return []
        job, asked = job_for(self._ledger, self._catalog, asking, cells, actor=f"run:{run.run_id}")
        left = self._ledger.executions.of_job(job.id, asked)
        if job.plan is not None:  # there may be many thousands; what is completed comes up in the sweep
            left = [execution for execution in left if execution.status is not Status.COMPLETED]
        return [execution.id for execution in left]

    def _settle_unserved(self, executions: Sequence[Execution], tick: Tick) -> None:
        """Settle what the catalog no longer has, here and now: no run can work on its partition.

        What the provider has of it is read, and nothing is asked anew.
        """
        served = set(self._catalog.cells())
        gone = [e for e in executions if e.cell not in served and e.status is not Status.COMPLETED]
        if not gone:
            return
        log.warning("no longer in the catalog", partitions=sorted({key_of(e.cell) for e in gone}))

        async def collect() -> Collected:
            async with self._providers.open(self._catalog) as providers:
                collector = Collector(
                    self._ledger, self._catalog, providers, actor=ACTOR, look_seconds=LOOK_SECONDS
                )
                return await collector.collect(gone)

        collected = asyncio.run(collect())
        tick.settled.update(collected.settled)
        tick.waiting.update(collected.waiting)

    def _settle(self, examined: Sequence[Inspection], tick: Tick) -> None:
        confirmed = {call_id for one in examined for call_id in one.confirmed}
        self._ledger.repairs.confirm(sorted(confirmed))
        spent = [e.execution.id for e in examined if e.repair is Repair.DEAD_LETTER]
        self._ledger.repairs.dead_letter(spent, actor=ACTOR, detail="the attempt budget is spent")
        tick.gave_up.update(spent)
        tick.waiting.update(e.execution.id for e in examined if e.waits)

    def _unreachable(self, examined: Sequence[Inspection], tick: Tick, *, whole: bool) -> dict[str, Trouble]:
        """The providers that executions wait for. Where this was not a look at all that may wait, one
        that was waited for stays, until it gives a word."""
        now = {e.provider: e.waits_for for e in examined if e.waits_for}
        heard = {e.provider for e in examined if e.was_reached}
        before = {} if whole else tick.cursor.unreachable
        kept = {name: trouble for name, trouble in before.items() if name not in heard}
        return kept | self._since(tick.cursor.unreachable, now)

    def _gave_up(self, cells: Sequence[Cell], tick: Tick) -> dict[str, Trouble]:
        """What runs did not put right, until the sweep comes by and does not meet it."""
        swept = {key_of(cell) for cell in cells}
        kept = {key: trouble for key, trouble in tick.cursor.gave_up.items() if key not in swept}
        return kept | self._since(tick.cursor.gave_up, tick.troubled)

    def _since(self, before: Mapping[str, Trouble], now: Mapping[str, str]) -> dict[str, Trouble]:
        return {
            name: Trouble(since=before[name].since if name in before else self._now, what=what)
            for name, what in now.items()
        }

    def _request(self, examined: Sequence[Inspection], tick: Tick) -> None:
        jobs = self._ledger.jobs.names({e.execution.job_id for e in examined})
        with_plan = self._ledger.jobs.with_plan(jobs)
        for run in healing_runs(self._catalog, jobs, examined, with_plan=with_plan):
            if len(tick.runs) == self._runs_a_tick:
                tick.left += 1
            elif (tries := tries_so_far(self._instance, run)) < HEALING_RUNS:
                tick.runs.append(replace(run, tries=tries))
            else:
                self._give_up(run, tick)

    def _give_up(self, run: HealingRun, tick: Tick) -> None:
        """Runs changed nothing. What was never dispatched ends; the alerts report the rest."""
        ids = [execution.id for execution in run.executions]
        tick.gave_up.update(ids)
        log.error("healing gave up", job=run.job_name, healing=run.repair.value, first=run.keys.start)
        if run.repair is Repair.REDISPATCH:
            self._ledger.repairs.dead_letter(
                ids, actor=ACTOR, detail=f"{HEALING_RUNS} runs did not dispatch it"
            )
        else:
            tick.troubled[run.keys.start] = (
                f"{HEALING_RUNS} runs to {run.repair.value.replace('_', ' ')} changed nothing "
                f"(job {run.job_name}, {len(ids)} partitions)"
            )

    def _find_unknown(
        self, swept: Sequence[Execution], cells: Sequence[Cell], tick: Tick
    ) -> Iterator[tuple[str, int]]:
        """Find partitions that Dagster shows from what the ledger does not have; each gets one check run.

        Gives the storage id of the materialization of every such partition, by partition key. What has an
        answer on record is shown anew from it; so is in the end what is still to get one, and until then
        only an execution that is gone counts, not what was reported by hand.
        """
        newest: dict[str, Status] = {}
        for execution in sorted(swept, key=lambda e: e.status is not Status.COMPLETED):
            newest[key_of(execution.cell)] = execution.status  # of several the one without an answer
        keys = [key_of(cell) for cell in cells]
        suspects = [key for key in keys if newest.get(key) is not Status.COMPLETED]
        shown = newest_materializations(self._instance, suspects)
        reported = tick.cursor.unknown_told
        for key, materialized in shown_of_unknown(self._ledger, shown).items():
            if materialized.shown.execution_id is None and newest.get(key) not in (None, *UNSUCCESSFUL):
                continue
            if reported.get(key) != materialized.target.storage_id:
                tick.unknown[key] = materialized.target.storage_id
            yield key, materialized.target.storage_id
        elsewhere = reported.keys() - set(keys)
        yield from ((key, reported[key]) for key in sorted(elsewhere))


def _is_whole(cursor: Cursor, *walked: Sequence[Execution]) -> bool:
    """Whether these are all that are overdue or unconfirmed."""
    from_the_start = cursor.overdue is None and cursor.unconfirmed is None
    return from_the_start and all(_next(some) is None for some in walked)


def _next(walked: Sequence[Execution]) -> Position | None:
    """Where a walk goes on: past its last one, or from the start when it is through."""
    last = walked[-1] if len(walked) == EXAMINED_A_TICK else None
    return None if last is None else (last.updated_at, last.id)
