"""One look at a bounded part of the record: what a write can settle is settled, the rest gets runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from beacon_pipeline.assets.events import newest_materializations
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.healing.examine import Examined, Examiner
from beacon_pipeline.healing.runs import HEALING_RUNS, HealingRun, healing_runs, tries_so_far
from beacon_pipeline.jobs import asking_of, job_for
from beacon_pipeline.launch import INFERENCE_JOB
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell, Execution
from beacon_pipeline.ledger.watching import Position
from beacon_pipeline.partitions import key_of
from beacon_pipeline.reconcile import Healing
from beacon_pipeline.resources import ProvidersResource
from beacon_pipeline.runs import cells_of_run, cells_under_way
from beacon_pipeline.specification import specified_cells
from beacon_pipeline.vocabulary import Status

EXAMINED_A_TICK = 500  # executions of each kind
SWEPT_A_TICK = 200  # partitions compared with what Dagster shows
RUNS_A_TICK = 10
ENDED_RUNS_A_TICK = 50
JOBS_WATCHED_FOR = timedelta(days=7)

SENSOR = ACTOR = "reconciliation"

log = structlog.get_logger()


class Cursor(BaseModel):
    """Where the walks through the record stand; every walk starts again when it is through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overdue: Position | None = None
    unconfirmed: Position | None = None
    ended_runs: datetime | None = None
    swept: int = 0  # partitions, in the catalog's order
    unknown_told: dict[str, int] = {}  # partition key -> storage id of the materialization told about
    unreachable: dict[str, datetime] = {}  # provider -> since when executions wait for a word from it

    @property
    def is_at_start(self) -> bool:
        """Whether the next tick begins every walk anew."""
        return self.overdue is None and self.unconfirmed is None and self.swept == 0

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
    unknown: dict[str, int] = field(default_factory=dict)  # partition key -> storage id, not told before
    waiting: int = 0  # wrong, and nothing can be done now
    left: int = 0  # runs that did not fit into this tick
    gave_up: int = 0

    @property
    def summary(self) -> str:
        told = {
            "runs requested": len(self.runs),
            "more runs to come": self.left,
            "executions waiting": self.waiting,
            "given up": self.gave_up,
            "partitions unknown to the ledger": len(self.unknown),
        }
        return ", ".join(f"{count} {name}" for name, count in told.items() if count) or "nothing is wrong"


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
        self._examiner = Examiner(
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
        abandoned, ended_runs = self._ended_runs(cursor.ended_runs)
        overdue = self._ledger.overdue(self._untouched_since, after=cursor.overdue, limit=EXAMINED_A_TICK)
        unconfirmed = self._ledger.unconfirmed(after=cursor.unconfirmed, limit=EXAMINED_A_TICK)
        cells = self._catalog.cells()[cursor.swept : cursor.swept + SWEPT_A_TICK]
        swept = self._ledger.newest_executions(cells)
        left = self._ledger.executions_with_ids(sorted(abandoned))
        executions = {e.id: e for e in [*left, *overdue, *unconfirmed, *swept]}
        examined = self._examiner.examine(
            list(executions.values()), untouched_since=self._untouched_since, abandoned=abandoned
        )
        tick = Tick(cursor)
        self._settle(examined, tick)
        self._request(examined, tick)
        unknown_told = dict(self._find_unknown(examined, cells, tick))
        if tick.left:
            # The walks stand still until their runs fit; what is requested is under way by then.
            walked = cursor.model_copy(update={"unknown_told": unknown_told})
            tick.cursor = self._with_unreachable(walked, examined, tick)
            return tick
        walked = Cursor(
            overdue=_next(overdue),
            unconfirmed=_next(unconfirmed),
            ended_runs=ended_runs,
            swept=(cursor.swept + SWEPT_A_TICK) if len(cells) == SWEPT_A_TICK else 0,
            unknown_told=unknown_told,
        )
        tick.cursor = self._with_unreachable(walked, examined, tick)
        return tick

    def name_regions(self) -> int:
        """Give rows that a client wrote under another spelling their region's canonical name."""
        known = {region.id for region in self._catalog.regions}
        renamed = 0
        for job_id, spelled in self._ledger.misspelt_regions(known, since=self._now - JOBS_WATCHED_FOR):
            region = self._catalog.read_region(spelled)
            if region is None:
                log.warning("a region on record is in no catalog", job=job_id, region=spelled)
                continue
            count = self._ledger.adopt_region(job_id, spelled, region)
            log.warning("a region was misspelt", job=job_id, spelled=spelled, region=region, renamed=count)
            renamed += count
        return renamed

    def complete_jobs(self) -> None:
        """Make the executions that a job was asked for and does not have: they come up as overdue."""
        since = self._now - JOBS_WATCHED_FOR
        served = set(self._catalog.cells())
        for job, count in self._ledger.jobs_with_counts(since=since, until=self._untouched_since):
            asked = served.intersection(specified_cells(job.specification) or ())
            if count < len(asked):
                log.warning("a job lacks executions", job=job.jobspec_id, asked=len(asked), on_record=count)
                self._ledger.ensure_executions(job.id, asked, actor=ACTOR)

    def _ended_runs(self, since: datetime | None) -> tuple[set[str], datetime | None]:
        """The executions that runs left behind when they failed, and where the walk stands then.

        What a run that was cancelled before it began should have asked is cancelled.
        """
        records = self._instance.get_run_records(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
                updated_after=since or self._now - timedelta(days=1),
            ),
            limit=ENDED_RUNS_A_TICK,
            order_by="update_timestamp",
            ascending=True,
        )
        abandoned: set[str] = set()
        for record in records:
            run = record.dagster_run
            cells = cells_of_run(self._catalog, run.tags) if run.job_name == INFERENCE_JOB else []
            if cells and run.status is dg.DagsterRunStatus.FAILURE:
                abandoned.update(self._left_by(run, cells))
            elif cells and (job := self._ledger.job(asking_of(run.tags, run.run_id).jobspec_id)):
                pending = [e.id for e in self._ledger.executions(job.id, cells) if e.status is Status.PENDING]
                self._ledger.cancel_pending(pending, actor=ACTOR)
        return abandoned, records[-1].update_timestamp if records else since

    def _left_by(self, run: dg.DagsterRun, cells: Sequence[Cell]) -> list[str]:
        job = job_for(
            self._ledger, self._catalog, asking_of(run.tags, run.run_id), cells, actor=f"run:{run.run_id}"
        )
        return [execution.id for execution in self._ledger.executions(job.id, cells)]

    def _settle(self, examined: Sequence[Examined], tick: Tick) -> None:
        confirmed = {e.execution.newest_call.id for e in examined if e.confirms and e.execution.newest_call}
        self._ledger.confirm(sorted(confirmed))
        spent = [e.execution.id for e in examined if e.healing is Healing.DEAD_LETTER]
        self._ledger.dead_letter(spent, actor=ACTOR, detail="the attempt budget is spent")
        tick.gave_up += len(spent)
        tick.waiting += sum(e.waits for e in examined)

    def _with_unreachable(self, walked: Cursor, examined: Sequence[Examined], tick: Tick) -> Cursor:
        """Keep which providers gave no word; one that nothing is known of now stays as it was."""
        waited_for = {e.provider for e in examined if e.provider and e.waits}
        heard = {e.provider for e in examined if e.provider and e.was_told}
        whole_record = tick.cursor.is_at_start and walked.is_at_start
        before = tick.cursor.unreachable
        kept = waited_for | ({} if whole_record else before).keys() - heard
        since = {provider: before.get(provider, self._now) for provider in sorted(kept)}
        return walked.model_copy(update={"unreachable": since})

    def _request(self, examined: Sequence[Examined], tick: Tick) -> None:
        jobs = self._ledger.jobspec_ids({e.execution.job_id for e in examined})
        for run in healing_runs(self._catalog, jobs, examined):
            if len(tick.runs) == self._runs_a_tick:
                tick.left += 1
            elif (tries := tries_so_far(self._instance, run)) < HEALING_RUNS:
                tick.runs.append(replace(run, tries=tries))
            else:
                self._give_up(run, tick)

    def _give_up(self, run: HealingRun, tick: Tick) -> None:
        """Runs changed nothing. What was never dispatched ends; for the rest a person is told."""
        tick.gave_up += len(run.executions)
        log.error("healing gave up", job=run.jobspec_id, healing=run.healing.value, first=run.keys.start)
        if run.healing is Healing.REDISPATCH:
            ids = [execution.id for execution in run.executions]
            self._ledger.dead_letter(ids, actor=ACTOR, detail=f"{HEALING_RUNS} runs did not dispatch it")

    def _find_unknown(
        self, examined: Sequence[Examined], cells: Sequence[Cell], tick: Tick
    ) -> Iterator[tuple[str, int]]:
        """Find partitions that Dagster shows and the ledger knows nothing of; each is told once.

        Gives the storage id of the materialization of every such partition, by partition key.
        """
        recorded = {e.execution.cell for e in examined}
        unrecorded = [key_of(cell) for cell in cells if cell not in recorded]
        told = tick.cursor.unknown_told
        for key, materialized in newest_materializations(self._instance, unrecorded).items():
            if told.get(key) != materialized.target.storage_id:
                tick.unknown[key] = materialized.target.storage_id
            yield key, materialized.target.storage_id
        swept = {key_of(cell) for cell in cells}
        yield from ((key, storage_id) for key, storage_id in told.items() if key not in swept)


def _next(walked: Sequence[Execution]) -> Position | None:
    """Where a walk goes on: past its last one, or from the start when it is through."""
    last = walked[-1] if len(walked) == EXAMINED_A_TICK else None
    return None if last is None else (last.updated_at, last.id)
