"""What the SDK puts on the wire: arguments and results as CBOR or pickle, outcomes as protobuf."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cbor2
from modal_proto import api_pb2

from tests.modal_loopback.ids import new_id

Result = api_pb2.GenericResult
DataFormat: TypeAlias = api_pb2.DataFormat.ValueType
INLINE_BYTES = 8 * 1024  # larger payloads of a spawned call travel as blobs


@dataclass(frozen=True)
class Outcome:
    """How a call ended: the result message and how its data is encoded."""

    result: Result
    data_format: DataFormat = api_pb2.DATA_FORMAT_UNSPECIFIED

    @property
    def name(self) -> str:
        """``success``, ``failure``, ``terminated``, ``timeout`` or ``internal_failure``."""
        name: str = Result.GenericStatus.Name(self.result.status)
        return name.removeprefix("GENERIC_STATUS_").lower()


def success(value: object, data_format: DataFormat) -> Outcome:
    """The function returned."""
    result = Result(status=Result.GENERIC_STATUS_SUCCESS, data=encode(value, data_format))
    return Outcome(result, data_format)


def failure(error: BaseException, data_format: DataFormat) -> Outcome:
    """The function raised: as a pickle the exception itself travels, as CBOR only its words."""
    result = Result(
        status=Result.GENERIC_STATUS_FAILURE,
        exception=repr(error),
        traceback="".join(traceback.format_exception(error)),
    )
    if data_format == api_pb2.DATA_FORMAT_PICKLE:
        result.data = pickle.dumps(error)
    return Outcome(result, data_format)


def crashed_at_start(error: BaseException, *, traced: bool = True) -> Outcome:
    """A container raised before it took an input: its exception travels as a pickle whatever the payloads
    are, and where it can its traceback, with the container's id before each file."""
    frame = {
        "f_globals": {},
        "f_locals": {},
        "f_code": {"co_filename": f"<{new_id('ta')}>:/root/app.py", "co_name": "enter"},
        "f_lineno": 1,
    }
    result = Result(
        status=Result.GENERIC_STATUS_FAILURE,
        exception=repr(error),
        data=pickle.dumps(error),
    )
    if traced:
        result.serialized_tb = pickle.dumps({"tb_frame": frame, "tb_lineno": 1, "tb_next": None})
        result.tb_line_cache = pickle.dumps({})
    return Outcome(result)


def ended(status: Result.GenericStatus.ValueType, words: str) -> Outcome:
    """The platform ended the call; no code of the function says how."""
    return Outcome(Result(status=status, exception=words))


def terminated() -> Outcome:
    """Somebody cancelled the call."""
    return ended(Result.GENERIC_STATUS_TERMINATED, "the function call was cancelled")


def timed_out(seconds: float) -> Outcome:
    """The function ran out of its time."""
    return ended(Result.GENERIC_STATUS_TIMEOUT, f"the function ran out of its {seconds:g} seconds")


def worker_lost(words: str = "the worker was lost") -> Outcome:
    """The container is gone, and with it the input."""
    return ended(Result.GENERIC_STATUS_INTERNAL_FAILURE, words)


def encode(value: object, data_format: DataFormat) -> bytes:
    """Serialize as the SDK does."""
    return cbor2.dumps(value) if data_format == api_pb2.DATA_FORMAT_CBOR else pickle.dumps(value)


def decode(data: bytes, data_format: DataFormat) -> Any:
    """Undo `encode`, of a client on this machine."""
    return cbor2.loads(data) if data_format == api_pb2.DATA_FORMAT_CBOR else pickle.loads(data)


@dataclass(frozen=True)
class Arguments:
    """What a function was called with. Both are empty when they cannot be decoded here."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, data: bytes, data_format: DataFormat) -> Arguments:
        # A pickle may need modules that only the client and the container have.
        with contextlib.suppress(Exception):
            args, kwargs = decode(data, data_format)
            return cls(tuple(args), dict(kwargs))
        return cls()

    @property
    def request_id(self) -> str | None:
        """The ``id`` of the first argument when it is a mapping that has one."""
        first = next(iter((*self.args, *self.kwargs.values())), None)
        found = first.get("id") if isinstance(first, Mapping) else None
        return found if isinstance(found, str) else None
