"""What the shell does with an export: write it, check it, ask it again."""

import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from beacon_pipeline.cli import main
from beacon_pipeline.ledger import Ledger
from tests.beacon_pipeline.findings.asked import an_answered_study
from tests.beacon_pipeline.findings.simulated import a_claim, a_study

ROOT = Path(__file__).parents[3]
STUDY = a_study(a_claim("prompt"), questions=3, blocks=6, samples=2)
Shell = Callable[..., Result]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEACON_DATABASE_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("BEACON_PROVIDER", "")  # what the command sets is taken back
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        ledger.migrate()
        an_answered_study(ledger, STUDY, lambda e: "I'm sorry, no." if e.arm == "strict" else "It is.")
    return lambda *line: CliRunner().invoke(main, list(map(str, line)))


def test_an_export_is_written_checked_and_asked_again_of_another_provider(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "export.zip"
    assert shell("export", "--to", target).output == f"{target}\n"
    with monkeypatch.context() as elsewhere:  # no instance is needed, and none is made
        elsewhere.setenv("DAGSTER_HOME", str(tmp_path / "none"))
        elsewhere.setenv("BEACON_DATABASE_URL", "sqlite:////nowhere/ledger.db")
        assert shell("verify", target).exit_code == 0
    assert not (tmp_path / "none").exists()
    planned = shell("replicate", target, "--check", "--provider", "local")
    assert planned.output.startswith("s-replication: 1 claims, "), planned.output
    for provider, line in (
        ("nowhere", "no provider 'nowhere'"),
        ("local", "this catalog has no question q00"),
    ):
        refused = shell("replicate", target, "--provider", provider)
        assert refused.exit_code == 2
        assert line in refused.stderr


@pytest.mark.long
def test_inspects_own_library_reads_its_logs(shell: Shell, tmp_path: Path) -> None:
    python = ROOT / ".venv-inspect" / "bin" / "python"
    assert python.exists(), "`make test-long` makes this environment"
    logs = tmp_path / "logs"
    command = [python.with_name("beacon"), "export", "s", "--inspect", "--to", logs]
    subprocess.run(command, check=True, capture_output=True)
    code = (
        "import json, sys; from inspect_ai.log import read_eval_log; log = read_eval_log(sys.argv[1]);"
        "print(json.dumps([log.status, log.eval.model, log.results.total_samples, "
        "[[s.id, s.epoch, s.messages[0].text, s.output.completion, s.scores['label'].value] "
        "for s in log.samples]]))"
    )
    assert sorted(path.name for path in logs.iterdir()) == ["eu-m.eval", "us-m.eval"]
    done = subprocess.run([python, "-c", code, logs / "us-m.eval"], check=True, capture_output=True)
    status, model, total, samples = json.loads(done.stdout)
    assert (status, model, total, len(samples)) == ("success", "us/m", 72, 72)
    assert ["q01 · plain", 12, "s", "It is.", "substantive"] in samples
    assert ["q02 · strict", 1, "s", "I'm sorry, no.", "refusal"] in samples


@pytest.mark.skipif(find_spec("inspect_ai") is not None, reason="Inspect's library is here")
def test_without_inspects_library_it_says_how_to_get_it(shell: Shell, tmp_path: Path) -> None:
    refused = shell("export", "--inspect", "--to", tmp_path / "logs")
    assert refused.exit_code == 2
    assert "pip install 'beacon-pipeline[inspect]'" in refused.stderr
    assert not (tmp_path / "logs").exists()
