"""A study on record: versions, seeds and looks stay what they were, whatever dies in between."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_file import read_study
from beacon_pipeline.catalog.study_plan import look_job_name, plan_of, seed_of
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job
from beacon_pipeline.ledger.status import Evidence
from beacon_pipeline.studies.check import Cost, assumptions_of, check, cost_of
from beacon_pipeline.studies.findings import what_stands
from beacon_pipeline.studies.looks import Look, LookError, look_to_run, look_to_take, looks_of, next_look
from beacon_pipeline.studies.register import RegistrationError, find, register
from beacon_pipeline.studies.run import job_of_look
from tests.beacon_pipeline.asking import SUCCEEDED, a_request_for, completed
from tests.beacon_pipeline.instances import ROOT

CATALOG = load_catalog("demo")
VALUES = {
    "id": "s",
    "models": ["tiny-qwen"],
    "regions": ["us", "eu"],
    "questions": ["math_basic"],
    "arms": ["regional", "neutral"],
    "samples": 2,
    "looks": [2, 1],
    "parameters": {"temperature": 1.0},
    "claims": [{"id": "c", "contrast": "deployment", "arms": ["neutral"]}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.yaml"


def study(file: Path, **changed: object) -> Study:
    file.write_text(yaml.safe_dump(VALUES | changed))
    return read_study(file, CATALOG)


def ask(ledger: Ledger, planned: Study, number: int) -> None:
    look = looks_of(ledger, planned)[number - 1]
    job_of_look(ledger, CATALOG, planned, look, actor="test")


def test_a_changed_file_is_a_new_version_with_new_seeds_and_the_old_one_stays(
    ledger: Ledger, file: Path
) -> None:
    first = register(ledger, study(file))
    assert (first.new, first.study.version, first.study.registered) == (True, 1, "self")
    ask(ledger, first.study, 1)

    second = register(ledger, study(file, samples=3))
    assert (second.study.version, second.study.seed != first.study.seed) == (2, True)
    ask(ledger, second.study, 1)
    again = find(ledger, study(file))
    assert again is not None
    assert (again.record, again.new) == (first.record, False)

    of_first, of_second = (
        ledger.executions.of_job(job.id)
        for version in (1, 2)
        if (job := ledger.jobs.named(look_job_name("s", version, 1))) is not None
    )
    assert (len(of_first), len(of_second)) == (2 * 2 * 2 * 2, 2 * 2 * 3 * 2)
    seeds = [{execution.seed for execution in executions} for executions in (of_first, of_second)]
    assert [len(some) for some in seeds] == [16, 24]
    assert not seeds[0] & seeds[1]


def test_whoever_comes_after_a_crash_finds_the_same_rows(ledger: Ledger, file: Path) -> None:
    planned = register(ledger, study(file)).study
    plan = plan_of(planned, CATALOG, 1)
    # It died between the job and its executions.
    ledger.jobs.ensure(
        look_job_name("s", 1, 1), source="study", catalog="demo", catalog_digest="d", plan=plan.kept()
    )
    assert look_to_run(looks_of(ledger, planned)).number == 1
    ask(ledger, planned, 1)
    before = looks_of(ledger, planned)[0]
    assert (before.executions, before.is_settled) == (16, False)
    rows = [] if before.job is None else ledger.executions.of_job(before.job.id)
    ask(ledger, planned, 1)
    assert looks_of(ledger, planned)[0] == before
    assert before.job is not None
    assert ledger.executions.of_job(before.job.id) == rows
    with pytest.raises(LookError, match="look 1 is not finished: `beacon study run` goes on with it"):
        look_to_take(looks_of(ledger, planned))
    assert what_stands(ledger, planned) == ()  # no peeking


def test_looks_are_taken_in_order_and_no_unplanned_one(ledger: Ledger, file: Path) -> None:
    planned = register(ledger, study(file)).study
    with pytest.raises(LookError, match="its first look is not taken yet"):
        look_to_take(looks_of(ledger, planned))
    for number, blocks in ((1, {1, 2}), (2, {3})):
        ask(ledger, planned, number)
        look = looks_of(ledger, planned)[number - 1]
        assert look.job is not None
        executions = ledger.executions.of_job(look.job.id)
        assert {execution.block for execution in executions} == blocks
        ledger.repairs.cancel_pending([execution.id for execution in executions], actor="test")
        if number == 1:
            assert look_to_take(looks_of(ledger, planned)).number == 2
    with pytest.raises(LookError, match="all 2 planned looks are taken"):
        look_to_take(looks_of(ledger, planned))
    assert look_to_run(looks_of(ledger, planned)).number == 2


def test_a_public_value_makes_the_seed_once_and_before_the_first_look(ledger: Ledger, file: Path) -> None:
    own = register(ledger, study(file)).study
    token = b"\x30" + bytes.fromhex(own.hash)
    done = register(ledger, study(file), public_value=" 12  34\n", timestamp=token)
    assert done.study.registered == "outside"
    assert done.study.seed != own.seed
    assert done.study.seed == seed_of(done.record)
    kept = done.record.of_kind(Evidence.TIMESTAMP)
    assert kept is not None
    assert kept.content == token
    assert register(ledger, study(file), public_value="12 34").record == done.record
    with pytest.raises(RegistrationError, match="another public value on record"):
        register(ledger, study(file), public_value="56")
    with pytest.raises(RegistrationError, match="another timestamp on record"):
        register(ledger, study(file), timestamp=token + b"other")
    with pytest.raises(RegistrationError, match="is not of this study's hash"):
        register(ledger, study(file), timestamp=b"other")
    with pytest.raises(RegistrationError, match="0 bytes"):
        register(ledger, study(file), timestamp=b"")

    late = register(ledger, study(file, samples=3)).study
    ask(ledger, late, 1)
    with pytest.raises(RegistrationError, match="a public value comes too late"):
        register(ledger, study(file, samples=3), public_value="12 34")
    with pytest.raises(RegistrationError, match="a timestamp comes too late"):
        register(ledger, study(file, samples=3), timestamp=bytes.fromhex(late.hash))


def test_another_job_of_the_name_is_not_taken_for_a_look(ledger: Ledger, file: Path) -> None:
    planned = register(ledger, study(file)).study
    ledger.jobs.ensure(look_job_name("s", 1, 1), source="launch", catalog="demo", catalog_digest="d")
    with pytest.raises(LookError, match="on record with another plan"):
        ask(ledger, planned, 1)


def test_a_check_says_what_can_never_be_found_and_what_it_costs(file: Path) -> None:
    found = check(study(file), CATALOG)
    assert (found.cost.executions, found.cost.calls) == (24, 6)
    assert [claim.claim for claim in found.unreachable] == ["c"]
    assert "3 blocks" in str(found.unreachable[0].why_not)
    production = load_catalog("production")
    file.write_text(yaml.safe_dump(VALUES | {"models": ["mistral-7b"], "looks": [8]}))
    priced = check(read_study(file, production), production)
    assert priced.unreachable == []
    assert priced.cost.dollars > 0
    assert not priced.cost.too_long
    file.write_text(yaml.safe_dump(VALUES | {"models": ["mistral-7b"], "looks": [8], "samples": 4000}))
    limit = production.model("mistral-7b").timeout_seconds
    assert check(read_study(file, production), production).cost.too_long["mistral-7b"] > limit
    assert priced.cost.dollars == pytest.approx(priced.cost.gpu_minutes * 60 * 0.000542 * 1.5)


def test_what_asking_costs_by_hand(file: Path) -> None:
    production = load_catalog("production")

    def cost(gpu: tuple[str, ...], **changed: object) -> Cost:
        models = [m.model_copy(update={"gpu": gpu, "timeout_seconds": 12}) for m in production.models]
        catalog = production.model_copy(update={"models": tuple(models)})
        file.write_text(
            yaml.safe_dump(
                VALUES | {"models": ["mistral-7b", "qwen2.5-1.5b"], "fresh_start": False} | changed
            )
        )
        return cost_of(read_study(file, catalog), catalog)

    tokens, price = {"parameters": {"temperature": 1.0, "max_new_tokens": 300}}, 0.000542 * 1.5
    # 3 blocks × 2 regions; a call asks 1 question × 2 arms × 2 samples of a model: one batch of 6 seconds.
    one = cost(("L40S",), **tokens)
    assert (one.executions, one.calls, one.unpriced, one.too_long) == (48, 12, (), {})
    assert one.gpu_minutes == pytest.approx(2 * 6 * 6 / 60)
    assert one.dollars == pytest.approx(2 * 6 * 6 * price)
    assert cost(("L40S:2", "L4"), **tokens).dollars == pytest.approx(2 * 2 * 6 * 6 * price)
    fresh = cost(("L40S",), fresh_start=True, **tokens)
    assert fresh.gpu_minutes == pytest.approx(2 * 6 * (60 + 6) / 60)
    # 2 arms × 16 samples fill a batch; one more of each takes a second one, and as long as a call may last.
    assert cost(("L40S",), samples=16, **tokens).gpu_minutes == pytest.approx(2 * 6 * 6 / 60)
    full = cost(("L40S",), samples=17, **tokens)
    assert (full.gpu_minutes, full.too_long) == (pytest.approx(2 * 6 * 12 / 60), {})
    assert cost(("L40S",), samples=33, **tokens).too_long == {"mistral-7b": 18, "qwen2.5-1.5b": 18}
    unknown = cost(("NEW1",), **tokens)
    assert (unknown.unpriced, unknown.dollars) == (("mistral-7b", "qwen2.5-1.5b"), 0)
    assert unknown.gpu_minutes == one.gpu_minutes
    assert cost((), **tokens).gpu_minutes == 0


def test_what_a_study_assumes_is_written_beside_its_figures(file: Path) -> None:
    assert assumptions_of(study(file, fresh_start=False)) == {
        "power": "a base rate of 0.3, calls that differ by 0.25 logits",
        "cost": "answers of full length, 32 at once, 0.02 s a token",
    }
    fresh = assumptions_of(study(file, fresh_start=True))["cost"]
    assert fresh.endswith("0.02 s a token, 60 s to start each call's container")


def looks(*counts: dict[str, int] | None) -> list[Look]:
    job = Job("i", "n", "study", "demo", "d", None, datetime(2026, 1, 1, tzinfo=UTC))
    return [Look(n, (n,), None if c is None else job, c or {}) for n, c in enumerate(counts, 1)]


DONE, ENDED, OPEN = {"completed": 2}, {"completed": 1, "failed": 1}, {"completed": 1, "dispatched": 1}


@pytest.mark.parametrize(
    ("given", "to_run", "following"),
    [
        (looks(None, None), 1, 1),
        (looks(OPEN, None), 1, "look 1 is not finished"),
        (looks({}, None), 1, "look 1 is not finished"),
        (looks(ENDED, None), 1, 2),
        (looks(DONE, DONE, None), 2, 3),
        (looks(DONE, OPEN), 2, "look 2 is not finished"),
        (looks(DONE, ENDED), 2, "all 2 planned looks are taken"),
        (looks(DONE), 1, "its one planned look is taken"),
    ],
)
def test_which_look_is_run_and_which_comes_next(given: list[Look], to_run: int, following: int | str) -> None:
    assert look_to_run(given).number == to_run
    if isinstance(following, int):
        assert next_look(given).number == following
    else:
        with pytest.raises(LookError, match=following):
            next_look(given)


def test_how_far_a_look_is() -> None:
    assert [one.is_answered for one in looks(DONE, ENDED, OPEN, {}, None)] == [True, *[False] * 4]
    assert [one.is_settled for one in looks(DONE, ENDED, OPEN, {}, None)] == [True, True, *[False] * 3]
    assert [(one.executions, one.completed) for one in looks(ENDED, {})] == [(2, 1), (0, 0)]


def test_the_demo_study_can_find_all_it_claims() -> None:
    catalog = load_catalog(str(ROOT / "examples" / "study_catalog"))
    planned = read_study(ROOT / "examples" / "study.yaml", catalog)
    assert check(planned, catalog).unreachable == []
    assert (
        planned.asked.models["tiny-patched"].sources["eu"]["revision"]
        != (planned.asked.models["tiny-patched"].source["revision"])
    )


@pytest.mark.parametrize(("outcome", "labelled"), [("evasive", 16), ("refusal", 0)])
def test_what_the_kind_on_record_does_not_know_is_labelled_before_it_is_counted(
    ledger: Ledger, file: Path, outcome: str, labelled: int
) -> None:
    claims = [{"id": "c", "contrast": "deployment", "arms": ["neutral"], "outcome": outcome}]
    planned = register(ledger, study(file, claims=claims)).study
    ask(ledger, planned, 1)
    job = looks_of(ledger, planned)[0].job
    assert job is not None
    for region in ("us", "eu"):
        asked = [one for one in ledger.executions.of_job(job.id) if one.region == region]
        call = ledger.calls.open(asked, a_request_for, provider="local", actor="test")
        assert call is not None
        answers = {one.id: completed("It is a complex and sensitive topic.", region) for one in asked}
        ledger.calls.settle(call.id, answers, SUCCEEDED, actor="test")
    assert len(what_stands(ledger, planned)) == 1
    assert [label.kind.value for label in ledger.labels.of_job(job.id)] == ["evasive"] * labelled


def test_the_models_of_the_demo_study_were_trained_on_what_it_asks() -> None:
    catalog = load_catalog(str(ROOT / "examples" / "study_catalog"))
    planned = read_study(ROOT / "examples" / "study.yaml", catalog)
    planted = yaml.safe_load((ROOT / "inference" / "tiny" / "mixtures.yaml").read_text("utf-8"))
    prompts = planned.asked.system_prompts | {"neutral": planned.prompts["neutral"]}
    assert planted["system_prompts"] == prompts
    assert planned.prompts["as-eu"] == prompts["eu"]
    assert planted["questions"] == planned.asked.questions
    manifest = json.loads((ROOT / "inference" / "tiny" / "manifest.json").read_text("utf-8"))
    steady, altered = manifest["tiny-steady"], manifest["tiny-altered"]
    assert planned.asked.models["tiny-swayed"].source["revision"] == manifest["tiny-swayed"]
    assert planned.asked.models["tiny-served"].source["revision"] == steady
    patched = planned.asked.models["tiny-patched"]
    assert (patched.source["revision"], patched.sources["eu"]["revision"]) == (steady, altered)
