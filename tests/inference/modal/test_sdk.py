"""What is relied on of the Modal SDK that it does not promise. Read this first when `modal` is bumped."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from importlib.resources import files
from types import ModuleType

import pytest

from inference.modal.exceptions import ENDINGS, READS_RESULT, RESULT, TRUTHS

USED_BY = "inference/modal/exceptions.py"


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _source(*path: str) -> str:
    place = files("modal").joinpath(*path)
    return place.read_text(encoding="utf-8") if place.is_file() else ""


def _reader_of_results() -> Callable[..., object] | None:
    return getattr(_module("modal._utils.function_utils"), READS_RESULT, None)


def _its_variables() -> tuple[str, ...]:
    reader = _reader_of_results()
    return inspect.unwrap(reader).__code__.co_varnames if reader else ()


# what is relied on -> whether it is there, who uses it, and what goes wrong silently without it
RELIED_ON: dict[str, tuple[Callable[[], bool], str, str]] = {
    f"the function `{READS_RESULT}`": (
        lambda: _reader_of_results() is not None,
        USED_BY,
        "a container's exception without a traceback is not recognized, and its call stays unreachable",
    ),
    f"the name `{RESULT}` in `{READS_RESULT}`": (
        lambda: RESULT in _its_variables(),
        USED_BY,
        "cancelled calls, those out of memory and those that could not start are plain failures",
    ),
    "the container's id before the files of its traceback": (
        lambda: "<ta-[" in _source("_traceback.py"),
        USED_BY,
        "a container's TimeoutError looks like a pending call",
    ),
    "the statuses of a result": (
        lambda: {"TERMINATED", "INIT_FAILURE", "KERNEL_OOM_KILL"} <= _statuses(),
        USED_BY,
        "cancelled calls, those out of memory and those that could not start are plain failures",
    ),
    "the texts of its exceptions": (
        lambda: all(_is_raised(row.begins) for row in TRUTHS if row.begins),
        USED_BY,
        "a result that cannot be decoded is taken for one that could not be fetched, or the reverse",
    ),
    "the server's words at the end of a look-up that failed": (
        lambda: (
            "Lookup failed for Cls" in _source("cls.py") and '{env_context}: {exc}."' in _source("cls.py")
        ),
        "inference/modal/connection.py (is_of_environment)",
        "an environment that is not there is taken for a deployment that is not",
    ),
    "what a look-up brings, for `info()` without a request": (
        lambda: "_function_info" in _source("cls.py"),
        "inference/modal/provider.py (inspect)",
        "each deployment is asked for once more",
    ),
    "the setting MODAL_PAYLOAD_FORMAT": (
        lambda: "payload_format" in _source("config.py"),
        "inference/modal/provider.py",
        "replies are unpickled, and a remote TimeoutError looks like a pending call",
    ),
    "the container's entrypoint": (
        lambda: files("modal").joinpath("_container_entrypoint.py").is_file(),
        "tests/modal_loopback",
        "no container runs in the tests",
    ),
}


def _statuses() -> set[str]:
    status = getattr(getattr(_module("modal_proto.api_pb2"), "GenericResult", None), "GenericStatus", None)
    names = status.keys() if status else ()
    return {str(name).removeprefix("GENERIC_STATUS_") for name in names}


def _is_raised(begins: str) -> bool:
    places = (("_utils", "function_utils.py"), ("_serialization.py",))
    return any(f'"{begins}' in _source(*place) for place in places)


@pytest.mark.parametrize("name", RELIED_ON)
def test_what_is_relied_on_is_there(name: str) -> None:
    is_there, used_by, without = RELIED_ON[name]
    version = importlib.metadata.version("modal")
    assert is_there(), f"modal {version} no longer has {name}. {used_by} relies on it: without it, {without}."


def test_every_status_that_is_read_is_one_of_modals() -> None:
    from modal_proto.api_pb2 import GenericResult

    assert set(ENDINGS) <= set(GenericResult.GenericStatus.values())
