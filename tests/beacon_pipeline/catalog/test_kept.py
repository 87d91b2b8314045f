"""What a job asks is what its catalog held when it was made; whom it asks is as the catalog is now."""

import json
from datetime import date
from typing import Any

import pytest

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.catalog.kept import as_kept

DEMO = load_catalog("demo")


def changed(catalog: Catalog) -> Catalog:
    """Everything in it is another, and each list has one entry more."""
    first, *_ = catalog.questions
    asked: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "seed": 3, "stop": ("END",)}
    models = [
        model.model_copy(update=asked | {"max_new_tokens": 9, "revision": "other", "timeout_seconds": 7})
        for model in catalog.models
    ]
    return Catalog(
        name="later",
        folder=catalog.folder,
        regions=tuple(r.model_copy(update={"system_prompt": "Rhyme."}) for r in catalog.regions),
        models=(*models, models[0].model_copy(update={"id": "newest"})),
        questions=(
            *(q.model_copy(update={"text": f"Once more: {q.text}"}) for q in catalog.questions),
            first.model_copy(update={"id": "newest", "text": "And now?"}),
        ),
        arms=catalog.arms,
        settings=catalog.settings.model_copy(
            update={"prompt_date": date(2027, 7, 7), "attempt_budget": 9},
        ),
    )


@pytest.mark.parametrize("name", ["demo", "production"])
def test_a_changed_catalog_asks_what_was_kept(name: str) -> None:
    before = load_catalog(name)
    now = as_kept(changed(before), json.loads(json.dumps(before.content)))
    for model in before.models:
        assert now.parameters(now.model(model.id)) == before.parameters(model)
    for question in before.questions:
        assert now.question(question.id).text == question.text
    for region in before.regions:
        assert now.region(region.id).system_prompt == region.system_prompt


def test_how_it_is_run_and_what_came_later_is_of_now() -> None:
    now = as_kept(changed(DEMO), DEMO.content)
    model = now.model(DEMO.models[0].id)
    assert (model.revision, model.timeout_seconds, now.settings.attempt_budget) == ("other", 7, 9)
    assert (now.question("newest").text, now.model("newest").max_new_tokens) == ("And now?", 9)


@pytest.mark.parametrize("content", [{}, {"questions": [{"id": "math_basic"}], "models": []}])
def test_what_an_older_job_did_not_keep_is_of_now(content: dict[str, Any]) -> None:
    now = as_kept(changed(DEMO), content)
    assert now.content == changed(DEMO).content


def test_stops_and_template_arguments_come_back_from_json() -> None:
    given = {"stop": ("a", "b"), "template_arguments": {"enable_thinking": False}}
    before = DEMO.model_copy(update={"models": tuple(m.model_copy(update=given) for m in DEMO.models)})
    kept = {"models": [model.model_dump(mode="json") for model in before.models]}
    now = as_kept(DEMO, json.loads(json.dumps(kept)))
    assert now.parameters(now.models[0]) == before.parameters(before.models[0])
