"""The border to the database: engines, transactions that cannot write, time limits, one-line errors.

Every query of a test runs in a transaction that the database itself holds to reading, and as a
single statement, so that an owner's ``where`` cannot end it and begin another.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from dbt_like_checks.database.aggregates import aggregates
from dbt_like_checks.database.dialects import (
    DEVIATION_FUNCTION,
    LOGARITHM_FUNCTION,
    NO_TIME_FUNCTION,
    REGEX_FUNCTION,
    Dialect,
)
from dbt_like_checks.database.secrets import masked, secrets_of, shown_address
from dbt_like_checks.database.watch import Watch
from dbt_like_checks.errors import DatabaseUnusable, QueryStopped

CONNECT_SECONDS = 10
LOCK_SECONDS = 5.0  # at most, that another's lock on a SQLite file is waited for
TIMEOUT_SECONDS = 300.0  # of one test's query, unless given otherwise
REGEX_SECONDS = 1.0  # of one regular expression on one value, on SQLite
PROGRESS_STEPS = 10_000  # of SQLite's machine between two looks at the clock
OPENED_TO_READ = "dbt_like_checks_opened_to_read"  # on a DuckDB engine that cannot write at all
PRIMARY_CODE = 0xFF  # of SQLite's codes, which hold more in the bits above
TIMED_OUT = "57014"  # PostgreSQL's code of a statement that ran out of time


def open_engine(
    url: str | sa.URL,
    *,
    writable: bool = False,
    threads: int = 1,
    timeout: float | None = TIMEOUT_SECONDS,
) -> sa.Engine:
    """An engine for a database that exists; a file is opened to read only unless ``writable``.

    ``timeout``: that of its queries, which bounds the wait for another's lock on a SQLite file.

    Raises DatabaseUnusable, which shows neither the password nor another secret of the URL.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port that is no number
        raise DatabaseUnusable("not a database URL: write for example sqlite:///file.db") from None
    given = shown_address(parsed.set(query={}))
    dialect = Dialect.of(parsed.get_backend_name())
    options: dict[str, Any] = {}
    match dialect:
        case Dialect.POSTGRESQL:
            # psycopg 3 whatever the URL says: it can refuse several statements in one.
            parsed = parsed.set(drivername="postgresql+psycopg")
            options = {
                "connect_args": {"connect_timeout": CONNECT_SECONDS},
                "pool_size": threads,
            }
        case Dialect.SQLITE:
            wait = LOCK_SECONDS if timeout is None else min(timeout, LOCK_SECONDS)
            options = {"connect_args": {"timeout": wait}}
            if is_file(parsed):
                mode = "rw" if writable else "ro"
                path = f"file:{quote(str(parsed.database))}"
                parsed = parsed.set(database=path, query={"mode": mode, "uri": "true"})
        case Dialect.DUCKDB:
            if is_file(parsed):
                options = {
                    "connect_args": {"read_only": not writable},
                    "max_overflow": -1,  # a connection for each thread, however many
                    "execution_options": {OPENED_TO_READ: not writable},
                }
            # Every transaction here ends before its connection goes back; to DuckDB, a rollback
            # where there is none is an exception, which costs as much as a small query.
            options["pool_reset_on_return"] = None
    try:
        engine = sa.create_engine(parsed, **options)
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise DatabaseUnusable(f"{dialect.value} needs its driver installed: {error}") from None
    except (sa.exc.ArgumentError, ValueError) as error:
        secrets = secrets_of(parsed.render_as_string(hide_password=False))
        raise DatabaseUnusable(f"{given}: {masked(str(error), secrets)}") from None
    try:
        with engine.connect():
            pass
    # ValueError and ArgumentError: an option that is spelled wrong shows only when connecting.
    except (sa.exc.DBAPIError, sa.exc.ArgumentError, ValueError) as error:
        engine.dispose()
        raise DatabaseUnusable(f"{given}: {explain(error, engine)}") from None
    return engine


def is_file(url: sa.URL) -> bool:
    """Whether a SQLite or DuckDB URL names a file rather than memory."""
    return bool(url.database) and url.database != ":memory:"


class Reader:
    """Transactions on which nothing can be written and no statement outlives ``timeout`` seconds.

    Any number of them, one after the other or in several threads, until it is closed. Raises
    DatabaseUnusable where the kind of database is not supported.
    """

    def __init__(self, engine: sa.Engine, timeout: float | None = TIMEOUT_SECONDS) -> None:
        self.engine = engine
        self.timeout = timeout
        self.dialect = Dialect.of(engine.dialect.name)
        self._connecting = _single_statements(engine) if self.dialect is Dialect.DUCKDB else engine
        # A DuckDB file that is opened to read changes for no one, and beginning and ending a transaction
        # takes as long as a small query: there each thread keeps its own.
        self._keeps = bool(engine.get_execution_options().get(OPENED_TO_READ))
        self._of_thread = threading.local()
        self._kept: list[sa.Connection] = []
        if self._keeps:
            sa.event.listen(self._connecting, "handle_error", self._note_error)
        self._watch = Watch(timeout) if timeout is not None else None
        self._running: set[Any] = set()  # the drivers' connections
        self._lock = threading.Lock()

    def interrupt(self) -> None:
        """Ends the queries that are running now, with an error; from any thread."""
        # Under the lock: what has ended is not interrupted, nor what follows it on its connection.
        with self._lock:
            for driver in self._running:
                with suppress(Exception):  # its connection may be gone
                    driver.cancel_safe() if self.dialect is Dialect.POSTGRESQL else driver.interrupt()

    def close(self) -> None:
        """No more of them begin."""
        for connection in self._kept:
            _quietly_do(connection.close)
        if self._watch is not None:
            self._watch.close()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection in such a transaction, given back when the block ends."""
        with self._lent() as connection, ExitStack() as undo:
            undo.enter_context(self._interruptible(connection.connection.driver_connection))
            match self.dialect:
                case Dialect.POSTGRESQL:
                    _prepare_postgresql(connection, self.timeout, undo, read_only=True)
                case Dialect.SQLITE:
                    _prepare_sqlite(connection, self.timeout, undo)
                    connection.exec_driver_sql("PRAGMA query_only = ON")
                    undo.callback(_quietly, connection, "PRAGMA query_only = OFF")
                    _begin_sqlite(connection)
                case Dialect.DUCKDB:
                    if not self._keeps:
                        connection.exec_driver_sql("ROLLBACK")
                        connection.exec_driver_sql("BEGIN TRANSACTION READ ONLY")
                    _limit_duckdb(connection, self._watch, undo)
            try:
                yield connection
            finally:
                if not self._keeps or self._of_thread.failed:
                    _quietly_do(connection.rollback)

    @contextmanager
    def _lent(self) -> Iterator[sa.Connection]:
        if not self._keeps:
            with self._connecting.connect() as connection:
                yield connection
            return
        if not hasattr(self._of_thread, "connection"):
            self._of_thread.connection = self._connecting.connect()
            self._kept.append(self._of_thread.connection)
        self._of_thread.failed = False
        yield self._of_thread.connection

    def _note_error(self, _context: sa.ExceptionContext) -> None:
        # In a transaction that had an error DuckDB answers nothing more.
        self._of_thread.failed = True

    @contextmanager
    def _interruptible(self, driver: Any) -> Iterator[None]:
        with self._lock:
            self._running.add(driver)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(driver)


@contextmanager
def writing(engine: sa.Engine, timeout: float | None = TIMEOUT_SECONDS) -> Iterator[sa.Connection]:
    """A connection in a transaction that is kept when the block ends well."""
    kind = Dialect.of(engine.dialect.name)
    if kind is Dialect.DUCKDB:
        engine = _single_statements(engine)
    with engine.connect() as connection, ExitStack() as undo:
        match kind:
            case Dialect.POSTGRESQL:
                _prepare_postgresql(connection, timeout, undo, read_only=False)
            case Dialect.SQLITE:
                _prepare_sqlite(connection, timeout, undo)
                # The driver begins no transaction for a CREATE; the old table goes only for a new one.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            case Dialect.DUCKDB:
                watch = undo.enter_context(closing(Watch(timeout))) if timeout is not None else None
                _limit_duckdb(connection, watch, undo)
        yield connection
        connection.commit()


def explain(error: BaseException, engine: sa.Engine, timeout: float | None = None) -> str:
    """What went wrong in one line, without secrets."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
    text = str(original).strip() or type(original).__name__
    if _ran_out_of_time(original, text):
        limit = f"{timeout:g} s" if timeout is not None else "the time limit"
        return f"stopped after {limit}: the query takes too long (--timeout gives it more)"
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        text = f"the connection was lost: {text}"
    address = engine.url.render_as_string(hide_password=False)
    return masked(text.splitlines()[0].strip(), secrets_of(address))


def is_locked(error: sa.exc.DBAPIError) -> bool:
    """Whether another's lock on a SQLite file was waited for in vain."""
    code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return bool(code & PRIMARY_CODE == sqlite3.SQLITE_BUSY)


def _ran_out_of_time(original: BaseException, text: str) -> bool:
    if getattr(original, "sqlstate", None) == TIMED_OUT:
        return True
    lowered = text.lower()
    return lowered == "interrupted" or lowered.startswith("interrupt error")


def _prepare_postgresql(
    connection: sa.Connection, timeout: float | None, undo: ExitStack, *, read_only: bool
) -> None:
    driver: Any = connection.connection.driver_connection
    if not hasattr(driver, "prepare_threshold"):
        raise DatabaseUnusable("PostgreSQL is reached through psycopg 3 here: postgresql+psycopg://…")
    settings = {"transaction_read_only": "on"} if read_only else {}
    if timeout is not None:
        settings["statement_timeout"] = str(max(int(timeout * 1000), 1))
    if settings:
        # For this transaction, in one journey to the server.
        chosen = [sa.func.set_config(name, value, True) for name, value in settings.items()]
        connection.execute(sa.select(*chosen))
    # Prepared, a text that holds several statements is refused by the server.
    undo.callback(setattr, driver, "prepare_threshold", driver.prepare_threshold)
    driver.prepare_threshold = 0


def _prepare_sqlite(connection: sa.Connection, timeout: float | None, undo: ExitStack) -> None:
    driver: Any = connection.connection.driver_connection
    undo.enter_context(_functions(driver))
    if timeout is not None:
        deadline = time.monotonic() + timeout
        driver.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS_STEPS)
        undo.callback(driver.set_progress_handler, None, 0)


def _begin_sqlite(connection: sa.Connection) -> None:
    # The driver begins no transaction for a SELECT; the count and the rows shown belong together.
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN")


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> Any:
    # The module has a cache of its own, but asking it costs three times the search.
    import regex  # only SQLite needs it

    return regex.compile(pattern)


@contextmanager
def _functions(driver: Any) -> Iterator[None]:
    """Gives SQLite what it lacks, and errors for what is no time, for as long as the block lasts."""
    faults: list[str] = []

    def matches(text: object, pattern: str) -> bool | None:
        if text is None:
            return None
        try:
            return _compiled(pattern).search(str(text), timeout=REGEX_SECONDS) is not None
        except TimeoutError:
            # SQLite would only say that a function raised an exception.
            faults.append(f"stopped: the regular expression {pattern!r} takes too long on one value")
            raise

    def no_time(value: object) -> None:
        faults.append(
            f"{value!r} cannot be read as a time: SQLite needs texts such as '2024-01-31 10:00:00';"
            " of seconds since 1970 write datetime(column, 'unixepoch')"
        )
        raise ValueError

    def logarithm(value: Any) -> float | None:
        try:
            return None if value is None else math.log(value)
        except (TypeError, ValueError):
            faults.append(f"{value!r} has no logarithm")
            raise

    for name, arguments, aggregate in aggregates(faults):
        make = driver.create_window_function if name == DEVIATION_FUNCTION else driver.create_aggregate
        make(name, arguments, aggregate)
    driver.create_function(LOGARITHM_FUNCTION, 1, logarithm, deterministic=True)
    driver.create_function(REGEX_FUNCTION, 2, matches, deterministic=True)
    driver.create_function(NO_TIME_FUNCTION, 1, no_time, deterministic=True)
    try:
        yield
    except sa.exc.DBAPIError:
        if faults:
            raise QueryStopped(faults[0]) from None
        raise


def _single_statements(engine: sa.Engine) -> sa.Engine:
    """A DuckDB engine over the same connections that refuses several statements in one text."""
    single = engine.execution_options()
    sa.event.listen(single, "before_cursor_execute", _refuse_several_statements)
    return single


def _limit_duckdb(connection: sa.Connection, watch: Watch | None, undo: ExitStack) -> None:
    driver: Any = connection.connection.driver_connection
    if watch is not None:
        undo.enter_context(watch.over(driver.interrupt))


def _refuse_several_statements(
    connection: sa.Connection, _cursor: object, statement: str, *_rest: object
) -> None:
    if ";" not in statement:
        return  # without one there is one statement, and asking would parse it twice
    driver: Any = connection.connection.driver_connection
    if len(driver.extract_statements(statement)) > 1:
        raise DatabaseUnusable("the SQL holds several statements: write one")


def _quietly(connection: sa.Connection, statement: str) -> None:
    _quietly_do(lambda: connection.exec_driver_sql(statement))


def _quietly_do(work: Callable[[], object]) -> None:
    # The connection may be gone by now; the error that matters is the one on its way.
    with suppress(sa.exc.SQLAlchemyError):
        work()
