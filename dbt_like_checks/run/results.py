"""What came of a run: one result per test, in the shape of dbt's ``run_results.json``."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dbt_like_checks.output.shown import as_text
from dbt_like_checks.parse.project import Config, DataTest, Relation, Severity
from dbt_like_checks.run.compile import Query

VALUE_LIMIT = 10_000  # characters of one value of a failing row in JSON
DBT_VERSION = "1.11.0"  # whose run_results.json this is the shape of
SCHEMA_VERSION = "https://schemas.getdbt.com/dbt/run-results/v6.json"


class Status(StrEnum):
    """dbt's words for the end of a test."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"  # the test could not be carried out
    SKIPPED = "skipped"  # not started, because of --fail-fast or because its kind is not supported


@dataclass(frozen=True)
class Verdict:
    """A status and its sentence; ``failures`` is 0 for a passed test, as in dbt."""

    status: Status
    failures: int
    message: str | None


def judge(failures: int, config: Config) -> Verdict:
    """dbt's verdict: with severity error first ``error_if``, then ``warn_if``; else only ``warn_if``."""
    got = f"Got {failures} result{'' if failures == 1 else 's'}"
    if config.severity is Severity.ERROR and config.error_if.holds(failures):
        return Verdict(Status.FAIL, failures, f"{got}, configured to fail if {config.error_if}")
    if config.warn_if.holds(failures):
        return Verdict(Status.WARN, failures, f"{got}, configured to warn if {config.warn_if}")
    return Verdict(Status.PASS, 0, None)


@dataclass(frozen=True)
class Result:
    """What came of one test.

    ``failures`` is None where it was not carried out. ``rows`` is a bounded sample of the failing
    rows, by column name, with the primary key where the test is on rows: values of the database,
    to be shown with care. ``stored_in`` is the table that holds all of them, where asked for.
    ``query`` is what was run, None where the test could not be compiled.
    """

    test: DataTest
    status: Status
    failures: int | None
    message: str | None
    query: Query | None = field(default=None, repr=False, compare=False)
    rows: tuple[Mapping[str, object], ...] = ()
    stored_in: Relation | None = None
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    execution_time: float = 0.0  # seconds
    thread: str = ""

    @property
    def compiled_code(self) -> str | None:
        """The SQL for people to read, written when first asked for: most tests pass and need none."""
        return self.query.sql if self.query else None

    def to_json(self) -> dict[str, object]:
        """An entry of ``results`` in run_results.json; its ``adapter_response``, in which dbt's schema lets a
        database say what it likes, has the failing rows."""
        completed = self.started_at + dt.timedelta(seconds=self.execution_time)
        rows = [{name: _json_value(value) for name, value in row.items()} for row in self.rows]
        return {
            "status": self.status.value,
            "timing": [
                {"name": "execute", "started_at": _stamp(self.started_at), "completed_at": _stamp(completed)}
            ],
            "thread_id": self.thread,
            "execution_time": self.execution_time,
            "adapter_response": {"failing_rows": rows} if rows else {},
            "message": self.message,
            "failures": self.failures,
            "unique_id": self.test.unique_id,
            "compiled": self.compiled_code is not None,
            "compiled_code": self.compiled_code,
            "relation_name": str(self.stored_in) if self.stored_in else None,
        }


@dataclass(frozen=True)
class RunResults:
    """The results of one run, in the order of the tests."""

    results: tuple[Result, ...]
    elapsed_time: float  # seconds
    generated_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    invocation_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def count(self, status: Status) -> int:
        """How many ended so."""
        return Counter(result.status for result in self.results)[status]

    @property
    def success(self) -> bool:
        """Whether no test failed, could not be carried out or was left out, but for those not supported."""
        return all(
            result.status in (Status.PASS, Status.WARN) or result.test.unsupported for result in self.results
        )

    def to_json(self) -> dict[str, object]:
        """The whole of run_results.json."""
        return {
            "metadata": {
                "dbt_schema_version": SCHEMA_VERSION,
                # dbt's own shape of the file: which version of dbt writes the like.
                "dbt_version": DBT_VERSION,
                "generated_at": _stamp(self.generated_at),
                "invocation_id": self.invocation_id,
                "invocation_started_at": _stamp(self.generated_at - dt.timedelta(seconds=self.elapsed_time)),
                "env": {},
            },
            "results": [result.to_json() for result in self.results],
            "elapsed_time": self.elapsed_time,
            "args": {},
        }


def _stamp(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = as_text(value)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}…"
