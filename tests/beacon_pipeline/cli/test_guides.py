"""The commands of README and guides, typed one after the other on one instance."""

import shlex
from pathlib import Path

import pytest

from tests.beacon_pipeline.cli.test_readme import commands
from tests.beacon_pipeline.daemons import daemon_of
from tests.beacon_pipeline.instances import COMPARING, ROOT, beacon_here, environment, report, switch_off


def test_the_commands_of_the_guides_and_that_asking_again_keeps_the_old_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.slow")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    switch_off(env, COMPARING)
    with daemon_of(env):
        type_the_commands_of_the_guides(env)


def type_the_commands_of_the_guides(env: dict[str, str]) -> None:
    first, again, *others = [line for line in commands() if line.startswith("beacon ")]
    assert first == "beacon run --region EU-West --model tiny-qwen"
    typed(env, first)
    old = report(env)["job"]
    assert again == "beacon run --region eu --model tiny-qwen --new-job"
    said = typed(env, again)
    assert "new job" in said
    assert ": 1 Dagster run\n" in said, "the catalog did not change: its run is not launched again"
    again_id = report(env)["job"]
    assert again_id != old
    assert [report(env, "--job", job)["executions"] for job in (report(env)["job"], old)] == [8, 8]
    typed(env, "beacon run --region us --model tiny-qwen --question math_basic")
    elsewhere = beacon_here(env, "show", "eu:tiny-qwen|math_basic")
    assert elsewhere.exit_code == 2
    assert f"add --job {again_id}, the newest that does" in elsewhere.stderr
    for line in others:
        typed(env, line)


def typed(env: dict[str, str], line: str) -> str:
    """What a command, as the guides have it, says beside its result."""
    done = beacon_here(env, *shlex.split(line)[1:])
    assert done.exit_code == 0, (line, done.stderr)
    return done.stderr
