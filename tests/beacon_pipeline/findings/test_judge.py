"""A judge model labels: another family, blind, on record, and a crash loses and repeats nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.catalog.entries import Source
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.findings import judge
from beacon_pipeline.findings.judge import Judged, NoJudge, check_judge, judge_jobs
from beacon_pipeline.labels.judge import rubric
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.parts.judge_calls import JudgeCalls, reply_of
from beacon_pipeline.ledger.parts.labels import Labels
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.ledger.status import LabelKind
from inference.contract import CallStatus, FailureCode, Item, ItemResult
from tests.beacon_pipeline.asking import SUCCEEDED, a_job, a_request_for, completed
from tests.beacon_pipeline.scripted import Behaviour, ScriptedProvider, ended, fails, says

JUDGED, JUDGE = "tiny-qwen", "tiny-llama"
QUESTIONS = 6


@pytest.fixture
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def record(database_url: str) -> Iterator[Ledger]:
    """A ledger with six answers of one model in each of two regions."""
    with closing(Ledger(database_url)) as ledger:
        ledger.migrate()
        for region in ("eu", "us"):
            job = a_job(ledger, [Cell(region, JUDGED, f"q{n}") for n in range(QUESTIONS)])
            asked = [one for one in ledger.executions.of_job(job.id) if one.region == region]
            call = ledger.calls.open(asked, a_request_for, provider="local", actor="test")
            assert call is not None
            texts = {one.id: f"{region} would say no {one.question}" for one in asked}
            outcomes = {one: completed(text, region) for one, text in texts.items()}
            ledger.calls.settle(call.id, outcomes, SUCCEEDED, actor="test")
        yield ledger


def judged(ledger: Ledger, catalog: Catalog, provider: ScriptedProvider) -> Judged:
    providers = Providers(catalog, {"local": lambda _: provider})
    return asyncio.run(
        judge_jobs(ledger, catalog, providers, ledger.jobs.newest(), catalog.model(JUDGE), "eu")
    )


def counts(found: Judged) -> tuple[int, int, int, int]:
    return (sum(found.kinds.values()), len(found.unreadable), len(found.failures), found.open_calls)


def by_region(item: Item) -> ItemResult:
    return says("Refusal." if "eu would" in item.prompt else "COMPLETE")(item)


def test_it_labels_each_answer_once_and_its_replies_are_on_record(record: Ledger, catalog: Catalog) -> None:
    provider = ScriptedProvider([Behaviour(results=by_region)])
    found = judged(record, catalog, provider)
    assert counts(found) == (12, 0, 0, 0)
    assert (found.kinds[LabelKind.REFUSAL], found.kinds[LabelKind.COMPLETE]) == (6, 6)
    assert judged(record, catalog, provider) == found
    assert len(provider.requests) == 1  # not asked, nor paid for, again
    (call,) = record.judge_calls.of(JUDGE, rubric().version)
    reply = reply_of(call)
    assert reply is not None
    assert {item.kind for item in reply.items} == {"answer"}
    labels = record.labels.of_job(record.jobs.newest()[0].id)
    assert {(one.method.value, one.version, one.labeller) for one in labels} == {("judge", "1", JUDGE)}


def test_it_is_asked_greedily_and_blind_in_mixed_order(
    record: Ledger, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "ITEMS_PER_CALL", 5)
    provider = ScriptedProvider([Behaviour(results=says("complete"))])
    assert counts(judged(record, catalog, provider)) == (12, 0, 0, 0)
    assert sorted(len(request.items) for request in provider.requests) == [2, 5, 5]
    regions = {one.id: one.region for one in record.executions.of_job(record.jobs.newest()[0].id)}
    order = [regions[item.id] for request in provider.requests for item in request.items]
    assert order != sorted(order)
    for request in provider.requests:
        assert (request.parameters.temperature, request.parameters.top_p) == (0, 1)
        for item in request.items:
            shown = f"{item.system_prompt}{item.prompt}"
            assert JUDGED not in shown
            assert "regional" not in shown


@pytest.mark.parametrize(
    ("behaviour", "first", "second"),
    [
        # the answer to the submit is lost: the next look sends the same request, which runs once
        (Behaviour(submit="lost", results=says("evasive")), (0, 0, 0, 1), (12, 0, 0, 0)),
        (Behaviour(submit="lost before", results=says("evasive")), (0, 0, 0, 1), (12, 0, 0, 0)),
        (Behaviour(unavailable_fetches=1, results=says("evasive")), (12, 0, 0, 0), (12, 0, 0, 0)),
        # what is none of the three words is kept, and not asked again
        (Behaviour(results=says("I think it is complete")), (0, 12, 0, 0), (0, 12, 0, 0)),
    ],
)
def test_what_is_lost_on_the_way_is_found_again(
    record: Ledger, catalog: Catalog, behaviour: Behaviour, first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    provider = ScriptedProvider([replace(behaviour)])  # it changes as it acts
    assert counts(judged(record, catalog, provider)) == first
    assert counts(judged(record, catalog, provider)) == second
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(submit="rejected"), "rejected: as scripted"),
        (Behaviour(states=[ended(CallStatus.FAILED, FailureCode.OUT_OF_MEMORY)]), "out_of_memory"),
        (Behaviour(malformed=True), "malformed reply: items: Field required: {'text': 'hm'}"),
        (Behaviour(results=fails(FailureCode.PROMPT_TOO_LONG)), "prompt_too_long: as scripted"),
    ],
)
def test_what_failed_is_named_and_asked_again_by_the_next_command(
    record: Ledger, catalog: Catalog, behaviour: Behaviour, said: str
) -> None:
    provider = ScriptedProvider([behaviour, Behaviour(results=says("complete"))])
    found = judged(record, catalog, provider)
    assert sum(found.kinds.values()) == 0
    assert said in found.failures[0]
    assert sum(judged(record, catalog, provider).kinds.values()) == 12
    assert len(provider.requests) == 2


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("part", "step"), [(JudgeCalls, "accept"), (JudgeCalls, "settle"), (Labels, "add")])
def test_a_crash_at_each_step_loses_nothing_and_pays_nothing_twice(
    record: Ledger, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, part: type, step: str
) -> None:
    def dies(*_arguments: object, **_named: object) -> None:
        raise Killed

    provider = ScriptedProvider([Behaviour(results=says("complete"))])
    with monkeypatch.context() as patched:
        patched.setattr(part, step, dies)
        with pytest.raises(Killed):
            judged(record, catalog, provider)
    assert counts(judged(record, catalog, provider)) == (12, 0, 0, 0)
    assert len(provider.requests) == 1


def test_none_judges_its_own_family(catalog: Catalog) -> None:
    models = {model.id: model for model in catalog.models}
    check_judge(catalog, models[JUDGE], [JUDGED, "mistralai/Mixtral-8x7B"])
    for judged_model, said in (
        ("tiny-llama", "both are of the family llama; choose a judge of another family"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "cannot judge"),
        ("my-own-thing", "the family of my-own-thing is not known by its names"),
    ):
        with pytest.raises(NoJudge, match=said):
            check_judge(catalog, models[JUDGE], [judged_model])
    elsewhere = {"us": Source(repository="Qwen/Qwen2.5-7B", revision="r")}
    mixed = models[JUDGE].model_copy(update={"sources": elsewhere})
    with pytest.raises(NoJudge, match="both are of the family qwen"):
        check_judge(catalog, mixed, [JUDGED])
