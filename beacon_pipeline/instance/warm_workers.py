"""Run workers that start warm: forks of a process that has imported the libraries which each of them needs.

Dagster's code server starts the worker of a run by `spawn`, and lets no one choose: a second of CPU for
imports, and 100 MB. Here the same function of Dagster's runs in a fork from multiprocessing's fork server: a
process of its own that imported `libraries.py` and has neither threads nor connections. What the code server
does for its children is here too: it says when one cannot begin, and ends the run of one that died.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import dagster as dg

# A code server's interface and what it runs have no public names in Dagster.
from dagster._core.errors import DagsterLaunchFailedError  # noqa: TID251
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin  # noqa: TID251
from dagster._grpc.impl import IPCErrorMessage, start_run_in_subprocess
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import serialize_value
from dagster._utils import get_run_crash_explanation
from dagster._utils.hosted_user_process import recon_job_from_origin

from beacon_pipeline.instance.processes import started_at

BEGIN_SECONDS = 60.0  # as long as Dagster waits for a code server that starts a run

_forks = multiprocessing.get_context("forkserver")
_looking = threading.Lock()  # at exit codes: each can be read once, and each start looks at all


class CannotForkError(Exception):
    """No process could be forked; nothing was done for the run."""


class _Worker(ForkServerProcess):
    def join(self, timeout: float | None = None) -> None:
        """At its exit a daemon waits for no run, as with those of a code server."""


def can_start_warm(run: dg.DagsterRun) -> bool:
    """Whether the code of a run is here and for this Python: a code server of this process serves it.

    On Linux alone: libraries of macOS may start threads, and are unsafe in a fork
    (https://docs.python.org/3/library/multiprocessing.html, "Contexts and start methods").
    """
    origin, code = run.remote_job_origin, run.job_code_origin
    if (
        sys.platform != "linux"
        or origin is None
        or code is None
        or code.repository_origin.container_image is not None
    ):
        return False
    location = origin.repository_origin.code_location_origin
    is_here = isinstance(location, ManagedGrpcPythonEnvCodeLocationOrigin)
    return is_here and code.executable_path == sys.executable


def start_worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Start the process of a run that `can_start_warm`, and return when it has begun.

    Raises CannotForkError, and DagsterLaunchFailedError for a process that ended, or is ended, before that.
    """
    _forks.set_forkserver_preload(["beacon_pipeline.instance.libraries"])
    here, there = _forks.Pipe()
    worker = _Worker(target=_work, args=(there,), name=f"run {run.run_id}")
    with here:
        try:
            with there, _looking:
                worker.start()
            here.send(_order(instance, run))
        except (OSError, EOFError) as error:  # a worker that gets no order does nothing
            raise CannotForkError(f"{type(error).__name__}: {error}") from error
        _await_begin(here, worker)
    threading.Thread(target=_await_end, args=(instance, run.run_id, worker), daemon=True).start()


def _order(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Any, ...]:
    origin, code, ref = run.remote_job_origin, run.job_code_origin, instance.get_ref()
    assert origin is not None
    assert code is not None
    arguments = ExecuteExternalJobArgs(job_origin=origin, run_id=run.run_id, instance_ref=ref)
    secrets = ref.secrets_loader
    files = secrets.get_secrets_for_environment(origin.location_name) if secrets else {}
    return serialize_value(arguments), recon_job_from_origin(code), {**os.environ, **files}


def _work(launcher: Connection) -> None:
    """The process of a run, from its begin to its end."""
    try:
        arguments, job, env = launcher.recv()
    except EOFError:
        return
    sys.path[0] = str(Path.cwd())  # as in a code server, which is a `python -m dagster`
    os.environ.update(env)
    # `terminate` interrupts by a signal, and does not set this. Nothing of this kind is left after a kill.
    interrupt = multiprocessing.get_context("fork").Event()
    try:
        start_run_in_subprocess(arguments, job, _First(launcher), interrupt)  # type: ignore[no-untyped-call]
    finally:
        atexit._run_exitfuncs()  # a fork server does so itself since Python 3.13


class _First:
    """What Dagster takes for a queue, for the first message of a run: that it begins, or why it cannot."""

    def __init__(self, launcher: Connection) -> None:
        self._launcher = launcher

    def put(self, message: object) -> None:
        if not self._launcher.closed:
            with self._launcher, suppress(OSError):  # the launcher is gone, and the run goes on
                self._launcher.send(message)


def _await_begin(here: Connection, worker: _Worker) -> None:
    try:
        message = here.recv() if here.poll(BEGIN_SECONDS) else None
    except EOFError:
        wait([worker.sentinel], BEGIN_SECONDS)
        raise DagsterLaunchFailedError(_how_it_ended(worker)) from None  # type: ignore[no-untyped-call]
    if isinstance(message, IPCErrorMessage):
        raise DagsterLaunchFailedError(message.message, message.serializable_error_info)  # type: ignore[no-untyped-call]
    if message is None:
        worker.kill()
        late = f"The process of {worker.name} did not begin within {BEGIN_SECONDS:g} s"
        raise DagsterLaunchFailedError(late)  # type: ignore[no-untyped-call]


def _await_end(instance: dg.DagsterInstance, run_id: str, worker: _Worker) -> None:
    wait([worker.sentinel])
    how = _how_it_ended(worker)
    run = instance.get_run_by_id(run_id)
    # Where only the fork server died, the worker goes on, and run monitoring looks after it.
    if run is not None and not run.is_finished and started_at(worker.pid or 0) is None:
        instance.report_engine_event(how, run)
        instance.report_run_failed(run)


def _how_it_ended(worker: _Worker) -> str:
    with _looking:
        return get_run_crash_explanation(f"The process of {worker.name}", worker.exitcode or 0)
