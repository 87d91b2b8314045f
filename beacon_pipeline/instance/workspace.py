"""The code locations that the workspace file names, opened in this process as the web server opens them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

# Of a workspace Dagster has no public names.
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext  # noqa: TID251
from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: TID251

from beacon_pipeline import environment

LOG = "code_server.log"  # in the instance folder: what code servers write that are started for a launch


@contextmanager
def opened_workspace(instance: dg.DagsterInstance) -> Iterator[WorkspaceRequestContext]:
    """The workspace of this environment, with a code server of its own for each location that has none.

    A location that does not load keeps its error as its entry. Raises SettingsError without a workspace file.
    """
    target = WorkspaceFileTarget([str(environment.workspace_file())])
    with ExitStack() as stack:
        with _output_into(environment.home() / LOG), warnings.catch_warnings():
            # A location that does not load is an error for whoever asks for it.
            warnings.simplefilter("ignore")
            workspace = WorkspaceProcessContext(instance, target, code_server_log_level="WARNING")
            stack.enter_context(workspace)
        yield workspace.create_request_context()


@contextmanager
def _output_into(path: Path) -> Iterator[None]:
    """Let what is written meanwhile go to the end of a file, and what a process started meanwhile writes.

    Dagster starts a code server with the output of this process, which may be a command's JSON.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as file, ExitStack() as stack:
        for descriptor in (1, 2):
            kept = os.dup(descriptor)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, descriptor)
            os.dup2(file.fileno(), descriptor)
        yield
        sys.stdout.flush()
        sys.stderr.flush()
