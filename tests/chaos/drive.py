"""Submit jobs, disturb everything as planned, let the sensors heal, and hold the record to the witness."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import Plan
from beacon_pipeline.environment import database_url
from beacon_pipeline.execution.outcomes import outcomes_of_failure
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.jobs.launch import launch_job
from beacon_pipeline.ledger import Ledger, LedgerUnavailable
from beacon_pipeline.ledger.records import CallFacts, Cell, Execution
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.monitoring.alerts import state as memories
from beacon_pipeline.monitoring.alerts.causes import check_cause
from beacon_pipeline.monitoring.metrics import MetricCheck
from beacon_pipeline.names import HEALING_TAG, INFERENCE, STATUS_METRICS
from beacon_pipeline.reconciliation.checks import CheckName
from inference.contract import CallFailure, CallStatus, FailureCode
from tests.beacon_pipeline.instances import beacon, report
from tests.chaos.instance import MODELS, Instance, an_instance, at_once
from tests.chaos.location import ChaosProviders, chaos_provider
from tests.chaos.plan import Disturbance, Kind, plan
from tests.chaos.provider import Accepted, ChaosProvider

# Two blocks of five executions for each cell.
PLAN = Plan(
    arms=("regional", "neutral"),
    prompts={"neutral": "You answer.", "probe": "You answer."},
    blocks=(1, 2),
    samples=2,
    greedy_probes=1,
    temperature=0.8,
    seed="feedbeef",
)
PATIENCE_SECONDS = 400.0  # for healing, after the last disturbance
SKEW_SECONDS = 5.0  # of a rival's clock, either way
# These findings are true and stay, for there is nothing to heal: a model said nothing; and for a day, answers
# took long, and a database that was away for long took no writes.
TRUE_AND_STAYING = {
    check_cause(INFERENCE.to_user_string(), CheckName.NON_EMPTY_OUTPUT, of_partition=True),
    check_cause(STATUS_METRICS.to_user_string(), MetricCheck.EXECUTION_TIME, of_partition=False),
    check_cause(STATUS_METRICS.to_user_string(), MetricCheck.LEDGER_WRITES, of_partition=False),
}

LATE_FAILURE = CallFailure(code=FailureCode.WORKER_LOST, message="a report that comes late")


@dataclass
class Figures:
    """What one seed came to."""

    seed: int
    database: str
    executions: int = 0
    disturbances: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    failed_runs: int = 0
    healing_runs: int = 0
    attempts: int = 0
    calls: int = 0
    sent_again: int = 0
    second_ids: int = 0
    truly_lost: int = 0
    paid_twice: int = 0
    mismatches: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(self.disturbances.items()))
        return (
            f"seed {self.seed} on {self.database}: {self.executions} executions; {told}; {self.runs} runs, "
            f"{self.failed_runs} failed, {self.healing_runs} healing; {self.calls} calls, "
            f"sent again {self.sent_again} times, {self.second_ids} known by a later id; "
            f"{self.attempts} attempts, {self.truly_lost} answers truly lost, {self.paid_twice} paid twice; "
            f"{self.mismatches} mismatches; {self.seconds:.0f} s"
        )


def drive(
    folder: Path, seed: int, *, questions: int, jobs: int, seconds: float, each: int, postgresql: bool
) -> Figures:
    """One seed from its first submit to the last assertion; raises AssertionError.

    ``questions`` of each job, ``each`` disturbances of every kind within ``seconds``.
    """
    started = time.monotonic()
    figures = Figures(seed, "postgresql" if postgresql else "sqlite")
    with an_instance(folder, seed, questions=questions * jobs, postgresql=postgresql) as instance:
        chaos = _Chaos(instance, figures)
        names = [chaos.submit(number, questions) for number in range(jobs)]
        chaos.go_through(plan(seed, seconds=seconds, each=each))
        chaos.wait_until_healed(names)
        chaos.hold(names)
    figures.seconds = time.monotonic() - started
    assert figures.disturbances[Kind.WORKER_KILLED.value], "no run was killed: the seed says nothing"
    return figures


class _Chaos:
    """The disturbances of one instance, and what is left of them."""

    def __init__(self, instance: Instance, figures: Figures) -> None:
        self._instance, self._figures = instance, figures
        self._provider = chaos_provider()
        self._catalog = load_catalog()
        self._background: list[Future[None]] = []
        self._workers = ThreadPoolExecutor(max_workers=16)

    def submit(self, number: int, questions: int) -> str:
        """Ask some of the questions in a job of their own; every second job has a plan."""
        name = f"chaos-{number}"
        path = self._instance.folder / f"{name}.yaml"
        asked = [f"q{n:03}" for n in range(number * questions, (number + 1) * questions)]
        if number % 2:
            self._ask_by_plan(name, self._catalog.cells(questions=asked))
            return name
        path.write_text(json.dumps({"name": name, "questions": asked, "models": [{"id": m} for m in MODELS]}))
        done = beacon(self._instance.env, "submit", str(path), "--no-follow", "--json")
        assert done.returncode == 0, done.stderr
        return name

    def _ask_by_plan(self, name: str, cells: Sequence[Cell]) -> None:
        os.environ["DAGSTER_HOME"] = self._instance.env["DAGSTER_HOME"]
        ledger = Ledger(database_url())
        try:
            with dg.DagsterInstance.get() as instance:
                job = make_job(ledger, self._catalog, name, cells, source="submit", actor="chaos", plan=PLAN)
                launch_job(instance, self._catalog, job, cells)
        finally:
            ledger.close()

    def go_through(self, disturbances: list[Disturbance]) -> None:
        started = time.monotonic()
        for disturbance in disturbances:
            while time.monotonic() - started < disturbance.at:
                self._instance.ensure_daemon()
                time.sleep(0.1)
            if self._disturb(disturbance):
                self._figures.disturbances[disturbance.kind.value] += 1

    def _disturb(self, disturbance: Disturbance) -> bool:
        match disturbance.kind:
            case Kind.WORKER_KILLED:
                return self._instance.kill_worker(disturbance.choice)
            case Kind.DAEMON_KILLED:
                return self._instance.kill_daemon(disturbance.seconds)
            case Kind.EVERYTHING_KILLED:
                return self._instance.kill_everything(disturbance.seconds)
            case Kind.DATABASE:
                self._instance.database.disturb(disturbance.seconds)
                return True
            case Kind.PROVIDER:
                self._provider.cut_off(disturbance.seconds)
                return True
            case Kind.RIVAL:
                self._background.append(self._workers.submit(self._rival, disturbance.choice))
                return True
            case Kind.STARTED_AT_ONCE:
                return self._start_at_once()
            case Kind.LATE_REPORT:
                return self._late_report(disturbance.choice)

    def _rival(self, choice: float) -> None:
        """Ask what a run may be asking too, with a clock that is wrong."""
        skew = timedelta(seconds=(2 * choice - 1) * SKEW_SECONDS)
        ledger = Ledger(database_url(), clock=lambda: datetime.now(UTC) + skew)

        async def ask() -> None:
            jobs = ledger.jobs.newest()
            job = jobs[int(choice * len(jobs))]
            found = ledger.executions.of_job(job.id)
            first = found[int(choice * len(found))]
            cells = [e.cell for e in found if (e.region, e.model) == (first.region, first.model)]
            providers = ChaosProviders().open(self._catalog)
            rival = Materializer(
                ledger, self._catalog, providers, actor="rival", unreachable_patience_seconds=5
            )
            try:
                await rival.materialize(job.id, cells, lambda _: None, Plan.of(job.plan))
            finally:
                await providers.close()

        try:
            with suppress(LedgerUnavailable):
                asyncio.run(ask())
        finally:
            ledger.close()

    def _start_at_once(self) -> bool:
        """Ask, heal and look at the same moment where nothing is: what comes of it is one whole instance."""
        env = self._instance.nothing()
        ask = ("run", "--region", "eu", "--model", MODELS[0], "--question", "q000")
        asked, *others = at_once(env, ask, ("reconcile",), ("alerts",))
        assert asked[0] == 0, asked
        assert all(code in (0, 1) for code, _ in others), others
        home = Path(env["DAGSTER_HOME"])
        url = env.get("BEACON_DATABASE_URL", f"sqlite:///{home / 'ledger.db'}")
        with closing(Ledger(url)) as ledger:
            executions = _all_executions(ledger)
        generated = _generated(self._figures.seed, ChaosProvider(home / "provider.db", self._figures.seed))
        assert {e.id: [e.answer] for e in executions} == generated, "the answers generated, and no others"
        assert report(env)["mismatches"] == 0
        return True

    def _late_report(self, choice: float) -> bool:
        """Say of an answered call, long after, that it failed. Whether there is one; it changes nothing."""
        ledger = Ledger(database_url())
        try:
            answered = [e for e in _all_executions(ledger) if e.status is Status.COMPLETED]
            if not answered:
                return False
            call = answered[int(choice * len(answered))].newest_call
            assert call is not None
            on_call = ledger.executions.on_call(call.id)
            outcomes = outcomes_of_failure(LATE_FAILURE, on_call, call.id, budget=1)
            facts = CallFacts(status=CallStatus.FAILED, replied=True, failure=LATE_FAILURE)
            completed = {e.id for e in on_call if e.status is Status.COMPLETED}
            changed = ledger.calls.settle(call.id, outcomes, facts, actor="late")
            assert not completed.intersection(changed), "a late failure took an answer away"
        except LedgerUnavailable:
            return False
        finally:
            ledger.close()
        return True

    def wait_until_healed(self, names: list[str]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for rival in self._background:
            rival.result(PATIENCE_SECONDS)
        self._workers.shutdown()
        os.environ["DAGSTER_HOME"] = self._instance.env["DAGSTER_HOME"]
        with dg.DagsterInstance.get() as instance:
            while wrong := self._wrong(instance, names):
                if time.monotonic() > deadline:
                    log = self._instance.log.read_text(errors="replace")[-4000:]
                    raise AssertionError(f"seed {self._figures.seed}: not healed: {wrong}\n{log}")
                self._instance.ensure_daemon()
                time.sleep(1)
            runs = instance.get_runs()
        self._figures.runs = len(runs)
        self._figures.failed_runs = sum(run.status is dg.DagsterRunStatus.FAILURE for run in runs)
        self._figures.healing_runs = sum(HEALING_TAG in run.tags for run in runs)

    def _wrong(self, instance: dg.DagsterInstance, names: list[str]) -> str | None:
        """The first thing that is not healed yet, the cheapest to see first."""
        ledger = Ledger(database_url())
        try:
            by_status = Counter(execution.status.value for execution in _all_executions(ledger))
        finally:
            ledger.close()
        if set(by_status) != {"completed"}:
            return f"executions are {dict(by_status)}"
        unfinished = [run.run_id for run in instance.get_runs() if not run.is_finished]
        if unfinished:
            return f"{len(unfinished)} runs under way"
        alerts = [alert for alert in memories.load(instance).alerts if alert.cause not in TRUE_AND_STAYING]
        if alerts:
            return "open alerts: " + "; ".join(f"{a.cause} of {a.job}: {sorted(a.open)[:3]}" for a in alerts)
        self._figures.mismatches = sum(
            report(self._instance.env, "--job", name)["mismatches"] for name in names
        )
        return f"{self._figures.mismatches} mismatches" if self._figures.mismatches else None

    def hold(self, names: list[str]) -> None:
        """The record against the witness."""
        ledger = Ledger(database_url())
        try:
            executions = _all_executions(ledger)
            jobs = {job.id: job.job_name for job in ledger.jobs.newest()}
            plans = {job.id: Plan.of(job.plan) for job in ledger.jobs.newest()}
        finally:
            ledger.close()
        self._figures.executions = len(executions)
        self._figures.attempts = sum(len(execution.attempts) for execution in executions)
        assert sorted(jobs.values()) == sorted(names), "no job but those submitted"
        asked = {(e.job_id, slot) for e in executions for slot in plans[e.job_id].executions_of(e.cell)}
        assert {e.cell for e in executions} == set(self._catalog.cells()), "every cell asked for"
        assert {(e.job_id, e.slot) for e in executions} == asked, "every execution asked for"
        assert len(asked) == len(executions), "no row twice"
        self._hold_to_the_witness(executions, self._provider.accepted())

    def _hold_to_the_witness(self, executions: list[Execution], accepted: list[Accepted]) -> None:
        generated = _generated(self._figures.seed, self._provider)
        asked = sum(len(call.items) for call in accepted)
        self._figures.truly_lost = asked - sum(len(texts) for texts in generated.values())
        self._figures.calls = len(accepted)
        self._figures.sent_again = sum(call.submissions - 1 for call in accepted)
        self._figures.paid_twice = sum(len(texts) - 1 for texts in generated.values())
        recorded = {
            attempt.call.id: attempt.call.provider_call_id for e in executions for attempt in e.attempts
        }
        self._figures.second_ids = sum(known_by not in (call, None) for call, known_by in recorded.items())
        assert {call.request_id for call in accepted} <= recorded.keys(), "a call that nobody knows of"
        assert not any(call.cancelled for call in accepted), "nobody wished a call away"
        assert self._figures.paid_twice == 0, "an answer was paid twice"
        assert {e.id: [e.answer] for e in executions} == generated, "the answers generated, and no others"
        assert not any(e.dead_lettered_at for e in executions), "nothing was given up"


def _generated(seed: int, provider: ChaosProvider) -> dict[str, list[str]]:
    """Item -> the texts that were generated for it, by the provider's own account."""
    generated: dict[str, list[str]] = {}
    for call in provider.accepted():
        for item in call.items:
            if (text := call.text(seed, item)) is not None:
                generated.setdefault(item, []).append(text)
    return generated


def _all_executions(ledger: Ledger) -> list[Execution]:
    return [execution for job in ledger.jobs.newest() for execution in ledger.executions.of_job(job.id)]
