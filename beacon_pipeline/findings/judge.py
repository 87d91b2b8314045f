"""A judge model labels answers, through the same contract as the models it judges.

Its calls are on record before they are sent, with the raw reply afterwards, and belong to no job. After a
crash the same command goes on with them: a durable provider runs a request once, however often it is sent.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from beacon_pipeline.catalog import Catalog, Model
from beacon_pipeline.errors import BeaconError
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.labels.judge import items, read, rubric, why_no_judge
from beacon_pipeline.labels.sheets import Asked
from beacon_pipeline.labels.work import judged_rows
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.judge_calls import reply_of
from beacon_pipeline.ledger.records import Job, JudgeCall, Label
from beacon_pipeline.ledger.status import LabelKind, LabelMethod
from inference.contract import (
    CallStatus,
    Deployment,
    Item,
    MalformedReply,
    Provider,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    SubmitUnknown,
)

ITEMS_PER_CALL = 64
FIRST_POLL_SECONDS, SLOWEST_POLL_SECONDS = 0.05, 2.0
SILENCE_SECONDS = 120.0  # for how long an unreachable provider is asked


class NoJudge(BeaconError):
    """This model cannot judge these answers."""


@dataclass(frozen=True)
class Judged:
    """``kinds`` of all labels by this judge; ``unreadable``: its replies that are none of the labels;
    ``failures``: why other answers have no label, one line for each call or item; ``open_calls`` go on."""

    kinds: Counter[LabelKind]
    unreadable: tuple[str, ...]
    failures: tuple[str, ...]
    open_calls: int


def check_judge(catalog: Catalog, judge: Model, judged: Sequence[str]) -> None:
    """Raises NoJudge where a model would judge its own family, or a family is not known."""
    known = {model.id: model.shown_names for model in catalog.models}
    names = {name: known.get(name, (name,)) for name in judged}
    if reason := why_no_judge(judge.id, judge.shown_names, names):
        raise NoJudge(reason)


async def judge_jobs(
    ledger: Ledger,
    catalog: Catalog,
    providers: Providers,
    jobs: Sequence[Job],
    judge: Model,
    region: str,
) -> Judged:
    """Have a model label the answers of these jobs that it has not labelled; closes the providers.

    Raises NoJudge, NotConfigured.
    """
    async with providers:
        return await _judge(ledger, catalog, providers.for_model(judge), jobs, judge, region)


async def _judge(
    ledger: Ledger, catalog: Catalog, provider: Provider, jobs: Sequence[Job], judge: Model, region: str
) -> Judged:
    rows = [row for job in jobs for row in judged_rows(ledger, job)]
    check_judge(catalog, judge, sorted({row["model"] for row in rows}))
    deployment = Deployment(region=region, model=judge.id)
    provider.check_configured(deployment)
    wanted = items(Asked(row["id"], row["prompt"] or "", row["answer"]) for row in rows)

    def build(asked: set[str]) -> list[Request]:
        left = [item for item in wanted if item.id not in asked]
        parts = [left[at : at + ITEMS_PER_CALL] for at in range(0, len(left), ITEMS_PER_CALL)]
        return [_request(catalog, judge, deployment, part) for part in parts]

    version = rubric().version
    calls = ledger.judge_calls.open(judge.id, version, build, provider=provider.name)
    await asyncio.gather(*(_finish(ledger, provider, call, judge) for call in calls))
    return _take(ledger, judge.id, version, {item.id for item in wanted})


def _request(catalog: Catalog, judge: Model, deployment: Deployment, part: Sequence[Item]) -> Request:
    greedy = {"temperature": 0.0, "top_p": 1.0}
    return Request(
        id=str(uuid.uuid4()),
        deployment=deployment,
        model=catalog.source(judge, deployment.region),
        parameters=catalog.parameters(judge).model_copy(update=greedy),
        items=tuple(part),
    )


async def _finish(ledger: Ledger, provider: Provider, call: JudgeCall, judge: Model) -> None:
    """Send a call if it was not accepted yet, and wait for its end; what is not known stays open."""
    provider_call_id = call.provider_call_id
    if provider_call_id is None:
        try:
            provider_call_id = await provider.submit(call.request)
        except SubmitRejected as error:
            ledger.judge_calls.settle(call.id, failure=str(error))
            return
        except SubmitUnknown:
            return  # it may be running: the next look sends the same request again
        ledger.judge_calls.accept(call.id, provider_call_id)
    await _wait(ledger, provider, call, provider_call_id, judge)


async def _wait(
    ledger: Ledger, provider: Provider, call: JudgeCall, provider_call_id: str, judge: Model
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + judge.startup_timeout_seconds + judge.timeout_seconds
    heard, pause = loop.time(), FIRST_POLL_SECONDS
    while loop.time() < end:
        state = await provider.poll(provider_call_id)
        if state.failure is not None:
            ledger.judge_calls.settle(call.id, failure=f"{state.failure.code.value}: {state.failure.message}")
            return
        if state.status is CallStatus.SUCCEEDED:
            if await _fetched(ledger, provider, call, provider_call_id):
                return
        elif state.status is CallStatus.PENDING:
            heard = loop.time()
        if loop.time() - heard > SILENCE_SECONDS:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, SLOWEST_POLL_SECONDS)


async def _fetched(ledger: Ledger, provider: Provider, call: JudgeCall, provider_call_id: str) -> bool:
    """Whether the end of a succeeded call could be put on record."""
    try:
        reply = await provider.fetch(provider_call_id, call.request)
    except MalformedReply as error:
        ledger.judge_calls.settle(call.id, failure=f"malformed reply: {error.problem}: {error.raw}")
    except ReplyUnavailable:
        return False
    else:
        ledger.judge_calls.settle(call.id, reply=reply)
    return True


def _take(ledger: Ledger, judge: str, version: str, wanted: set[str]) -> Judged:
    """Labels of what the judge's replies say; those on record already stay."""
    labels: list[Label] = []
    failures: list[str] = []
    unreadable: list[str] = []
    open_calls = 0
    for call in ledger.judge_calls.of(judge, version):
        open_calls += call.settled_at is None
        if call.failure is not None and any(item.id in wanted for item in call.request.items):
            failures.append(f"call {call.id}: {call.failure[:200]}")
        reply = reply_of(call)
        for item in reply.items if reply else ():
            if item.id not in wanted:
                continue
            if item.kind == "failure":
                failures.append(f"execution {item.id}: {item.code.value}: {item.message[:200]}")
            elif (kind := read(item.text)) is None:
                unreadable.append(f"execution {item.id}: none of the three labels: {item.text[:80]!r}")
            else:
                labels.append(Label(item.id, kind, LabelMethod.JUDGE, version, judge))
    ledger.labels.add(labels)
    return Judged(Counter(label.kind for label in labels), tuple(unreadable), tuple(failures), open_calls)
