"""The border of the shell: every error leaves as one line and an exit code, judged by its kind.

| kind | line | exit code |
|---|---|---|
| an error of Beacon, of a provider, of a data test | its own text, one line a problem | 2 |
| of the operating system: files, disks, sockets | the path and the system's reason | 2 |
| of a database, Dagster, YAML, text that is not UTF-8 | whose it is, and the reason | 2 |
| anything else: a fault of the code | its type, text and place; `BEACON_TRACEBACK=1` shows the trace | 3 |

The kind of a foreign error is the library that its class, or a base of it, comes from: there is no list
of exceptions to keep up. No line and no trace shows a secret of the environment.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

TRACEBACK_VARIABLE = "BEACON_TRACEBACK"
LINE_LIMIT = 400  # characters of a foreign reason
PATH_LIMIT = 120  # characters of a path shown

_LIBRARIES: Mapping[str, str] = {
    "sqlalchemy": "a database",
    "sqlite3": "a database",
    "psycopg": "a database",
    "psycopg2": "a database",
    "alembic": "a database",
    "dagster_postgres": "a database",
    "dagster": "Dagster",
    "dagster_shared": "Dagster",
    "yaml": "a YAML file",
}


class BadInput(click.ClickException):
    """One clear line, or one for each problem, and exit code 2."""

    exit_code = 2


class CodeFault(click.ClickException):
    """What no one foresaw, in one line, and exit code 3."""

    exit_code = 3


class PlainGroup(click.Group):
    """A group of commands none of which ends in a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        # What a terminal or an argument cannot spell is escaped, rather than the end of the command.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        if not os.environ.get("COLUMNS", "").strip("0"):  # of no width: nothing at all would be written
            os.environ.pop("COLUMNS", None)
        before = os.umask(0o077)  # what a command, or a process that it starts, makes is its owner's alone
        try:
            with ended_by_signals():
                return super().main(*args, **extra)
        finally:
            os.umask(before)

    def invoke(self, ctx: click.Context) -> Any:
        with boundary():
            return super().invoke(ctx)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let `kill` and a closed terminal end a command as an error does, so that what it started ends with it:
    its daemon, its web server, its locks. The exit code is the shell's, 128 and the number of the signal.
    """

    def end(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only there a signal can be caught
        yield
        return
    numbers = [signal.SIGTERM, signal.SIGHUP]
    # What starts a command can have it go on without a terminal: `nohup` ignores SIGHUP.
    caught = {n: signal.signal(n, end) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)


@contextmanager
def boundary() -> Iterator[None]:
    """Turn every error inside into a BadInput or a CodeFault; what click makes of an end stays."""
    try:
        try:
            yield
        finally:
            _flush()
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            click.echo(_safe(traceback.format_exc().rstrip()), err=True)
        raise explained(error) from error


def explained(error: BaseException) -> click.ClickException:
    """What the shell says of an error, and how it exits."""
    if isinstance(error, click.ClickException):
        return error
    if isinstance(error, BaseExceptionGroup):
        return explained(error.exceptions[0])
    if _says_it_itself(error):
        return BadInput(_safe(_text_of(error)) or type(error).__name__)
    if isinstance(error, OSError):
        return BadInput(_of_the_system(error))
    if isinstance(error, UnicodeError):
        return BadInput(f"text that is not UTF-8: {reason_of(error)}")
    for library in _libraries_of(error):
        if library in _LIBRARIES:
            return BadInput(f"{_LIBRARIES[library]} cannot be used: {reason_of(error)}")
    return CodeFault(
        f"a fault of Beacon itself: {type(error).__name__}: {reason_of(error)} ({_place_of(error)}); "
        f"{TRACEBACK_VARIABLE}=1 shows the trace"
    )


def reason_of(error: BaseException) -> str:
    """Why an error of some library was raised, on one line, without secrets."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    original = getattr(error, "orig", None)  # the driver's own error inside SQLAlchemy's
    return _one_line(_text_of(original if isinstance(original, BaseException) else error), error)


def shortened(path: object) -> str:
    """A path for a message; the middle of one that is very long is left out."""
    text = _safe(os.fsdecode(path) if isinstance(path, bytes | os.PathLike) else str(path)).replace("\n", "?")
    half = PATH_LIMIT // 2
    return text if len(text) <= PATH_LIMIT else f"{text[:half]}…{text[-half:]}"


def _says_it_itself(error: BaseException) -> bool:
    from beacon_pipeline.errors import BeaconError
    from dbt_like_checks.errors import DataTestError
    from inference.contract import ProviderError

    return isinstance(error, (BeaconError, DataTestError, ProviderError))


def _of_the_system(error: OSError) -> str:
    path = error.filename2 or error.filename  # of two, what was copied to
    if error.errno == errno.ENOSPC:
        where = f" (writing {shortened(path)})" if path else ""
        return f"the disk is full{where}: make room, then run the command again"
    reason = _one_line(error.strerror or _text_of(error), error)
    return (
        f"{shortened(path)} cannot be used: {reason}" if path else f"the operating system refused: {reason}"
    )


def _one_line(text: str, error: BaseException) -> str:
    line = " ".join(_safe(text).split()) or type(error).__name__
    return line if len(line) <= LINE_LIMIT else f"{line[: LINE_LIMIT - 1]}…"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a class may fail to spell itself out: then its name has to do
        return ""


def _libraries_of(error: BaseException) -> list[str]:
    return [kind.__module__.partition(".")[0] for kind in type(error).__mro__]


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"


def _safe(text: str) -> str:
    from beacon_pipeline.environment import masked
    from beacon_pipeline.escaping import visible

    return visible(masked(text))


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        # Python would flush once more at its end, and complain there.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
