"""Results as lines for people, in dbt's words and colours, and as JUnit's XML."""

from __future__ import annotations

import datetime as dt
import threading
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import click

from dbt_like_checks.errors import Problem
from dbt_like_checks.output.shown import as_text, visible
from dbt_like_checks.parse.project import DataTest
from dbt_like_checks.run.results import Result, RunResults, Status

WIDTH = 80  # columns of a line up to its brackets, as dbt's
VALUE_LIMIT = 80  # characters of one value shown
KINDS_NAMED = 10  # of the kinds of tests that are not supported
WARNINGS_NAMED = 10
COLOURS = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.FAIL: "red",
    Status.ERROR: "red",
    Status.SKIPPED: "yellow",
}
Write = Callable[[str], None]


class Progress:
    """Writes a line as each test begins and ends. May be called from several threads."""

    def __init__(self, write: Write = click.echo) -> None:
        self._write = write
        self._lock = threading.Lock()

    def __call__(self, index: int, total: int, test: DataTest, result: Result | None) -> None:
        name = visible(test.name)
        if result is None:
            line = _line(f"{index} of {total} START test {name}", "RUN")
        else:
            verdict, colour = _verdict(result), COLOURS[result.status]
            ended = click.style(verdict, fg=colour) + f" in {result.execution_time:.2f}s"
            line = _line(f"{index} of {total} {verdict} {name}", ended)
        with self._lock:
            self._write(line)


def summary(results: RunResults) -> list[str]:
    """The lines after a run: what was not well, with failing rows, and dbt's counts."""
    lines = ["", _stamped(_took(results)), "", *unwell(results)]
    counts = {
        "PASS": results.count(Status.PASS),
        "WARN": results.count(Status.WARN),
        "ERROR": results.count(Status.FAIL) + results.count(Status.ERROR),
        "SKIP": results.count(Status.SKIPPED),
        "TOTAL": len(results),
    }
    lines.append(_stamped("Done. " + " ".join(f"{name}={count}" for name, count in counts.items())))
    return [*lines, *not_supported(result.test for result in results)]


def unwell(results: RunResults) -> list[str]:
    """The lines on each test that was not well."""
    lines: list[str] = []
    for result in results:
        if result.message and result.status is not Status.SKIPPED:
            lines += [*_explained(result), ""]
    return lines


def not_supported(tests: Iterable[DataTest]) -> list[str]:
    """One line that counts and names the tests that are not supported here; none where all are."""
    kinds = Counter(test.kind for test in tests if test.unsupported)
    if not kinds:
        return []
    count = sum(kinds.values())
    counted = ", ".join(f"{visible(kind)} ({times})" for kind, times in kinds.most_common(KINDS_NAMED))
    more = f" and {len(kinds) - KINDS_NAMED} kinds more" if len(kinds) > KINDS_NAMED else ""
    tests_were = "1 test is" if count == 1 else f"{count} tests are"
    return [_stamped(f"{tests_were} not supported here, and skipped: {counted}{more}")]


def warnings(found: Sequence[Problem]) -> list[str]:
    """The warnings of a project as lines: the first few, and how many more there are."""
    lines = [f"Warning: {visible(str(warning))}" for warning in sorted(set(found))]
    more = len(lines) - WARNINGS_NAMED
    return lines if more <= 0 else [*lines[:WARNINGS_NAMED], f"Warning: … and {more} more like these"]


def junit(results: RunResults) -> str:
    """The results as a JUnit XML document: a warning passes, with its message as output."""
    suite = ElementTree.Element(
        "testsuite",
        name="dbt-like-checks",
        tests=str(len(results)),
        failures=str(results.count(Status.FAIL)),
        errors=str(results.count(Status.ERROR)),
        skipped=str(results.count(Status.SKIPPED)),
        time=f"{results.elapsed_time:.3f}",
        timestamp=results.generated_at.isoformat(timespec="seconds"),
    )
    for result in results:
        suite.append(_case(result))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _case(result: Result) -> ElementTree.Element:
    test = result.test
    case = ElementTree.Element(
        "testcase",
        classname=visible(test.model.name if test.model else test.kind),
        name=visible(test.name),
        file=visible(test.place.file),
        line=str(test.place.line),
        time=f"{result.execution_time:.3f}",
    )
    outcome = {Status.FAIL: "failure", Status.ERROR: "error", Status.SKIPPED: "skipped"}.get(result.status)
    details = "\n".join(shown_row(row) for row in result.rows)
    if outcome is not None:
        child = ElementTree.SubElement(case, outcome, message=visible(result.message or ""))
        child.text = details or None
    elif result.message:
        output = ElementTree.SubElement(case, "system-out")
        output.text = f"{visible(result.message)}\n{details}"
    return case


def shown_row(row: Mapping[str, object]) -> str:
    """A failing row in one line; its values may have been written by anyone."""
    return ", ".join(f"{visible(name)}={_shown_value(value)}" for name, value in row.items())


def _shown_value(value: object) -> str:
    text = "NULL" if value is None else repr(value) if isinstance(value, str) else as_text(value)
    text = visible(text).replace("\n", "\\n")
    return text if len(text) <= VALUE_LIMIT else f"{text[: VALUE_LIMIT - 1]}…"


def _verdict(result: Result) -> str:
    word = result.status.value.upper()
    return f"{word} {result.failures}" if result.status in (Status.FAIL, Status.WARN) else word


def _line(text: str, status: str) -> str:
    dots = "." * max(WIDTH - len(text) - 1, 3)
    return _stamped(f"{text} {dots} [{status}]")


def _stamped(text: str) -> str:
    return f"{dt.datetime.now().astimezone():%H:%M:%S}  {text}"


def _took(results: RunResults) -> str:
    minutes, seconds = divmod(results.elapsed_time, 60)
    hours, minutes = divmod(int(minutes), 60)
    tests = f"{len(results)} data test{'' if len(results) == 1 else 's'}"
    return (
        f"Finished running {tests} in {hours} hours {minutes} minutes and {seconds:.2f} seconds"
        f" ({results.elapsed_time:.2f}s)."
    )


def _explained(result: Result) -> list[str]:
    word = {Status.FAIL: "Failure", Status.ERROR: "Error"}.get(result.status, "Warning")
    headline = f"{word} in test {visible(result.test.name)} ({visible(str(result.test.place))})"
    lines = [click.style(headline, fg=COLOURS[result.status]), f"  {visible(result.message or '')}"]
    lines += [f"    {shown_row(row)}" for row in result.rows]
    if result.rows and (result.failures or 0) > len(result.rows):
        lines.append(f"    … {len(result.rows)} of them shown")
    if result.stored_in:
        lines.append(f"  all of them are in the table {visible(str(result.stored_in))}")
    return lines
