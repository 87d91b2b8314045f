"""What a catalog holds: defaults and bounds of every field, and what is found in it by name."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from beacon_pipeline.catalog.entries import (
    Arm,
    Catalog,
    Category,
    Model,
    ProviderName,
    Question,
    Region,
    Schedule,
    Settings,
    UnknownName,
    digest_of,
    spelling,
)
from beacon_pipeline.catalog.limits import MODAL_LIMITS, beyond_limits, switch_problems
from beacon_pipeline.ledger.records import Cell

EU = {"id": "eu", "name": "Europe", "system_prompt": "In Europe.", "placement": "eu", "max_containers": 1}
US = {"id": "us", "name": "America", "system_prompt": "In America.", "placement": "us", "max_containers": 2}
MODEL = {
    "id": "m",
    "name": "M",
    "provider": "local",
    "folder": "weights",
    "revision": "r",
    "dtype": "float32",
    "context_tokens": 512,
    "max_new_tokens": 64,
}
QUESTION = {"id": "q", "text": "What?", "category": "control", "sensitivity": "low"}


def a_catalog(**changes: Any) -> Catalog:
    values: dict[str, Any] = {
        "name": "mine",
        "folder": Path("/catalog"),
        "regions": (
            Region(**EU, aliases=("brussels",), alias_prefixes=("eu-", "west-")),
            Region(**US, alias_prefixes=("us-", "west-")),
        ),
        "models": (Model(**MODEL), Model(**MODEL | {"id": "n", "regions": ("us",)})),
        "questions": (Question(**QUESTION), Question(**QUESTION | {"id": "r", "category": "cultural"})),
        "settings": Settings(),
    }
    return Catalog(**values | changes)


CATALOG = a_catalog()


def test_what_is_not_given_has_its_default() -> None:
    assert Model(**MODEL).model_dump(mode="json") == MODEL | {
        "repository": None,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "stop": [],
        "template_arguments": {},
        "regions": [],
        "engine": "transformers",
        "attention": "sdpa",
        "batch_size": 8,
        "gpu": [],
        "cpu_cores": None,
        "memory_mib": 8192,
        "timeout_seconds": 600,
        "startup_timeout_seconds": 600,
        "scaledown_window_seconds": 120,
        "retries": 1,
        "secrets": [],
        "priority": 0,
        "endpoints": {},
        "endpoint_model": None,
        "endpoint_model_aliases": [],
        "endpoint_style": "vllm",
        "api_key_variable": None,
        "region_header": None,
    }
    assert Region(**EU).model_dump(mode="json") == EU | {"aliases": [], "alias_prefixes": []}
    assert Settings().model_dump(mode="json") == {
        "attempt_budget": 3,
        "deadline_seconds": 300,
        "prompt_date": "2026-01-01",
        "region_imbalance": 0.1,
        "schedules": {},
        "gpu_prices_per_second": {},
        "region_price_factor": 1.0,
    }
    assert Schedule(cron="0 6 * * *").model_dump() == {"cron": "0 6 * * *", "categories": (), "study": None}
    assert [one.value for one in Category] == ["control", "bias_detection", "cultural"]
    assert [one.value for one in ProviderName] == ["local", "modal", "http"]


# A field, the outermost values that it takes, and those that it does not.
BOUNDS: list[tuple[type[BaseModel], dict[str, Any], str, list[Any], list[Any]]] = [
    (Region, EU, "max_containers", [1], [0]),
    (Region, EU, "id", ["a", "a" * 64, "0a._-"], ["", "a" * 65, "a|b", "a:b", "A", "-a"]),
    (Region, EU, "name", ["a"], ["", " "]),
    (Model, MODEL, "context_tokens", [1], [0]),
    (Model, MODEL, "max_new_tokens", [1], [0]),
    (Model, MODEL, "temperature", [0, 2], [-0.1, 2.1]),
    (Model, MODEL, "top_p", [0.01, 1], [0, 1.01]),
    (Model, MODEL, "stop", [("a",)], [("",)]),
    (Model, MODEL, "batch_size", [1], [0]),
    (Model, MODEL, "cpu_cores", [0.1], [0]),
    (Model, MODEL, "memory_mib", [1], [0]),
    (Model, MODEL, "timeout_seconds", [1], [0]),
    (Model, MODEL, "startup_timeout_seconds", [1], [0]),
    (Model, MODEL, "scaledown_window_seconds", [1], [0]),
    (Model, MODEL, "retries", [0], [-1]),
    (Model, MODEL, "surprise", [], [1]),
    (Settings, {}, "attempt_budget", [1], [0]),
    (Settings, {}, "deadline_seconds", [1], [0]),
    (Settings, {}, "prompt_date", [date(2026, 1, 2)], ["2026-01-02"]),
    (Settings, {}, "region_imbalance", [0.01, 1], [0, 1.01]),
    (Settings, {}, "gpu_prices_per_second", [{"L4": 0}], [{"L4": -0.1}]),
    (Settings, {}, "region_price_factor", [0.01], [0]),
    (
        *(Settings, {}, "schedules"),
        [{"a" * 64: {"cron": "x"}, "0_a": {"cron": "x"}}],
        [{"a" * 65: {"cron": "x"}}, {"a-b": {"cron": "x"}}, {"_a": {"cron": "x"}}],
    ),
]


@pytest.mark.parametrize(("entry", "rest", "field", "taken", "refused"), BOUNDS)
def test_where_a_field_ends(
    entry: type[BaseModel], rest: dict[str, Any], field: str, taken: list[Any], refused: list[Any]
) -> None:
    for value in taken:
        entry(**rest | {field: value})
    for value in refused:
        with pytest.raises(ValidationError):
            entry(**rest | {field: value})


def test_an_entry_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Region(**EU).id = "us"  # type: ignore[misc]


def test_an_unknown_name_lists_a_dozen_or_the_nearest() -> None:
    def said(name: str, known: int, **more: Any) -> str:
        return str(UnknownName("thing", name, [f"q{n:02}" for n in range(known)], **more))

    assert said("x", 0) == "unknown thing 'x': there is none"
    listed = ", ".join(f"q{n:02}" for n in range(12))
    assert said("x", 12) == f"unknown thing 'x': known are {listed}"
    assert said("x", 14) == f"unknown thing 'x': known are {listed} and 2 more"
    assert said("Brussel", 1, also=["brussels"]) == "unknown thing 'Brussel': did you mean brussels?"
    assert said("Q0", 4) == "unknown thing 'Q0': did you mean q00 or q01 or q02?"


def test_what_modal_would_refuse() -> None:
    fields = {
        "timeout_seconds": (1, 86_400),
        "startup_timeout_seconds": (1, 86_400),
        "scaledown_window_seconds": (2, 3_600),
        "retries": (0, 10),
    }
    assert fields == MODAL_LIMITS
    for field, (least, most) in fields.items():
        for value in (least, most):
            assert beyond_limits(Model(**MODEL | {field: value})) == []
        assert beyond_limits(Model(**MODEL | {field: most + 1})) == [
            f"{field} is {most + 1}: Modal takes {least} to {most}"
        ]
    assert beyond_limits(Model(**MODEL | {"scaledown_window_seconds": 1})) == [
        "scaledown_window_seconds is 1: Modal takes 2 to 3600"
    ]
    assert beyond_limits(Model(**MODEL | {"gpu": ("L40S", "A100-80GB:8", "H100!", "B200+")})) == []
    for gpu in ("8", "L4:9", "L4:0", "L4:", "L4 x", "L4:1:1"):
        (problem,) = beyond_limits(Model(**MODEL | {"gpu": ("L4", gpu)}))
        assert problem.startswith(f"gpu {gpu!r} is no GPU")


INVARIANT = "'batch_invariant' is of `engine: vllm`: leave it out, or set that engine"
SNAPSHOT = "'gpu_snapshot' is of `provider: modal` with a `gpu`: leave it out"
OLD = "'batch_invariant' needs a GPU of compute capability 8.0 or more:"


@pytest.mark.parametrize(
    ("switched", "expected"),
    [
        ({}, []),
        ({"gpu": ("T4",)}, []),
        ({"batch_invariant": True}, [INVARIANT]),
        ({"batch_invariant": True, "engine": "vllm", "gpu": ("L4", "A10G:2")}, []),
        ({"batch_invariant": True, "engine": "vllm", "gpu": ("L4", "t4:2", "T4")}, [f"{OLD} t4:2 is older"]),
        ({"batch_invariant": True, "gpu": ("T4",)}, [INVARIANT, f"{OLD} T4 is older"]),
        ({"gpu_snapshot": True, "provider": "modal", "gpu": ("L4",)}, []),
        ({"gpu_snapshot": True, "provider": "modal"}, [SNAPSHOT]),
        ({"gpu_snapshot": True, "provider": "local", "gpu": ("L4",)}, [SNAPSHOT]),
    ],
)
def test_what_cannot_be_switched_on(switched: dict[str, Any], expected: list[str]) -> None:
    assert switch_problems(Model(**MODEL | switched)) == expected


@pytest.mark.parametrize(
    ("name", "named", "reported"),
    [
        *(("eu", "eu", "eu"), ("EU", "eu", "eu"), ("europe", "eu", "eu"), ("Brussels ", "eu", "eu")),
        *(
            ("EU_West 1", None, "eu"),
            ("us-east-1", None, "us"),
            ("eu-wset", None, "eu"),
            ("america", "us", "us"),
        ),
        *(("west-1", None, None), ("asia", None, None), ("", None, None)),
    ],
)
def test_a_person_names_a_region_by_a_whole_name_and_a_cloud_by_a_prefix(
    name: str, named: str | None, reported: str | None
) -> None:
    assert CATALOG.read_region(name) == reported
    if named is None:
        with pytest.raises(UnknownName, match="unknown region"):
            CATALOG.region(name)
    else:
        assert CATALOG.region(name).id == named


def test_a_misspelled_alias_is_offered() -> None:
    with pytest.raises(UnknownName, match="did you mean brussels"):
        CATALOG.region("brusels")
    assert spelling("  EU_West   One ") == "eu-west-one"


def test_models_and_questions_are_found_by_their_ids() -> None:
    assert (CATALOG.model("n").id, CATALOG.question("r").id) == ("n", "r")
    with pytest.raises(UnknownName, match="unknown model 'x': known are m, n"):
        CATALOG.model("x")
    with pytest.raises(UnknownName, match="unknown question 'x': known are q, r"):
        CATALOG.question("x")


def test_what_is_served_where() -> None:
    assert CATALOG.regions_of(CATALOG.model("m")) == ("eu", "us")
    assert CATALOG.regions_of(CATALOG.model("n")) == ("us",)
    assert [str(one) for one in CATALOG.deployments()] == ["eu:m", "us:m", "us:n"]
    served = [(region, model) for region, model in (("eu", "m"), ("us", "m"), ("us", "n"))]
    assert CATALOG.cells() == tuple(Cell(*one, question) for one in served for question in ("q", "r"))
    assert CATALOG.cells(["brussels"]) == (Cell("eu", "m", "q"), Cell("eu", "m", "r"))
    assert CATALOG.cells(models=["n"], questions=["r"]) == (Cell("us", "n", "r"),)
    assert CATALOG.cells(["eu"], ["n"]) == ()


def test_a_schedule_asks_its_categories() -> None:
    assert CATALOG.cells_of(Schedule(cron="x")) == CATALOG.cells()
    cultural = Schedule(cron="x", categories=(Category.CULTURAL,))
    assert CATALOG.cells_of(cultural) == CATALOG.cells(questions=["r"])
    assert CATALOG.cells_of(Schedule(cron="x", categories=(Category.BIAS_DETECTION,))) == ()


def test_weights_are_the_models_or_the_regions_own() -> None:
    model = Model(
        **MODEL | {"sources": {"us": {"repository": "o/m", "revision": "s"}}},
    )
    ours, theirs = (CATALOG.source(model, region) for region in ("eu", "us"))
    assert (ours.folder, ours.repository, ours.revision) == ("/catalog/weights", None, "r")
    assert (theirs.folder, theirs.repository, theirs.revision) == (None, "o/m", "s")
    more = model.model_copy(update={"engine": "vllm", "attention": "eager", "batch_size": 3})
    found = CATALOG.source(more, "eu")
    assert (found.id, found.dtype, found.context_tokens) == ("m", "float32", 512)
    assert (found.engine, found.attention, found.batch_size) == ("vllm", "eager", 3)
    assert {name: one.revision for name, one in model.all_sources().items()} == {"": "r", "us": "s"}
    assert model.all_sources()[""].folder == "weights"


def test_a_model_is_asked_with_its_own_parameters_and_the_catalogs_date() -> None:
    own = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ("x",), "template_arguments": {"a": True}}
    parameters = CATALOG.parameters(Model(**MODEL | own))
    assert parameters.model_dump() == own | {"max_new_tokens": 64, "prompt_date": date(2026, 1, 1)}
    assert CATALOG.parameters(Model(**MODEL | {"provider": "http"})).prompt_date is None


def test_arms_are_the_files_and_each_regions() -> None:
    catalog = a_catalog(
        arms=(Arm(id="neutral", system_prompt="You help."), Arm(id="as-us", system_prompt="X"))
    )
    assert CATALOG.arm_prompts == {"as-eu": "In Europe.", "as-us": "In America."}
    assert catalog.arm_prompts == {"as-eu": "In Europe.", "as-us": "X", "neutral": "You help."}


def test_the_digest_is_over_all_that_an_answer_depends_on() -> None:
    assert digest_of({"b": 1, "a": "ü"}) == (
        "ad8fbfe93e9dabd60732b28a6ad8bf14da30593b8ad4339f992a5c607a01512a"
    )
    assert set(CATALOG.content) == {"regions", "models", "questions", "prompt_date"}
    assert CATALOG.content["prompt_date"] == "2026-01-01"
    assert [one["id"] for one in CATALOG.content["models"]] == ["m", "n"]
    arms = a_catalog(arms=(Arm(id="neutral", system_prompt="You help."),))
    assert arms.content["arms"] == [{"id": "neutral", "system_prompt": "You help."}]
    others = [arms, a_catalog(regions=CATALOG.regions[:1]), a_catalog(questions=CATALOG.questions[:1])]
    others.append(a_catalog(settings=Settings(prompt_date=date(2026, 1, 2))))
    assert len({CATALOG.digest, *(one.digest for one in others)}) == 5
    patient = a_catalog(settings=Settings(deadline_seconds=1), name="other", folder=Path("/else"))
    assert patient.digest == CATALOG.digest
