"""The file that `beacon submit` takes: exactly its cells, or every problem at once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.jobspec import JobspecError, read_jobspec
from beacon_pipeline.catalog.new import make_catalog
from beacon_pipeline.jobs.specification import specification_of, specified_cells
from beacon_pipeline.ledger.records import Cell
from tests.beacon_pipeline.instances import ROOT

CATALOG = load_catalog("demo")
GOOD = "questions: [math_basic]\nmodels: [{id: tiny-qwen}]\n"


@pytest.fixture
def jobspec(tmp_path: Path) -> Path:
    return tmp_path / "job.yaml"


def problems(path: Path, content: str | bytes) -> list[str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(JobspecError) as raised:
        read_jobspec(path, CATALOG)
    return raised.value.problems


def test_the_example_asks_exactly_its_cells() -> None:
    wanted = read_jobspec(ROOT / "examples" / "jobspec.yaml", CATALOG)
    asked = {("eu", "tiny-mistral")} | {(region, "tiny-qwen") for region in ("us", "eu", "apac")}
    assert set(wanted.cells) == {
        Cell(region, model, question)
        for region, model in asked
        for question in ("taiwan_status", "hongkong_2019")
    }
    assert len(wanted.cells) == 8
    assert wanted.name == "contested-places"


def test_a_name_is_optional(jobspec: Path) -> None:
    jobspec.write_text(GOOD)
    wanted = read_jobspec(jobspec, CATALOG)
    assert (wanted.name, len(wanted.cells)) == (None, 3)


def test_all_problems_are_told_at_once_with_the_nearest_names(jobspec: Path) -> None:
    told = problems(
        jobspec,
        "questions: [maths_basic, taiwan_status, taiwan_status]\n"
        "models:\n"
        "  - {id: tiny-lama, regions: [mars]}\n"
        "  - {id: tiny-qwen, regions: [eu-west, EU]}\n",
    )
    assert len(told) == 5
    for line, said in zip(
        told,
        [
            "unknown question 'maths_basic': did you mean math_basic",
            "unknown model 'tiny-lama': did you mean tiny-llama",
            "question 'taiwan_status' is given twice",
            "model 'tiny-lama': unknown region 'mars'",
            "model 'tiny-qwen': region 'eu' is given twice",
        ],
        strict=True,
    ):
        assert line.startswith(f"job.yaml: {said}")


def test_a_model_is_asked_only_where_it_is_served(jobspec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    models = make_catalog(folder, "demo").folder / "models.yaml"
    served = models.read_text("utf-8").replace("provider: local\n", "provider: local\n    regions: [eu]\n", 1)
    models.write_text(served, encoding="utf-8")
    jobspec.write_text("questions: [math_basic]\nmodels: [{id: tiny-llama, regions: [us]}]\n")
    with pytest.raises(JobspecError, match="'tiny-llama': is not served in 'us': it is in eu"):
        read_jobspec(jobspec, load_catalog(str(folder)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("null\n", "must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("hello\n", "must be a mapping"),
        (GOOD + "modells: []\n", "unknown key 'modells': did you mean 'models'?"),
        ("models: [{id: tiny-qwen}]\n", "key 'questions' is missing"),
        ("questions: []\nmodels: []\n", "questions:"),
        ("questions: [1, null, no]\nmodels: [{id: tiny-qwen}]\n", "must be text"),
        ("questions: math_basic\nmodels: [{id: tiny-qwen}]\n", "must be a list"),
        ("questions: [math_basic]\nmodels: [tiny-qwen]\n", "models.0"),
        ("questions: [math_basic]\nmodels: [{id: tiny-qwen, regions: []}]\n", "models.0.regions"),
        ("questions: [math_basic]\nmodels: [{id: tiny-qwen, id: tiny-llama}]\n", "'id' is given twice"),
        (GOOD + "name: '../etc/passwd'\n", "unfit"),
        (GOOD + "name: 2026-13-45\n", "job.yaml"),
        ("a: &a [x, x]\nquestions: *a\nmodels: [*a]\n", "YAML aliases"),
        ("questions: !!python/object/apply:os.system ['true']\nmodels: [{id: tiny-qwen}]\n", "constructor"),
        ("questions: [math_basic\n", "cannot be read"),
        ("? [a, b]\n: c\n", "job.yaml"),
        ("--- a\n--- b\n", "found another document"),
        ("[" * 5000 + "]" * 5000, "nested more than 100 levels deep"),
        ("#" * 10_000_001, "larger than"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"questions: ['\x1b[31m']\nmodels: [{id: tiny-qwen}]\n", "cannot be read"),
        ('questions: ["\\e[31m\\u202e"]\nmodels: [{id: tiny-qwen}]\n', "unknown question"),
    ],
)
def test_hostile_and_mistaken_files(jobspec: Path, content: str | bytes, said: str) -> None:
    told = problems(jobspec, content)
    assert any(said in line for line in told), told
    assert all(line.startswith("job.yaml") and "\n" not in line for line in told)
    assert not any("\x1b" in line or "\u202e" in line for line in told)


def test_a_missing_file_is_named(jobspec: Path) -> None:
    with pytest.raises(JobspecError, match=r"job\.yaml: is missing"):
        read_jobspec(jobspec, CATALOG)


NAMES = st.sampled_from("abc")


@given(st.sets(st.builds(Cell, NAMES, NAMES, NAMES)))
def test_a_job_keeps_which_cells_it_was_asked_for(cells: set[Cell]) -> None:
    assert specified_cells(specification_of(cells)) == sorted(cells)


def test_a_full_matrix_is_kept_in_few_words() -> None:
    cells = [Cell(f"r{r}", f"m{m}", f"q{q}") for r in range(3) for m in range(20) for q in range(500)]
    kept = specification_of(cells)
    assert len(str(kept)) < 10_000
    assert specified_cells(kept) == sorted(cells)
    assert specified_cells(None) is None
