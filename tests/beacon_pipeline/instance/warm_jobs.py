"""Runs for `test_warm_workers.py`: one that says where it runs, and one that waits until it is stopped."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import dagster as dg


@dg.op
def say() -> None:
    said = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "cwd": str(Path.cwd()),
        "first_path": sys.path[0],
        "variable": os.environ.get("BEACON_TEST_VARIABLE"),
        "sigint": signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL),
    }
    Path(os.environ["BEACON_TEST_SAID"]).write_text(json.dumps(said))


@dg.op
def wait() -> None:
    Path(os.environ["BEACON_TEST_SAID"]).write_text(json.dumps({"pid": os.getpid(), "parent": os.getppid()}))
    go_on = Path(os.environ["BEACON_TEST_SAID"] + ".go")
    while go_on.parent.exists() and not go_on.exists():
        time.sleep(0.05)


@dg.job(executor_def=dg.in_process_executor)
def saying() -> None:
    say()


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    wait()


@dg.repository
def jobs() -> list[dg.JobDefinition]:
    return [saying, waiting]
