"""Data tests as Dagster asset checks: `build_asset_checks`.

Each declared test becomes one check, and each check one query, whatever number of partitions its run is
about. Values of the database are untrusted: they reach Dagster's pages as plain text only.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from dbt_like_checks.dagster.partitions import Filter, Partitioning
from dbt_like_checks.errors import CheckError, DatabaseUnusable
from dbt_like_checks.output.shown import as_text, visible
from dbt_like_checks.parse.grammar import load_project
from dbt_like_checks.parse.names import identifier, short_hash
from dbt_like_checks.parse.project import SINGULAR, DataTest
from dbt_like_checks.run.results import Result, Status
from dbt_like_checks.run.runner import RunOptions, run_tests
from dbt_like_checks.tests.registry import Registry, default_registry

CELL_LIMIT = 300  # characters of one value shown in a table of failing rows
PARTITIONS_NAMED = 5
# Arguments that say what of its table a test is on which is on no single column.
SAID_LIMIT = 100  # characters of them; the SQL has the whole
SAY_WHAT = ("combination_of_columns", "column_list", "expression", "field")

Resolve = Mapping[str, str | dg.AssetKey] | Callable[[DataTest], str | dg.AssetKey | None]


@dataclass(frozen=True)
class Target:
    """Where the tests run: an engine or a URL (which is never shown), and how."""

    database: sa.Engine | str = field(repr=False)
    options: RunOptions = field(default_factory=RunOptions)


@dataclass(frozen=True)
class _Runner:
    """Runs tests for a Dagster run and reports their results."""

    target: Callable[[], Target]
    registry: Registry
    partitioning: Partitioning | None

    def check(
        self, asset: dg.AssetKey, tests: Mapping[str, DataTest], tags: Mapping[str, str]
    ) -> Iterator[dg.AssetCheckResult]:
        """The results of enabled tests by the names of their checks."""
        target = self.target()
        keys = self.partitioning.keys_of(tags) if self.partitioning else []
        options = target.options
        if self.partitioning and keys:
            options = replace(options, restrict=self.partitioning.restriction(keys))
        try:
            results = run_tests(tests.values(), target.database, options, registry=self.registry)
        except DatabaseUnusable as error:
            raise dg.Failure(visible(str(error)), allow_retries=False) from None
        not_carried_out = []
        for name, result in zip(tests, results, strict=True):
            if result.test.unsupported:
                yield _not_supported(asset, name, result.test.unsupported)
                continue
            if result.status in (Status.ERROR, Status.SKIPPED):
                not_carried_out.append(result)
                continue
            yield dg.AssetCheckResult(
                asset_key=asset,
                check_name=name,
                passed=result.status is Status.PASS,
                severity=severity_of(result),
                metadata=metadata_of(result, keys),
            )
        if not_carried_out:
            raise dg.Failure(_not_carried_out(not_carried_out), allow_retries=False)


def build_asset_checks(
    source: str | Path | Iterable[DataTest],
    *,
    resolve: Resolve,
    target: Target | Callable[[], Target],
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    partition_filter: Filter | None = None,
    blocking: bool | Callable[[DataTest], bool] = False,
    registry: Registry | None = None,
) -> list[dg.AssetChecksDefinition]:
    """Asset checks for the enabled tests of a file or folder, or these tests: one definition an asset.

    ``resolve`` gives the asset of a test: a mapping by the name of its model (for a singular test, of
    the first table it refers to), or a function of the test; a test without an asset is left out.
    ``target`` is asked, where it is a function, when a run begins. With ``partitions_def`` and
    ``partition_filter`` a run over partitions looks only at their rows (see `Partitioning`).
    ``blocking`` checks of severity error keep downstream assets from running.

    Raises ProjectError for a bad file, and CheckError where an asset has a test twice or
    ``partition_filter`` does not fit the partitions.
    """
    registry = registry or default_registry()
    tests: Iterable[DataTest]
    tests = load_project(source, registry=registry) if isinstance(source, str | Path) else source
    if (partitions_def is None) != (partition_filter is None):
        raise CheckError("partitions_def and partition_filter belong together: give both or neither")
    partitioning = None
    if partitions_def is not None and partition_filter is not None:
        partitioning = Partitioning(partitions_def, partition_filter)
    by_asset: dict[dg.AssetKey, list[DataTest]] = defaultdict(list)
    for test in tests:
        asset = _asset_of(test, resolve)
        if test.config.enabled and asset is not None:
            by_asset[asset].append(test)
    block = blocking if callable(blocking) else lambda _test: blocking
    get_target = target if callable(target) else lambda: target
    return [
        _checks_on(asset, on_asset, _Runner(get_target, registry, partitioning), block)
        for asset, on_asset in sorted(by_asset.items())
    ]


def _asset_of(test: DataTest, resolve: Resolve) -> dg.AssetKey | None:
    found = resolve(test) if callable(resolve) else resolve.get(table_of(test) or "")
    if found is None or isinstance(found, dg.AssetKey):
        return found
    return dg.AssetKey.from_user_string(found)


def table_of(test: DataTest) -> str | None:
    """The name of the model a test is on; for a singular test, of the first table it refers to."""
    if test.model is not None:
        return test.model.name
    return test.others[0].name if test.others else None


def by_check_name(tests: Sequence[DataTest]) -> dict[str, DataTest]:
    """The tests of one asset by the names of their checks: their own, in the letters that Dagster allows.

    Where several have one name, each has its own hash behind it, which no other test changes.
    Raises CheckError where a test is there twice.
    """
    times = Counter(identifier(test.name) for test in tests)
    by_name: dict[str, DataTest] = {}
    for test in tests:
        name = identifier(test.name)
        if times[name] > 1:
            name = f"{name}_{short_hash(test.unique_id)}"
        twin = by_name.setdefault(name, test)
        if twin is not test:
            raise CheckError(f"{test.place}: the test {test.name!r} is there already, from {twin.place}")
    return by_name


def _checks_on(
    asset: dg.AssetKey,
    tests: Sequence[DataTest],
    runner: _Runner,
    block: Callable[[DataTest], bool],
) -> dg.AssetChecksDefinition:
    by_name = by_check_name(tests)
    op_name = "data_tests_on_" + identifier("__".join(asset.path))

    @dg.multi_asset_check(
        name=op_name,
        specs=[_spec(asset, name, test, block(test), runner.registry) for name, test in by_name.items()],
        can_subset=True,
    )
    def data_tests(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        selected = {name: test for name, test in by_name.items() if name in chosen}
        yield from runner.check(asset, selected, context.run.tags)

    return data_tests


def _spec(
    asset: dg.AssetKey, name: str, test: DataTest, blocking: bool, registry: Registry
) -> dg.AssetCheckSpec:
    known = test.kind != SINGULAR and not test.unsupported
    what_it_says = registry.find(test.kind).description if known else test.unsupported
    return dg.AssetCheckSpec(
        name,
        asset=asset,
        description=visible(f"{_where(test)}{test.description or what_it_says or ''}"),
        blocking=blocking,
        metadata={
            "declared_in": visible(f"{Path(test.place.file).name}:{test.place.line}"),
            "kind": test.kind,
        },
    )


def _not_supported(asset: dg.AssetKey, name: str, reason: str) -> dg.AssetCheckResult:
    """A check that warns: a test that was not run has not passed."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=visible(reason),
        metadata={
            "status": dg.MetadataValue.text("skipped"),
            "message": dg.MetadataValue.text(visible(reason)),
        },
    )


def _where(test: DataTest) -> str:
    """The table, its column or what else the test is on, and what it refers to, to begin a description."""
    place = ".".join(part for part in (table_of(test), test.column and test.column.name) if part)
    field = test.arguments.get("field")
    if test.model and test.others:
        place += f" → {test.others[0]}{f'.{field}' if field else ''}"
    elif not test.column:
        named = next((test.arguments[name] for name in SAY_WHAT if name in test.arguments), None)
        listed = ", ".join(map(str, named)) if isinstance(named, list | tuple) else named
        place += f" ({listed})" if listed and len(str(listed)) <= SAID_LIMIT else ""
    return f"{place}: " if place else ""


def severity_of(result: Result) -> dg.AssetCheckSeverity:
    """How bad a result is: dbt's warning is Dagster's."""
    return dg.AssetCheckSeverity.WARN if result.status is Status.WARN else dg.AssetCheckSeverity.ERROR


def metadata_of(result: Result, keys: Sequence[str] = ()) -> dict[str, dg.MetadataValue]:
    """What a check shows: the count, the verdict, the failing rows, the SQL, and of which partitions."""
    text = dg.MetadataValue.text
    metadata: dict[str, dg.MetadataValue] = {
        "status": text(result.status.value),
        "failures": dg.MetadataValue.int(result.failures or 0),
        "seconds": dg.MetadataValue.float(round(result.execution_time, 3)),
    }
    if table := table_of(result.test):
        metadata["table"] = text(visible(table))
    if result.message:
        metadata["message"] = text(visible(result.message))
    if result.rows:
        metadata["failing_rows"] = _table(result.rows)
    if result.compiled_code:
        metadata["compiled_sql"] = dg.MetadataValue.md(code_block(result.compiled_code))
    if keys:
        whole = "" if result.query and result.query.restricted else "all rows, not only those of "
        metadata["partitions"] = text(f"{whole}{_named(keys)}")
    if result.stored_in:
        metadata["stored_in"] = text(visible(str(result.stored_in)))
    return metadata


def code_block(sql: str) -> str:
    """A CommonMark code block that shows exactly this text: its fence is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", sql)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sql\n{visible(sql)}\n{fence}"


def _table(rows: Sequence[Mapping[str, object]]) -> dg.MetadataValue:
    names = list(dict.fromkeys(name for row in rows for name in row))
    records = [dg.TableRecord({visible(name): _cell(row.get(name)) for name in names}) for row in rows]
    schema = dg.TableSchema(columns=[dg.TableColumn(visible(name), _type(name, rows)) for name in names])
    return dg.MetadataValue.table(records, schema=schema)


def _cell(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    shown = visible(as_text(value))
    return shown if len(shown) <= CELL_LIMIT else f"{shown[:CELL_LIMIT]}… ({len(shown)} characters)"


def _type(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    kinds = {type(row[name]) for row in rows if row.get(name) is not None}
    names = {bool: "bool", int: "int", float: "float"}
    return names.get(kinds.pop(), "string") if len(kinds) == 1 else "string"


def _named(keys: Sequence[str]) -> str:
    named = ", ".join(keys[:PARTITIONS_NAMED])
    return named if len(keys) <= PARTITIONS_NAMED else f"{named} and {len(keys) - PARTITIONS_NAMED} more"


def _not_carried_out(results: Sequence[Result]) -> str:
    lines = [f"{visible(result.test.name)}: {visible(result.message or 'no reason')}" for result in results]
    tests = "1 data test" if len(results) == 1 else f"{len(results)} data tests"
    return f"{tests} could not be carried out:\n" + "\n".join(lines)
