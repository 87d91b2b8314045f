"""From a registered study to its seed and to the plans of its jobs."""

import hashlib
from dataclasses import replace

import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.plan import PlanError
from beacon_pipeline.catalog.study import Parameters, Probes, Study
from beacon_pipeline.catalog.study_plan import UNREGISTERED, look_job_name, plan_of, seed_of, study_on_record
from beacon_pipeline.ledger.records import EvidenceRecord, StudyRecord
from beacon_pipeline.ledger.status import Evidence
from tests.beacon_pipeline.catalog.test_study import PLAN
from tests.beacon_pipeline.executions import MOMENT

CATALOG = load_catalog("demo")
STUDY = Study(
    **PLAN
    | {"models": ("tiny-qwen", "tiny-llama"), "arms": ("regional", "mine"), "prompts": {"mine": "Be brief."}}
    | {"probes": Probes(greedy=1, shared=2), "samples": 3}
    | {"parameters": Parameters(temperature=0.5, top_p=0.9, max_new_tokens=7)}
)
RECORD = StudyRecord("s", 2, STUDY.hash, STUDY.content, MOMENT)
PUBLIC = EvidenceRecord(Evidence.PUBLIC_VALUE, b"\x01\xff", "d", MOMENT)
STAMP = EvidenceRecord(Evidence.TIMESTAMP, b"token", "d", MOMENT)


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_seed_is_of_the_study_its_version_and_what_was_published_after_it() -> None:
    own = hashed(f'["beacon study","s",2,"{STUDY.hash}"]')
    assert seed_of(RECORD) == seed_of(replace(RECORD, evidence=(STAMP,))) == own
    public = replace(RECORD, evidence=(STAMP, PUBLIC))
    assert seed_of(public) == hashed(f'["beacon study","s",2,"{STUDY.hash}","01ff"]')


@pytest.mark.parametrize(
    ("evidence", "registered"), [((), "self"), ((STAMP,), "outside"), ((PUBLIC,), "outside")]
)
def test_a_study_on_record_knows_who_vouches_for_it(
    evidence: tuple[EvidenceRecord, ...], registered: str
) -> None:
    record = replace(RECORD, evidence=evidence)
    study = study_on_record(record)
    assert (study.version, study.seed, study.registered) == (2, seed_of(record), registered)
    assert study.hash == STUDY.hash


def test_a_look_asks_what_the_study_says() -> None:
    study = study_on_record(RECORD)
    plan = plan_of(study, CATALOG, 2)
    assert (plan.blocks, plan.samples, plan.arms) == ((4, 5), 3, ("regional", "mine"))
    assert plan.prompts == {"mine": "Be brief.", "probe": CATALOG.arm_prompts["neutral"]}
    assert (plan.greedy_probes, plan.shared_probes) == (1, 2)
    assert (plan.temperature, plan.top_p, plan.max_new_tokens) == (0.5, 0.9, 7)
    assert (plan.seed, plan.study, plan.version, plan.fresh_start) == (study.seed, "s", 2, True)
    assert plan_of(STUDY, CATALOG, 1).seed == UNREGISTERED == "0" * 64
    hot = STUDY.model_copy(update={"parameters": Parameters(temperature=9.0)})
    with pytest.raises(PlanError, match="engines take 2 at most"):
        plan_of(hot, CATALOG, 1)


def test_the_job_of_a_look_has_one_name() -> None:
    assert look_job_name("s", 2, 3) == "study-s-v2-look3"
