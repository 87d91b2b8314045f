"""A ledger with something of everything in it, and damage to it."""

from contextlib import closing

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.database import Database
from beacon_pipeline.ledger.records import CallFacts, Cell, Retry, Unsuccessful
from beacon_pipeline.ledger.status import Status
from inference.contract import CallFailure, CallStatus, FailureCode
from tests.beacon_pipeline.asking import SUCCEEDED, a_request_for, completed

CATALOG = load_catalog("demo")
CELLS = [Cell(region, "tiny-qwen", f"q{n}") for region in ("us", "eu", "apac") for n in range(4)]
LOST = CallFailure(code=FailureCode.WORKER_LOST, message="gone")
FAILED = CallFacts(status=CallStatus.FAILED, replied=False, failure=LOST)


def a_sound_record(url: str, digest: str = CATALOG.digest) -> None:
    """A job with every kind of end: answers, an empty one, a retry that succeeded, a dead letter, a
    cancelled one, one in flight and one waiting."""
    with closing(Ledger(url)) as ledger:
        ledger.migrate()
        job = ledger.jobs.ensure("job-1", source="launch", catalog="demo", catalog_digest=digest)
        ledger.executions.ensure(job.id, CELLS, actor="test")
        for region in ("us", "eu", "apac"):
            executions = [e for e in ledger.executions.of_job(job.id) if e.region == region]
            first, second, third, fourth = executions
            call = ledger.calls.open([first, second, third], a_request_for, provider="local", actor="test")
            assert call is not None
            ledger.calls.accept(call.id, f"fc-{region}")
            outcomes = {
                first.id: completed("fine", region),
                second.id: completed("", region),
                third.id: Retry(failure_code=LOST.code, message=LOST.message),
            }
            ledger.calls.settle(call.id, outcomes, SUCCEEDED, actor="test")
            pending = [e for e in ledger.executions.of_job(job.id) if e.id in (third.id, fourth.id)]
            call = ledger.calls.open(pending[:1], a_request_for, provider="local", actor="test")
            assert call is not None
            ledger.calls.accept(call.id, f"fc-{region}-2")
            if region == "us":
                ledger.repairs.cancel_pending([fourth.id], actor="test")
                dead = Unsuccessful(
                    status=Status.FAILED, failure_code=LOST.code, message="gone", dead_letter=True
                )
                ledger.calls.settle(call.id, {third.id: dead}, FAILED, actor="test")
            elif region == "eu":
                ledger.calls.settle(call.id, {third.id: completed("late", region)}, SUCCEEDED, actor="test")


def damage(url: str, fault: str) -> None:
    with closing(Database(url)) as database:
        database.write(lambda connection: connection.exec_driver_sql(fault))
