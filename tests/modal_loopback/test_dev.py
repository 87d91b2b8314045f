"""`make dev-modal`, as a person has it: a UI, a deployed catalog, and nothing left after Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.beacon_pipeline.instances import environment
from tests.browser import wait_until_served
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
# A child of a test runner may have inherited that Ctrl-C is ignored; a terminal's has not.
WITH_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('tests.modal_loopback.dev', run_name='__main__', alter_sys=True)"
)


def in_another_shell(env: dict[str, str], command: str) -> str:
    script = f". {env['DAGSTER_HOME']}/environment.sh; {command}"
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_the_ui_and_a_modal_until_ctrl_c(tmp_path: Path) -> None:
    env = environment(tmp_path)
    port = free_port()
    with (tmp_path / "said").open("wb") as said:
        dev = subprocess.Popen(
            [sys.executable, "-c", WITH_CTRL_C, "--port", str(port)],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            process_group=0,
        )
    try:
        wait_until_served(f"http://127.0.0.1:{port}", dev)
        assert in_another_shell(env, f"{Path(sys.executable).with_name('beacon')} doctor --json")
        control = in_another_shell(env, "printenv LOOPBACK_CONTROL").strip()
        fault = [{"fault": {"kind": "empty_text"}}]
        assert httpx.post(f"{control}/faults", json=fault, trust_env=False).status_code == 200
        deployed = httpx.get(f"{control}/events?event=deploy", trust_env=False).json()
        assert len(deployed[0]["classes"]) == 2 * 9
        family = psutil.Process(dev.pid).children(recursive=True)
        os.killpg(dev.pid, signal.SIGINT)
        assert dev.wait(PATIENCE_SECONDS) == 0, (tmp_path / "said").read_text()
        _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        assert alive == []
    finally:
        if dev.poll() is None:
            os.killpg(dev.pid, signal.SIGKILL)
            dev.wait()
    assert "beacon run" in (tmp_path / "said").read_text()
