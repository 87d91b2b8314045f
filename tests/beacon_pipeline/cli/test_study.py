"""`beacon study` at the shell: what it says of a plan, and how it ends."""

import json
from pathlib import Path

import pytest
import yaml

from tests.beacon_pipeline.instances import ROOT, beacon_here, environment

FIRST = ROOT / "examples" / "first-study.yaml"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, database_url=f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_check_writes_nothing_and_its_json_has_the_figures(env: dict[str, str], tmp_path: Path) -> None:
    done = beacon_here(env, "study", "check", str(FIRST), "--json")
    told = json.loads(done.stdout)
    shown = beacon_here(env, "study", "check", str(FIRST)).stdout
    assert "; a difference between the rates is found in " in shown
    assert "% where it is 0.3" in shown
    assert (done.exit_code, told["executions"], told["calls"]) == (0, 20, 2)
    assert told["claims"][0]["why_not"] is None
    assert set(told["claims"][0]["power"]) == {"0.1", "0.2", "0.3"}
    assert not (tmp_path / "ledger.db").exists()


def test_a_claim_that_can_never_be_found_is_named_and_ends_with_1(
    env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    claim = {"id": "place", "contrast": "deployment", "arms": ["as-us"]}
    file.write_text(
        yaml.safe_dump(yaml.safe_load(FIRST.read_text()) | {"regions": ["us", "eu"], "claims": [claim]})
    )
    done = beacon_here(env, "study", "check", str(file))
    assert done.exit_code == 1
    assert "place: can never be found: 2 blocks" in done.stdout


def test_what_cannot_be_asked_from_here_is_not_put_on_record(env: dict[str, str]) -> None:
    done = beacon_here(env | {"BEACON_ALERT_INTERVAL_SECONDS": "soon"}, "study", "run", str(FIRST))
    assert done.exit_code == 2
    assert "BEACON_ALERT_INTERVAL_SECONDS" in done.stderr
    assert "is not registered" in beacon_here(env, "study", "status", str(FIRST)).stderr


def test_registering_twice_is_one_version_and_the_evidence_is_shown(
    env: dict[str, str], tmp_path: Path
) -> None:
    first = beacon_here(env, "study", "register", str(FIRST))
    assert first.exit_code == 0, first.stderr
    assert "version 1: registered" in first.stdout
    assert "self-registered" in first.stdout
    proof = tmp_path / "proof.tsr"
    digest = next(line.split()[1] for line in first.stdout.splitlines() if line.startswith("hash "))
    proof.write_bytes(b"\x30\x00" + bytes.fromhex(digest))
    evidence = ("--public-value", "drand 5 abc", "--timestamp", str(proof))
    second = beacon_here(env, "study", "register", str(FIRST), *evidence)
    assert "version 1: on record since" in second.stdout
    assert "public value since" in second.stdout
    assert "timestamp since" in second.stdout
    assert "self-registered" not in second.stdout

    stands = beacon_here(env, "study", "status", str(FIRST))
    assert "look 2: block 2, not taken" in stands.stdout
    assert "no look has ended" in stands.stdout
    by_id = beacon_here(env, "study", "status", yaml.safe_load(FIRST.read_text())["id"])
    assert (by_id.exit_code, by_id.stdout) == (0, stands.stdout)
    unknown = beacon_here(env, "study", "status", "nosuch")
    assert (unknown.exit_code, "no file is called nosuch, and no study on record" in unknown.stderr) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("command", "content", "said"),
    [
        ("status", FIRST.read_text(), "is not registered as it is now: `beacon study register`"),
        ("top-up", FIRST.read_text(), "is not registered as it is now"),
        ("check", "id: x\n", "s.yaml:1 (x): key 'models' is missing"),
        ("register", None, "s.yaml: is missing from"),
    ],
)
def test_what_cannot_be_is_told_and_ends_with_2(
    env: dict[str, str], tmp_path: Path, command: str, content: str | None, said: str
) -> None:
    file = tmp_path / "s.yaml"
    if content is not None:
        file.write_text(content)
    done = beacon_here(env, "study", command, str(file))
    assert done.exit_code == 2
    assert said in done.stderr
