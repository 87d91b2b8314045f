"""Running tests: compile, count, judge, and fetch a few of the failing rows."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal

import sqlalchemy as sa

from dbt_like_checks.database.access import TIMEOUT_SECONDS, Reader, explain, is_file, open_engine
from dbt_like_checks.database.dialects import Dialect
from dbt_like_checks.database.tables import Tables
from dbt_like_checks.errors import CannotCompile, DataTestError
from dbt_like_checks.parse.project import DataTest, Relation
from dbt_like_checks.run.compile import Query, Restriction, compile_test
from dbt_like_checks.run.results import Result, RunResults, Status, judge
from dbt_like_checks.run.shared import Scan, planned
from dbt_like_checks.run.store import FailureStore
from dbt_like_checks.tests.registry import Registry, default_registry

SAMPLE_ROWS = 10  # failing rows shown per test, unless given otherwise
HEED_SECONDS = 0.05  # until an interruption is heard, and between two attempts to end what runs
Row = Mapping[str, object]
Report = Callable[[int, int, DataTest, Result | None], None]


@dataclass(frozen=True)
class RunOptions:
    """How tests are run.

    ``schema``: of tables that name none. ``timeout``: seconds of each query, None for no limit.
    ``sample``: failing rows kept per test. ``store_failures``: for tests that do not say
    themselves. ``restrict``: the rows of the tested tables that this run is about. ``share_scans``:
    tests of one table are counted in one pass over it where they can be.
    """

    schema: str | None = None
    threads: int = 1
    fail_fast: bool = False
    timeout: float | None = TIMEOUT_SECONDS
    sample: int = SAMPLE_ROWS
    store_failures: bool = False
    restrict: Restriction | None = None
    share_scans: bool = True

    def stores(self, test: DataTest) -> bool:
        """Whether this test's failing rows are to be kept in a table."""
        own = test.config.store_failures
        return self.store_failures if own is None else own


def run_tests(
    tests: Iterable[DataTest],
    database: sa.Engine | str,
    options: RunOptions | None = None,
    *,
    registry: Registry | None = None,
    report: Report | None = None,
) -> RunResults:
    """Run every enabled test and give all results, in the tests' order.

    ``database`` is an engine or a URL. ``report`` hears of each test as it begins (its index from
    1, how many there are, the test, None) and ends (with its result), from the running threads.
    Whatever is wrong with one test is its result; raises DatabaseUnusable where there is no
    database at all.
    """
    options = options or RunOptions()
    chosen = [test for test in tests if test.config.enabled]
    opened = None
    if isinstance(database, str):
        writable = any(options.stores(test) for test in chosen)
        opened = open_engine(database, writable=writable, threads=options.threads, timeout=options.timeout)
    engine = opened or database
    assert isinstance(engine, sa.Engine)
    try:
        with closing(Reader(engine, options.timeout)) as reader:
            return _Run(reader, options, registry or default_registry(), chosen, report).all()
    finally:
        if opened is not None:
            opened.dispose()


@dataclass
class _Run:
    """One run's state: what its threads share."""

    reader: Reader
    options: RunOptions
    registry: Registry
    tests: list[DataTest]
    report: Report | None

    def __post_init__(self) -> None:
        self.engine = self.reader.engine
        self.store = FailureStore(self.engine, self.options.timeout, self.tests)
        self.tables = Tables(self.reader, self.options.schema)
        self.stop = threading.Event()
        self.waiting = iter(list(enumerate(self.tests)))  # that of a list may be asked by several threads
        self.results: dict[int, Result] = {}
        self._planning = threading.Lock()
        self._scans: dict[int, Scan] | None = None

    def all(self) -> RunResults:
        """Every test's result."""
        began = time.monotonic()
        # A database in memory may belong to the thread that made it; its queries are over soon.
        if self.reader.dialect is not Dialect.POSTGRESQL and not is_file(self.engine.url):
            self._work()
        else:
            self._in_threads()
        results = tuple(self.results[index] for index in range(len(self.tests)))
        return RunResults(results, time.monotonic() - began)

    def _work(self) -> None:
        for index, test in self.waiting:
            self.results[index] = self._one(index, test)

    def _in_threads(self) -> None:
        """In others than this one, even for one: here Ctrl-C is heard at once, whatever a driver does."""
        threads = max(self.options.threads, 1)
        running: list[Future[None]] = []
        all_there = threading.Event()  # before that, an interruption might miss one of them

        def work() -> None:
            all_there.wait()
            self._work()

        with ThreadPoolExecutor(threads, thread_name_prefix="Thread") as pool:
            try:
                running += [pool.submit(work) for _ in range(threads)]
                all_there.set()
                # Not waited for without end: an interruption just before would be heard only after it.
                while wait(running, timeout=HEED_SECONDS).not_done:
                    pass
            except KeyboardInterrupt:
                self.stop.set()
                all_there.set()
                while wait(running, timeout=HEED_SECONDS).not_done:
                    self.reader.interrupt()
                raise
        for each in running:
            each.result()

    def _one(self, index: int, test: DataTest) -> Result:
        if test.unsupported:
            return Result(test, Status.SKIPPED, None, test.unsupported)
        if self.stop.is_set():
            return Result(test, Status.SKIPPED, None, "Skipping due to fail_fast")
        if self.report:
            self.report(index + 1, len(self.tests), test, None)
        started, began = dt.datetime.now(dt.UTC), time.monotonic()
        result = self._shared(index) or self._carry_out(test)
        result = replace(
            result,
            started_at=started,
            # Of a pass that is shared each test has its part.
            execution_time=result.execution_time or time.monotonic() - began,
            thread=threading.current_thread().name,
        )
        if self.options.fail_fast and result.status in (Status.FAIL, Status.ERROR):
            self.stop.set()
        if self.report:
            self.report(index + 1, len(self.tests), test, result)
        return result

    def _shared(self, index: int) -> Result | None:
        """The result from a pass that the test shares with others; None where it is to be run alone."""
        with self._planning:
            if self._scans is None:
                self._scans = planned(self._shareable()) if self.options.share_scans else {}
        scan = self._scans.get(index)
        return scan.results(self._in_one_pass).get(index) if scan else None

    def _shareable(self) -> Iterator[tuple[int, Query]]:
        for index, test in enumerate(self.tests):
            if test.unsupported or self.options.stores(test):
                continue
            # What cannot be compiled says so when its turn comes.
            with suppress(
                DataTestError, LookupError, sa.exc.SQLAlchemyError, ArithmeticError, TypeError, ValueError
            ):
                # DuckDB reads columns apart, each test those of its own: one pass over all takes it longer.
                if self.reader.dialect is not Dialect.DUCKDB or self._on_keys(test):
                    yield index, compile_test(test, self.tables, self.registry, self.options.restrict)

    def _on_keys(self, test: DataTest) -> bool:
        """Whether it is that values do not repeat: a combination is then looked for among few."""
        return test.sql is None and self.registry.find(test.kind).key

    def _in_one_pass(self, scan: Scan) -> dict[int, Result]:
        """The results of a pass, all of one transaction; none where it fails: each is run alone then."""
        results: dict[int, Result] = {}
        began = time.monotonic()
        try:
            with self.reader.reading() as connection:
                for index, failures in scan.counts(connection).items():
                    query = scan.queries[index]
                    results[index] = self._with_rows(connection, self.tests[index], query, failures)
        except (DataTestError, sa.exc.SQLAlchemyError, ArithmeticError, TypeError, ValueError):
            return {}
        each = (time.monotonic() - began) / max(len(results), 1)
        return {index: replace(result, execution_time=each) for index, result in results.items()}

    def _with_rows(self, connection: sa.Connection, test: DataTest, query: Query, failures: int) -> Result:
        verdict = judge(failures, test.config)
        rows: tuple[Row, ...] = ()
        if verdict.status is not Status.PASS and self.options.sample:
            found = connection.execute(query.some_failing(self.options.sample)).mappings()
            rows = tuple(dict(row) for row in found)
        return Result(test, verdict.status, verdict.failures, verdict.message, query, rows)

    def _carry_out(self, test: DataTest) -> Result:
        query: Query | None = None
        try:
            query = compile_test(test, self.tables, self.registry, self.options.restrict)
            return self._judged(test, query)
        except (DataTestError, LookupError) as error:
            message = str(error)
        except sa.exc.SQLAlchemyError as error:
            message = explain(error, self.engine, self.options.timeout)
            if isinstance(error, sa.exc.CompileError):
                query = None  # there is no SQL of it to show either
        except (ArithmeticError, TypeError, ValueError) as error:
            # The driver's way to say that a value of the file is none for this database.
            message = f"a value cannot be sent to the database: {explain(error, self.engine)}"
        return Result(test, Status.ERROR, None, message, query)

    def _judged(self, test: DataTest, query: Query) -> Result:
        faults: list[str] = []
        rows: tuple[Row, ...] = ()
        stored: Relation | None = None
        with self.reader.reading() as connection:
            failures = _whole(connection.execute(query.count).scalar_one())
            verdict = judge(failures, test.config)
            if verdict.status is not Status.PASS and self.options.sample:
                with self._noting(faults, "its rows cannot be shown"):
                    found = connection.execute(query.some_failing(self.options.sample)).mappings()
                    rows = tuple(dict(row) for row in found)
        if self.options.stores(test):
            with self._noting(faults, "the failing rows cannot be stored"):
                stored = self.store.keep(test, query)
        message = "; ".join(filter(None, (verdict.message, *faults))) or None
        return Result(test, verdict.status, verdict.failures, message, query, rows, stored)

    @contextmanager
    def _noting(self, faults: list[str], what: str) -> Iterator[None]:
        """The verdict stands whatever goes wrong in the block: it becomes one of ``faults``."""
        try:
            yield
        except (DataTestError, sa.exc.SQLAlchemyError) as error:
            faults.append(f"{what}: {explain(error, self.engine, self.options.timeout)}")


def _whole(count: object) -> int:
    if isinstance(count, int | float | Decimal) and count == int(count):
        return int(count)
    if count is None:
        # dbt refuses it too: a sum over no rows at all.
        raise CannotCompile("the failure count is NULL: there was nothing to count")
    raise CannotCompile(f"the failure count must be a whole number, not {count!r}")
