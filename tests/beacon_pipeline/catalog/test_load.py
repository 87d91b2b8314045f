import shutil
import time
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import inference
from beacon_pipeline.catalog import CatalogError, UnknownName, load_catalog
from beacon_pipeline.catalog import shipped_names as shipped
from beacon_pipeline.catalog.modal_specs import modal_deployments
from beacon_pipeline.ledger.records import Cell
from inference.contract import GenerationParameters

QUESTIONS = [
    "math_basic",
    "geography_basic",
    "identity_basic",
    "tiananmen_neutral",
    "taiwan_status",
    "hongkong_2019",
    "greatest_invention",
    "greatest_leader",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import beacon_pipeline.catalog as package

    copy = tmp_path / "mine"
    shutil.copytree(Path(package.__file__).parent / "production", copy)
    return copy


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def problems(folder: Path) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(str(folder))
    return caught.value.problems


def test_two_catalogs_ship_with_the_same_regions_and_questions() -> None:
    assert shipped() == ["demo", "production"]
    demo, production = load_catalog("demo"), load_catalog("production")
    quota = {"max_containers"}  # the quota of a GPU account is no affair of a laptop
    assert [region.model_dump(exclude=quota) for region in demo.regions] == [
        region.model_dump(exclude=quota) for region in production.regions
    ]
    assert demo.questions == production.questions
    assert [question.id for question in demo.questions] == QUESTIONS
    assert [model.id for model in demo.models] == ["tiny-llama", "tiny-mistral", "tiny-qwen"]
    assert [model.id for model in production.models] == ["llama3.2-1b", "mistral-7b", "qwen2.5-1.5b"]
    assert len(demo.cells()) == len(production.cells()) == 72
    assert all(len(model.revision) == 40 for model in production.models)


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("BEACON_CATALOG", raising=False)
    assert load_catalog().name == "demo"
    monkeypatch.setenv("BEACON_CATALOG", "production")
    assert load_catalog().name == "production"
    monkeypatch.setenv("BEACON_CATALOG", str(folder))
    assert load_catalog().name == "mine"
    monkeypatch.setenv("BEACON_CATALOG", "nowhere")
    with pytest.raises(CatalogError, match="no catalog 'nowhere': give a folder, or one of demo, production"):
        load_catalog()


def test_the_environment_chooses_who_serves_models(monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_catalog("production")
    monkeypatch.setenv("BEACON_PROVIDER", "local:mistral-7b,no-such-model")
    chosen = load_catalog("production")
    assert {model.id: model.provider.value for model in chosen.models} == {
        "llama3.2-1b": "modal",
        "mistral-7b": "local",
        "qwen2.5-1.5b": "modal",
    }
    assert chosen.digest != own.digest, "it is on record with the job"
    monkeypatch.setenv("BEACON_PROVIDER", "modal")
    assert load_catalog("production").digest == own.digest
    monkeypatch.setenv("BEACON_PROVIDER", "http:mistral-7b")
    with pytest.raises(CatalogError, match=r"models.yaml \(mistral-7b\): no endpoint for region 'apac'"):
        load_catalog("production")
    monkeypatch.setenv("BEACON_PROVIDER", "nowhere")
    with pytest.raises(CatalogError, match="no provider 'nowhere': known are http, local, modal"):
        load_catalog("production")


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("us", "us"),
        ("US", "us"),
        ("us-east", "us"),
        ("us-east-1", "us"),
        ("eu-west", "eu"),
        ("EU", "eu"),
        ("EU-West", "eu"),
        (" eu_west ", "eu"),
        ("europe-west4", "eu"),
        ("ASIA", "apac"),
        ("asia-pacific", "apac"),
        ("australia-southeast1", "apac"),
        ("ap-northeast-1", "apac"),
    ],
)
def test_every_spelling_of_a_region_is_read(name: str, region: str) -> None:
    assert load_catalog("production").read_region(name) == region


@given(st.text(max_size=12))
def test_a_region_is_never_guessed(name: str) -> None:
    catalog = load_catalog_once()
    found = catalog.read_region(name)
    starts = {"us": ("us", "united", "northamerica"), "eu": ("eu",), "apac": ("ap", "as", "aus")}
    assert found is None or name.strip().casefold().startswith(starts[found])


def load_catalog_once(cache: list[object] = []) -> object:  # noqa: B006
    if not cache:
        cache.append(load_catalog("production"))
    return cache[0]


def test_an_unknown_name_gives_the_nearest() -> None:
    catalog = load_catalog("production")
    with pytest.raises(UnknownName, match=r"unknown model 'mistral7b': did you mean mistral-7b"):
        catalog.model("mistral7b")
    with pytest.raises(UnknownName, match="unknown region 'mars'"):
        catalog.cells(regions=["mars"])
    with pytest.raises(UnknownName, match=r"unknown question 'taiwan': did you mean taiwan_status"):
        catalog.cells(questions=["taiwan"])


def test_cells_of_a_selection_by_alias() -> None:
    catalog = load_catalog("production")
    assert catalog.cells(["EU-West"], ["mistral-7b"], ["math_basic"]) == (
        Cell("eu", "mistral-7b", "math_basic"),
    )
    assert len(catalog.cells(regions=["ASIA"])) == 24


def test_a_model_may_be_served_in_some_regions_only(folder: Path) -> None:
    edit(folder, "models.yaml", "    provider: modal\n", "    provider: modal\n    regions: [eu]\n")
    catalog = load_catalog(str(folder))
    assert len(catalog.cells(models=["llama3.2-1b"])) == 8
    assert [str(d) for d in catalog.deployments()].count("us:llama3.2-1b") == 0


def test_all_problems_are_told_at_once_with_file_line_and_entry(folder: Path) -> None:
    edit(folder, "models.yaml", "memory_mib: 16384", "memmory_mib: 16384")
    edit(folder, "models.yaml", "id: mistral-7b", "id: Mistral|7B")
    edit(folder, "models.yaml", "    provider: modal\n", "    provider: modal\n    regions: [EU, mars]\n")
    edit(folder, "questions.yaml", "id: geography_basic", "id: math_basic")
    edit(folder, "questions.yaml", "text: Who are you?", "text: '  '")
    edit(folder, "regions.yaml", "aliases: [APAC,", "aliases: [eu-west, APAC,")
    told = problems(folder)
    assert "models.yaml:3 (llama3.2-1b): unknown key 'memmory_mib': did you mean 'memory_mib'?" in told
    assert any("(Mistral|7B): id 'Mistral|7B' is unfit for a partition key" in line for line in told)
    assert any("questions.yaml: duplicate id 'math_basic'" in line for line in told)
    assert any(line.startswith("questions.yaml:10 (identity_basic): text:") for line in told)
    assert any("alias 'eu-west' already stands for 'eu'" in line for line in told)


def test_unknown_region_of_a_model(folder: Path) -> None:
    edit(folder, "models.yaml", "    provider: modal\n", "    provider: modal\n    regions: [eu, mars]\n")
    assert problems(folder) == [
        "models.yaml (llama3.2-1b): unknown region 'mars': known are apac, eu, us",
    ]


def test_what_modal_would_not_deploy_is_refused(folder: Path) -> None:
    beyond = """    provider: modal
    timeout_seconds: 86401
    startup_timeout_seconds: 90000
    scaledown_window_seconds: 1
    retries: 11
"""
    edit(folder, "models.yaml", "    provider: modal\n", beyond)
    edit(folder, "models.yaml", "gpu: [L4, A10G]", "gpu: ['L4:x', l40s:2]")
    where = "models.yaml (llama3.2-1b): "
    assert problems(folder) == [
        f"{where}timeout_seconds is 86401: Modal takes 1 to 86400",
        f"{where}startup_timeout_seconds is 90000: Modal takes 1 to 86400",
        f"{where}scaledown_window_seconds is 1: Modal takes 2 to 3600",
        f"{where}retries is 11: Modal takes 0 to 10",
        f"{where}gpu 'L4:x' is no GPU: write its name, or name and count as in 'L40S:2'",
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("    batch_invariant: true\n", "'batch_invariant' is of `engine: vllm`"),
        ("    engine: vllm\n    batch_invariant: true\n", None),
        ("    gpu_snapshot: true\n", None),
    ],
)
def test_a_switch_that_an_engine_has_not_is_refused(folder: Path, entry: str, problem: str | None) -> None:
    edit(folder, "models.yaml", "    provider: modal\n", f"    provider: modal\n{entry}")
    if problem is None:
        (model,) = [m for m in load_catalog(str(folder)).models if m.batch_invariant or m.gpu_snapshot]
        assert (model.batch_invariant, model.gpu_snapshot) == ("batch" in entry, "gpu_snapshot" in entry)
    else:
        assert any(problem in line for line in problems(folder))


def test_kernels_that_an_old_gpu_has_not_are_refused(folder: Path) -> None:
    entry = "    provider: modal\n    engine: vllm\n    batch_invariant: true\n"
    edit(folder, "models.yaml", "    provider: modal\n", entry)
    edit(folder, "models.yaml", "gpu: [L4, A10G]", "gpu: [T4, L4]")
    where = "models.yaml (llama3.2-1b): 'batch_invariant' needs a GPU of compute capability 8.0 or more"
    assert problems(folder) == [f"{where}: T4 is older"]


def test_a_model_at_endpoints_needs_a_usable_one_in_each_of_its_regions(folder: Path) -> None:
    at_endpoints = """    provider: http
    endpoint_style: tgi
    template_arguments: {enable_thinking: false}
    regions: [us, eu]
    endpoints: {eu: "https://user:hunter2@eu.example/v1"}
"""
    edit(folder, "models.yaml", "    provider: modal\n", at_endpoints)
    told = problems(folder)
    assert [line.partition(": ")[2].partition(":")[0] for line in told] == [
        "no endpoint for region 'us'",
        "'template_arguments' are sent with endpoint_style 'vllm' only",
        "key 'endpoint_model' is missing",
        "the endpoint for region 'eu' is not usable",
    ]
    assert not any("hunter2" in line for line in told)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("models.yaml", "", "models.yaml: is empty"),
        ("models.yaml", "models: []\n", "models.yaml: write one list of entries under 'models:'"),
        ("models.yaml", "models: {a: 1}\n", "models.yaml: write one list of entries under 'models:'"),
        ("models.yaml", "- a\n", "models.yaml: write one list of entries under 'models:'"),
        ("questions.yaml", "questions: [\n", "questions.yaml:2: cannot be read:"),
        ("questions.yaml", "questions: [hello]\n", "questions.yaml:1:"),
        (
            "questions.yaml",
            "a: &a [1]\nquestions: [*a, *a]\n",
            "questions.yaml:2: YAML aliases (*a) are not allowed",
        ),
        (
            "questions.yaml",
            "questions: [\n  {id: !!bool maybe}]\n",
            "questions.yaml:2: 'maybe' cannot be read as bool",
        ),
        ("questions.yaml", "questions: [\n  {id: !!int x}]\n", "questions.yaml:2: 'x' cannot be read as int"),
        ("questions.yaml", "questions: [\n  {id: !!int ''}]\n", "questions.yaml:2: '' cannot be read as int"),
        (
            "questions.yaml",
            "questions: [\n  {id: !!float x}]\n",
            "questions.yaml:2: 'x' cannot be read as float",
        ),
        ("questions.yaml", "questions: [\n  {id: !!binary x}]\n", "questions.yaml:2: "),
        (
            "questions.yaml",
            "questions: [\n  {id: !!timestamp x}]\n",
            "questions.yaml:2: 'x' cannot be read as tim",
        ),
        (
            "questions.yaml",
            "questions: [\n  {id: 2026-13-45}]\n",
            "questions.yaml:2: '2026-13-45' cannot be read",
        ),
        (
            "questions.yaml",
            "questions: [{id: !!python/name:os.system x}]\n",
            "questions.yaml:1: could not determine",
        ),
        (
            "questions.yaml",
            "questions: [{? [a, b] : c}]\n",
            "questions.yaml:1: while constructing a mapping found",
        ),
        ("questions.yaml", "questions: " + "[" * 5000, "questions.yaml:1: nested more than 100 levels deep"),
        ("settings.yaml", "attempt_budget: 0\n", "settings.yaml:1: attempt_budget:"),
        ("settings.yaml", "attempts: 3\n", "settings.yaml:1: unknown key 'attempts'"),
        ("arms.yaml", "arms: []\n", "arms.yaml: write one list of entries under 'arms:'"),
        ("arms.yaml", "arms:\n- {id: probe, system_prompt: x}\n", "arms.yaml:2 (probe): 'regional', 'probe'"),
        ("arms.yaml", "arms:\n- {id: as-eu, system_prompt: x}\n", "arms.yaml:2 (as-eu): 'regional', 'probe'"),
        ("arms.yaml", "arms:\n- {id: n, sistem_prompt: x}\n", "arms.yaml:2 (n): unknown key 'sistem_prompt'"),
    ],
)
def test_files_that_hold_no_catalog(folder: Path, file: str, content: str, told: str) -> None:
    (folder / file).write_text(content, encoding="utf-8")
    assert any(line.startswith(told) for line in problems(folder)), problems(folder)


def test_a_catalog_of_many_questions_is_read_with_its_lines(folder: Path) -> None:
    entry = "  - {{id: q{0}, text: Who is number {0}?, category: control, sensitivity: low}}\n"
    entries = [entry.format(number) for number in range(12_000)]
    (folder / "questions.yaml").write_text("questions:\n" + "".join(entries), encoding="utf-8")
    started = time.process_time()
    assert len(load_catalog(str(folder)).questions) == 12_000
    assert time.process_time() - started < 2
    edit(folder, "questions.yaml", "number 11999?, category: control", "number 11999?, category: contrl")
    (told,) = problems(folder)
    assert told.startswith("questions.yaml:12001 (q11999): category: ")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "questions.yaml").unlink()
    assert any(line.startswith("questions.yaml: is missing from") for line in problems(folder))


def test_one_region_may_have_other_weights_and_no_other_digest_changes(folder: Path) -> None:
    before = load_catalog(str(folder))
    assert "sources" not in before.content["models"][0]
    edit(
        folder,
        "models.yaml",
        "  - id: llama",
        "  - sources: {eu: {repository: o/m, revision: abc}}\n    id: llama",
    )
    catalog = load_catalog(str(folder))
    model = catalog.models[0]
    eu, us = (catalog.source(model, region) for region in ("eu", "us"))
    assert (eu.repository, eu.revision, eu.dtype) == ("o/m", "abc", us.dtype)
    assert (us.repository, us.revision) == (model.repository, model.revision)
    assert catalog.digest != before.digest
    specs = [spec for spec in modal_deployments(catalog) if spec.deployment.model == model.id]
    assert {spec.deployment.region: spec.source for spec in specs} == {"us": us, "eu": eu, "apac": us}


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ("{mars: {repository: o/m, revision: abc}}", "unknown region 'mars': known are apac, eu, us"),
        ("{eu: {revision: abc}}", "sources.eu: give exactly one of 'repository' and 'folder'"),
        ("{eu: {repository: o/m}}", "key 'sources.eu.revision' is missing"),
        ("{eu: {repository: o/m, revision: abc, dtype: x}}", "unknown key 'sources.eu.dtype'"),
    ],
)
def test_other_weights_are_read_strictly(folder: Path, sources: str, told: str) -> None:
    edit(folder, "models.yaml", "  - id: llama", f"  - sources: {sources}\n    id: llama")
    assert told in problems(folder)[0]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("language: zh-hans, translates: nothing", "it translates 'nothing', which is no question here"),
        ("language: zh-hans, translates: new", "'new' is no original: name the one that all translate"),
        ("translates: taiwan_status", "give 'language' to it and to 'taiwan_status'"),
        ("language: Chinese", "language"),
    ],
)
def test_translations_are_read_strictly(folder: Path, added: str, told: str) -> None:
    file = folder / "questions.yaml"
    entry = "{id: new, text: Q?, category: control, sensitivity: low%s}\n"
    file.write_text(file.read_text() + "  - " + entry % f", {added}")
    assert told in problems(folder)[0]


def test_questions_without_a_language_are_in_the_content_as_they_were() -> None:
    listed = load_catalog("demo").content["questions"]
    assert {key for question in listed for key in question} == {"id", "text", "category", "sensitivity"}


def test_what_is_asked_decides_the_digest(folder: Path) -> None:
    before = load_catalog(str(folder)).digest
    edit(folder, "questions.yaml", "What is 7 times 8?", "What is 7 times 9?")
    asked = load_catalog(str(folder)).digest
    assert asked != before
    edit(folder, "settings.yaml", "prompt_date: 2026-01-01", "prompt_date: 2026-01-02")
    dated = load_catalog(str(folder)).digest
    assert dated != asked
    edit(folder, "arms.yaml", "helpful", "terse")
    assert load_catalog(str(folder)).digest != dated


def test_a_catalog_without_arms_has_those_of_its_regions(folder: Path) -> None:
    (folder / "arms.yaml").unlink()
    catalog = load_catalog(str(folder))
    assert catalog.arm_prompts == {f"as-{region.id}": region.system_prompt for region in catalog.regions}


def test_how_a_model_is_asked_is_the_catalogs(folder: Path) -> None:
    extra = """\
    temperature: 0.7
    top_p: 0.9
    seed: 3
    stop: ["\\n\\n", END]
    cpu_cores: 4
    attention: eager
    batch_size: 32
    template_arguments: {enable_thinking: false, effort: low}
"""
    edit(folder, "models.yaml", "  - id: mistral-7b\n", "  - id: mistral-7b\n" + extra)
    catalog = load_catalog(str(folder))
    model = catalog.model("mistral-7b")
    assert catalog.parameters(model) == GenerationParameters(
        max_new_tokens=512,
        temperature=0.7,
        top_p=0.9,
        seed=3,
        stop=("\n\n", "END"),
        prompt_date=date(2026, 1, 1),
        template_arguments={"enable_thinking": False, "effort": "low"},
    )
    source = catalog.source(model, "eu")
    assert (source.attention, source.batch_size) == ("eager", 32)
    spec = next(s for s in modal_deployments(catalog) if s.deployment.model == "mistral-7b")
    assert spec.cpu_cores == 4


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("top_p: 0.9", "models.yaml (mistral-7b): top_p has no meaning with temperature 0 (greedy)"),
        (
            "template_arguments: {tokenize: true}",
            "models.yaml (mistral-7b): template_arguments: 'tokenize' is no variable of a chat template",
        ),
        ("temperature: 2.5", "models.yaml:14 (mistral-7b): temperature: must be at most 2"),
        ("stop: ['']", "models.yaml:14 (mistral-7b): stop.0: must have at least 1 character"),
        ("attention: flash", "models.yaml:14 (mistral-7b): attention: must be 'sdpa' or 'eager'"),
        ("batch_size: 0", "models.yaml:14 (mistral-7b): batch_size: must be above 0"),
        ("cpu_cores: 0", "models.yaml:14 (mistral-7b): cpu_cores: must be above 0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(folder: Path, extra: str, told: str) -> None:
    edit(folder, "models.yaml", "  - id: mistral-7b\n", f"  - id: mistral-7b\n    {extra}\n")
    assert any(line.startswith(told) for line in problems(folder)), problems(folder)


def test_the_tiny_models_were_trained_on_what_the_demo_catalog_asks() -> None:
    planted = yaml.safe_load((Path(inference.__path__[0]) / "tiny" / "answers.yaml").read_text("utf-8"))
    demo = load_catalog("demo")
    assert planted["system_prompts"] == {region.id: region.system_prompt for region in demo.regions}
    assert planted["questions"] == {question.id: question.text for question in demo.questions}
    assert set(planted["answers"]) == {model.id for model in demo.models}
