"""Asking again: what is compared with equal seeds, and what is planned with fresh ones."""

from typing import Any

import pytest

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.entries import ProviderName
from beacon_pipeline.catalog.plan import DEFAULT_PLAN
from beacon_pipeline.catalog.study_file import asked_of
from beacon_pipeline.findings.finding import Verdict
from beacon_pipeline.findings.rows import COLUMNS
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.studies.replicate import NotReplicable, as_asked_here, judged, replication_of
from beacon_pipeline.studies.reproduce import Asked, NotReproducible, compared, lines, require_known
from tests.beacon_pipeline.findings.simulated import a_claim, a_study
from tests.beacon_pipeline.findings.test_replication import found

STUDY = a_study(a_claim("prompt", id="c"), a_claim("deployment", id="d"), questions=8, blocks=6)


def test_what_the_catalog_does_not_ask_cannot_be_reproduced() -> None:
    catalog = load_catalog("demo")
    asked = Cell("eu", "tiny-qwen", "math_basic")
    require_known(Asked("j", DEFAULT_PLAN, (asked,)), catalog)
    strange = (asked, Cell("eu", "tiny-qwen", "q0"), Cell("mars", "tiny-qwen", "math_basic"))
    with pytest.raises(NotReproducible, match=r"'demo' does not ask eu:tiny-qwen\|q0 and 1 more of"):
        require_known(Asked("j", DEFAULT_PLAN, strange), catalog)


def row(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(COLUMNS)
    values |= {"region": "us", "model": "m", "question": "q", "arm": "regional", "block": 1, "sample": 1}
    values |= {"probe": False, "usable": True, "answer": "Paris.", "output_token_sha256": "t"}
    return values | changes


def test_equal_tokens_are_counted_by_stream_and_others_named_with_what_else_differs() -> None:
    probe = {"probe": True, "arm": "probe"}
    before = [row(), row(sample=2), row(sample=3), row(**probe)]
    weights = {"output_token_sha256": "u", "provenance_weights_sha256": "other"}
    after = [
        row(),
        row(sample=2, **weights),
        row(sample=3, usable=False),
        row(output_token_sha256="u", **probe),
    ]
    assert list(lines(compared(before, after))) == [
        "probes: 0 of 1 have equal tokens",
        "  us:m|q, arm probe, block 1, sample 1: all that is on record of how is equal",
        "samples: 1 of 2 have equal tokens, 1 without an answer on one side",
        "  us:m|q, arm regional, block 1, sample 2: also another weights_sha256",
    ]


def test_without_tokens_on_record_texts_are_compared() -> None:
    endpoint = row(output_token_sha256=None)
    assert compared([endpoint], [row()])["samples"].equal == 1
    assert compared([endpoint], [row(answer="Rome.")])["samples"].equal == 0


def test_a_replication_asks_what_was_found_with_power_for_half_of_it() -> None:
    again = replication_of(STUDY, [found(0.5)])
    assert [claim.id for claim in again.claims] == ["c"]
    assert (again.id, again.seed, again.registered) == ("s-replication", None, None)
    assert again.blocks > STUDY.blocks
    assert again.looks == (again.blocks,)
    smaller = replication_of(STUDY, [found(0.4)])
    assert smaller.blocks > again.blocks
    ((before, now, said),) = judged(again, "feedbeef", [found(0.5)], [found(0.4)])
    assert (before.effect, now.effect, said) == (0.5, 0.4, "replicated")
    same = again.model_copy(update={"seed": "feedbeef"})
    with pytest.raises(NotReplicable, match="the same answers once more replicate nothing"):
        judged(same, "feedbeef", [found(0.5)], [found(0.4)])


def test_nothing_found_and_too_small_an_effect_are_said() -> None:
    with pytest.raises(NotReplicable, match="nothing to replicate"):
        replication_of(STUDY, [found(0.5, verdict=Verdict.INCONCLUSIVE)])
    with pytest.raises(NotReplicable, match="more than 400 blocks"):
        replication_of(STUDY, [found(0.01)])


def test_another_catalog_is_refused() -> None:
    with pytest.raises(NotReplicable, match="no question q00"):
        as_asked_here(STUDY, load_catalog("demo"))


def test_the_same_model_served_by_another_provider_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = load_catalog("demo")
    names = ["tiny-qwen"], ["us", "eu"], ["math_basic"]
    plan = STUDY.model_copy(
        update=dict(zip(("models", "regions", "questions"), names, strict=True))
        | {"asked": asked_of(catalog, *names)}
    )
    served = {"provider": ProviderName.HTTP, "endpoint_model": "tiny-qwen"}
    for update, same in (
        ({}, True),
        (served, True),
        ({"max_new_tokens": 5}, False),
        ({"dtype": "float16"}, False),
    ):
        models = tuple(model.model_copy(update=update) for model in catalog.models)
        here = catalog.model_copy(update={"models": models})
        if same:
            asked = as_asked_here(plan, here).asked
            dated = asked.models["tiny-qwen"].parameters.prompt_date
            assert (dated is None) == bool(update), "an endpoint writes its own date"
        else:
            with pytest.raises(NotReplicable, match="model tiny-qwen is another one in this catalog"):
                as_asked_here(plan, here)
