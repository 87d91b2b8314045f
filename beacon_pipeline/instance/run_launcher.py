"""Dagster's default run launcher, and what it lacks: it knows whether the process of a run still lives.

Without that, a run whose process died together with its code server (a reboot, a killed container)
stays STARTED for ever and holds its place in the queue (dagster issues 1735 and 17403). And where the code
is on this machine, the process of a run starts warm (`warm_workers.py`), without the code server.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import dagster as dg
import structlog

# The interface of a run launcher and of a code server has no public names in Dagster.
from dagster._core.errors import DagsterUserCodeUnreachableError  # noqa: TID251
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus  # noqa: TID251
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value
from pydantic import ValidationError

from beacon_pipeline.instance.processes import (
    Machine,
    ProcessIdentity,
    ProcessState,
    this_process,
)
from beacon_pipeline.instance.warm_workers import CannotForkError, can_start_warm, start_worker
from beacon_pipeline.names import BLOCKS_TAG, CODE_SERVER_TAG, LAUNCHER_TAG, SHOWN_LAUNCHER_TAG

ANSWER_SECONDS = 5  # of a code server that is asked for one run
START_SECONDS = 60.0  # from the launch of a run to the first event of its process
ELSEWHERE_SECONDS = 120.0  # no code server serves a run, and its process cannot be looked at from here
LONGEST_RUN_SECONDS = 24 * 3600

log = structlog.get_logger()


class Served(StrEnum):
    """What the code server that started a run says."""

    YES = "yes"
    NO = "no"
    UNREACHABLE = "unreachable"


class BeaconRunLauncher(dg.DefaultRunLauncher):
    """Launches runs, warm where it can; finds the dead ones, and stops one without a code server.

    ``longest_run_seconds``, for each block that a run asks: one that lasts longer is ended, as the last
    resort. It fails, where Dagster's own `max_runtime` would cancel it: its calls go on, and the next run
    reads their answers.
    """

    def __init__(
        self,
        inst_data: ConfigurableClassData | None = None,
        longest_run_seconds: int = LONGEST_RUN_SECONDS,
    ) -> None:
        super().__init__(inst_data)
        self._longest_run_seconds = longest_run_seconds
        self._unserved_since: dict[str, float] = {}  # run id -> when no code server was seen to serve it
        self._said_that_it_cannot_fork = False

    @classmethod
    def config_type(cls) -> dict[str, dg.Field]:
        return {"longest_run_seconds": dg.Field(int, is_required=False, default_value=LONGEST_RUN_SECONDS)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> BeaconRunLauncher:
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        launcher = {LAUNCHER_TAG: this_process().model_dump_json()}
        self._instance.add_run_tags(context.dagster_run.run_id, launcher)
        if not self._launched_warm(context):
            super().launch_run(context)

    def _launched_warm(self, context: LaunchRunContext) -> bool:
        run = context.dagster_run
        if context.workspace is None or not can_start_warm(run):
            return False
        assert run.remote_job_origin is not None
        # As the default launcher: where the code does not load, the daemon tries again later.
        context.workspace.get_code_location(run.remote_job_origin.location_name)
        try:
            start_worker(self._instance, run)
        except CannotForkError as error:
            if not self._said_that_it_cannot_fork:
                log.warning("no process can be forked: the code server starts the run", error=str(error))
            self._said_that_it_cannot_fork = True
            return False
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Dagster's question of a started run: anything but RUNNING fails it."""
        why = self.why_dead(run) or self._why_too_long(run)
        if why is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, why)

    def why_dead(self, run: dg.DagsterRun) -> str | None:
        """Why nothing works on an unfinished run any more; None when something does or may.

        The code server comes first: it knows its runs, on whichever host it is.
        """
        served = served_by_code_server(run)
        if served is Served.YES:
            self._unserved_since.pop(run.run_id, None)
            return None
        worker = worker_of(self._instance, run)
        if worker is None:
            return _why_never_begun(self._instance, run)
        match worker.state():
            case ProcessState.ALIVE:
                return None
            case ProcessState.GONE:
                return f"its process {worker.pid} on {worker.machine.host} is gone"
            case ProcessState.ELSEWHERE:
                return self._why_lost(run, worker, served)

    def _why_lost(self, run: dg.DagsterRun, worker: ProcessIdentity, served: Served) -> str | None:
        """Patience with a run whose process is out of sight: its code server may come back."""
        since = self._unserved_since.setdefault(run.run_id, time.monotonic())
        if time.monotonic() - since < ELSEWHERE_SECONDS:
            return None
        says = "cannot be reached" if served is Served.UNREACHABLE else "does not know the run any more"
        host = worker.machine.host or "another host"
        return f"its process {worker.pid} is on {host}, whose code server {says} for {ELSEWHERE_SECONDS:g} s"

    def _why_too_long(self, run: dg.DagsterRun) -> str | None:
        record = self._instance.get_run_record_by_id(run.run_id)
        if record is None or record.start_time is None:
            return None
        longest = self._longest_run_seconds * int(run.tags.get(BLOCKS_TAG, 1))
        if time.time() - record.start_time <= longest:
            return None
        # It hangs: an interrupt would make it cancel its calls, if it could do anything at all.
        if worker := worker_of(self._instance, run):
            worker.send(signal.SIGKILL)
        return f"it lasts longer than {longest} s, which the catalog's limits never take"

    def terminate(self, run_id: str) -> bool:
        """Stop a run: through its code server, or else its process itself. Whether it was reached.

        A run that nothing works on any more ends as cancelled. Raises DagsterUserCodeUnreachableError
        where neither the code server nor the process can be reached.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        unreachable: DagsterUserCodeUnreachableError | None = None
        if is_warm := CODE_SERVER_TAG not in run.tags and launcher_of(run) is not None:
            self._instance.report_run_canceling(run)
        else:
            try:
                if super().terminate(run_id):  # type: ignore[no-untyped-call]
                    return True
            except DagsterUserCodeUnreachableError as error:
                unreachable = error  # the process may live without its code server, or be gone with it
        worker = worker_of(self._instance, run)
        # What a code server does, too: the run cancels its calls, and says that it was cancelled.
        if worker is not None and worker.send(signal.SIGINT):
            return True
        if why := self.why_dead(run):
            self._instance.report_run_canceled(run, f"Nothing was left to stop: {why}.")
            return True
        if unreachable is not None:
            raise unreachable
        # A process that has not begun looks at this first, and says that the run was cancelled.
        return is_warm and worker is None


def served_by_code_server(run: dg.DagsterRun) -> Served:
    """Whether the code server that started a run says that it works on it."""
    server = run.tags.get(CODE_SERVER_TAG)
    if server is None:
        return Served.NO
    where = json.loads(server)
    client = DagsterGrpcClient(
        port=where.get("port"),
        socket=where.get("socket"),
        host=where.get("host"),
        use_ssl=bool(where.get("use_ssl", False)),
    )
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), ANSWER_SECONDS)
    except DagsterUserCodeUnreachableError:
        return Served.UNREACHABLE
    return Served.YES if deserialize_value(answer, CanCancelExecutionResult).can_cancel else Served.NO


def worker_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> ProcessIdentity | None:
    """The process of a run, by the first event that it wrote; None before that.

    It is a fork's of the process that launched the run, or of a code server on a socket, which is a child of
    that: so they are on one machine. Of any other code server the machine is not known.
    """
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=20, ascending=True
    ).records
    for record in records:
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None:
            launcher = launcher_of(run)
            server = json.loads(run.tags.get(CODE_SERVER_TAG, "{}"))
            is_here = not server or "socket" in server
            machine = launcher.machine if launcher is not None and is_here else Machine("")
            return ProcessIdentity(machine=machine, pid=int(str(pid.value)), seen_at=record.timestamp)
    return None


def launcher_of(run: dg.DagsterRun) -> ProcessIdentity | None:
    """The process that launched a run; None for a run that another launcher launched, or none yet."""
    try:
        kept = run.tags.get(LAUNCHER_TAG) or run.tags.get(SHOWN_LAUNCHER_TAG, "")
        return ProcessIdentity.model_validate_json(kept)
    except ValidationError:
        return None


def _why_never_begun(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why a run without a process will not get one: who launched it is gone, or gave up on it."""
    launcher = launcher_of(run)
    record = instance.get_run_record_by_id(run.run_id)
    if launcher is not None and launcher.state() is ProcessState.GONE:
        return f"process {launcher.pid} on {launcher.machine.host}, which launched it, is gone"
    since = launcher.seen_at if launcher else record.update_timestamp.timestamp() if record else time.time()
    if time.time() - since < START_SECONDS:
        return None
    return f"it was launched {time.time() - since:.0f} s ago, and no process of it has begun"
