"""The real daemon: alerts arrive once, it is killed, and what healed meanwhile is told once by the next."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from beacon_pipeline.instance.folder import console_script
from beacon_pipeline.monitoring.alerts import state as memories
from tests.beacon_pipeline.instances import environment
from tests.beacon_pipeline.monitoring.alerts.receivers import mail_server, webhook
from tests.beacon_pipeline.scripted import Behaviour
from tests.beacon_pipeline.test_definitions import Location, by_prompt
from tests.waiting import end_of, wait_for


@contextmanager
def daemon(env: dict[str, str], log: Path) -> Iterator[None]:
    """Dagster's daemon with its code server, killed at the end without a chance to tidy up."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [console_script("dagster-daemon"), "run", "-w", env["BEACON_WORKSPACE"]],
            env=env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_exactly_once_across_a_killed_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = environment(tmp_path, location="tests.beacon_pipeline.locations.alarming")
    home, log = Path(env["DAGSTER_HOME"]), tmp_path / "daemon.log"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nrun_queue: {max_concurrent_runs: 1}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.delenv("BEACON_DATABASE_URL", raising=False)
    with (
        webhook() as hook,
        mail_server() as (mailbox, mail_url),
        dg.DagsterInstance.from_config(str(home)) as instance,
    ):
        env |= {"BEACON_ALERT_URLS": f"{hook.url}, {mail_url}", "BEACON_ALERT_INTERVAL_SECONDS": "1"}

        def told(count: int) -> Callable[[], bool]:
            return lambda: len(hook.titles) >= count <= len(mailbox.titles)

        def all_delivered() -> bool:
            return not memories.load(instance).outbox

        location = Location(instance, Behaviour(results=by_prompt), Behaviour())
        run = location.ask()
        (home / "broken").touch()
        with daemon(env, log):
            wait_for("alerts", told(3), lambda: end_of(log))
            wait_for("delivery", all_delivered, lambda: end_of(log))
        job = f"(job run-{run.run_id})"
        assert sorted(hook.titles) == [
            "[Beacon] 1 automation failing",
            f"[Beacon] 1 execution given up after the last attempt {job}",
            "[Beacon] 1 question that a model answered without any text",
        ]
        (failing,) = (m["message"] for m in hook.received if "automation" in m["title"])
        assert "- sensor shaky: RuntimeError: the file is there ‹!channel›" in failing
        assert "/locations/beacon/sensors/shaky" in failing

        (home / "broken").unlink()
        location.ask(**{"dagster/root_run_id": run.run_id, "dagster/parent_run_id": run.run_id})
        location.ask()
        with daemon(env, log):
            wait_for("news of healing", told(5), lambda: end_of(log))
            wait_for("delivery", all_delivered, lambda: end_of(log))
        assert sorted(hook.titles[3:]) == [
            "[Beacon] resolved: automations failing",
            f"[Beacon] resolved: executions given up after the last attempt {job}",
        ]
        assert sorted(mailbox.titles) == sorted(hook.titles)
        assert "SECRETTOKEN" not in log.read_text()
