"""One daemon for all commands of a test, as `beacon dev` has it."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import ParamSpec, TypeVar
from unittest import mock

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.instance.daemon import Daemon
from beacon_pipeline.instance.workspace import opened_workspace
from beacon_pipeline.jobs import dagster_api
from tests.beacon_pipeline.instances import beacon_here, opened

P = ParamSpec("P")
Done = TypeVar("Done")


@contextmanager
def daemon_of(env: dict[str, str]) -> Iterator[None]:
    """A daemon that works for this instance, and that the commands in it use; those of this process share a
    code server too. Each would start its own, for seconds of a processor each time."""
    assert beacon_here(env, "jobs").exit_code == 0  # now there is an instance
    with (
        mock.patch.dict(os.environ, env, clear=True),
        opened(env) as instance,
        Daemon(instance, load_catalog()),
        opened_workspace(instance) as workspace,
        mock.patch.object(dagster_api, "opened_workspace", return_value=nullcontext(workspace)),
    ):
        yield


@contextmanager
def meanwhile(do: Callable[P, Done], *arguments: P.args, **options: P.kwargs) -> Iterator[Future[Done]]:
    """Something that is done in a thread while a command works in this one; at the end it is done."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(do, *arguments, **options)
