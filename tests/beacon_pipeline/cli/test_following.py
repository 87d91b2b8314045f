"""A person who stops watching reads which command goes on with the job; that command does."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.beacon_pipeline.instances import ROOT, beacon_here, environment

CELL = ("--region", "eu", "--model", "tiny-qwen", "--question", "math_basic")


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Runs are queued and never begin; whoever follows them is interrupted at once."""

    with_daemon(monkeypatch, is_ours=True)
    monkeypatch.setattr("beacon_pipeline.jobs.launch.launch_runs", lambda instance, launches: [])
    monkeypatch.setattr("beacon_pipeline.jobs.launch.follow", interrupted)
    return environment(tmp_path)


def with_daemon(monkeypatch: pytest.MonkeyPatch, *, is_ours: bool) -> None:
    daemon = SimpleNamespace(is_ours=is_ours)
    monkeypatch.setattr("beacon_pipeline.instance.daemon.Daemon", lambda *_: nullcontext(daemon))


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def stopped(env: dict[str, str], *arguments: str) -> tuple[str, list[str]]:
    """The first line of a command, and the end of its last one after the job's name."""
    done = beacon_here(env, *arguments)
    assert done.exit_code == 1, done.output
    first, *_, last = done.stderr.splitlines()
    return first, last.partition("nothing is lost: ")[2].split(", ")


def test_the_command_that_is_named_goes_on(env: dict[str, str]) -> None:
    first, (goes_on, gives_up) = stopped(env, "run", *CELL, "--new-job")
    assert goes_on == "the same command without --new-job goes on with it"
    job = first.split()[2].rstrip(":")
    assert gives_up == f"`beacon cancel {job}` gives it up"
    again, (goes_on, _) = stopped(env, "run", *CELL)
    assert (again.split(":")[0], goes_on) == (f"continuing job {job}", "the same command goes on with it")
    assert stopped(env, "run", *CELL, "--new-job")[0].startswith("new job")

    sampled = ("run", *CELL, "--samples", "2", "--temperature", "1")
    first, (goes_on, _) = stopped(env, *sampled, "--new-job")
    assert stopped(env, *sampled)[0].split(" (")[0] == first.split(" (")[0].replace("new", "continuing")


@pytest.mark.parametrize(("name", "goes_on"), [("", "`beacon dev`"), ("name: mine\n", "the same command")])
def test_a_job_file_without_a_name_is_a_new_job_each_time(
    env: dict[str, str], tmp_path: Path, name: str, goes_on: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"{name}questions: [math_basic]\nmodels: [{{id: tiny-qwen, regions: [eu]}}]\n")
    assert stopped(env, "submit", str(file))[1][0] == f"{goes_on} goes on with it"
    assert stopped(env, "submit", str(file))[0].startswith("continuing" if name else "new")


def test_a_study_goes_on_by_its_file(env: dict[str, str]) -> None:
    file = ROOT / "examples" / "first-study.yaml"
    done = beacon_here(env, "study", "run", str(file))
    assert f"nothing is lost: `beacon study run {file}` goes on with it" in done.stderr
    assert "continuing job" in beacon_here(env, "study", "run", str(file)).stderr


def test_what_the_daemon_of_another_command_goes_on_with_is_not_asked_anew(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_daemon(monkeypatch, is_ours=False)
    done = beacon_here(env, "run", *CELL)
    job = done.stderr.split()[2].rstrip(":")
    assert f"which the daemon of another command goes on with: `beacon status --job {job}`" in done.stderr
    assert "the same command" not in done.stderr, "it asks anew once the job has ended"


def test_who_stops_while_runs_are_launched_reads_what_goes_on(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as launching:
        launching.setattr("beacon_pipeline.jobs.launch.launch_runs", interrupted)
        done = beacon_here(env, "run", *CELL)
    assert done.exit_code == 1
    assert done.stderr.startswith("stopped before all was launched; nothing is lost: the same command")
    assert stopped(env, "run", *CELL)[0].startswith("continuing job")


def test_what_was_cancelled_says_so_once(env: dict[str, str]) -> None:
    first, _ = stopped(env, "run", *CELL)
    assert beacon_here(env, "cancel", first.split()[2].rstrip(":")).exit_code == 0
    shown = beacon_here(env, "status").stdout
    assert " ".join(shown.splitlines()[1].split()) == "tiny-qwen math_basic – cancelled"


def test_a_seed_whose_questions_left_the_catalog_is_told(env: dict[str, str], tmp_path: Path) -> None:
    seed = "00" * 16
    stopped(env, "run", *CELL, "--samples", "2", "--temperature", "1", "--seed", seed)
    other = tmp_path / "other"
    assert beacon_here(env, "catalog", "init", str(other)).exit_code == 0
    questions = other / "questions.yaml"
    questions.write_text(questions.read_text().replace("id: math_basic", "id: math_renamed"))
    done = beacon_here(env | {"BEACON_CATALOG": str(other)}, "run", "--seed", seed)
    assert done.stderr == f"Error: the job with seed {seed} asked nothing that this catalog asks\n"
    assert done.exit_code == 2
