"""Data tests as asset checks, in real Dagster runs on real databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from dbt_like_checks import RunOptions, load_project
from dbt_like_checks.dagster import Target, build_asset_checks
from dbt_like_checks.dagster.checks import code_block
from dbt_like_checks.errors import CheckError
from tests.databases import fresh_postgresql_database

VISITS = """
models:
  - name: visits
    columns:
      - name: guest
        data_tests:
          - not_null:
              description: Somebody came.
          - unique: {config: {severity: warn}}
  - name: rooms
    columns:
      - name: room
        data_tests: [unique]
  - name: nobody_asked_for
    columns:
      - name: x
        data_tests: [not_null]
"""
DAYS = [dt.date(2026, 1, day) for day in range(1, 6)]
DAILY = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-06")
ROOM_BY_DAY = dg.MultiPartitionsDefinition({"day": DAILY, "room": dg.StaticPartitionsDefinition(["a", "b"])})
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.fixture(params=["sqlite", "postgresql", "duckdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the visits of five days to the rooms a and b; three of them are faulty."""
    if request.param == "postgresql":
        made = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        made = made.replace("postgresql://", "postgresql+psycopg://")
    else:
        made = f"{request.param}:///{tmp_path / 'visits.db'}"
    rows: list[dict[str, Any]] = [
        {"guest": f"{room}{day.day}", "day": day, "room": room} for day in DAYS for room in "ab"
    ]
    rows += [
        {"guest": None, "day": DAYS[1], "room": "a"},
        {"guest": None, "day": DAYS[3], "room": "b"},
        {"guest": "a3", "day": DAYS[2], "room": "b"},
    ]
    metadata = sa.MetaData()
    visits = sa.Table(
        "visits",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("guest", sa.String),
        sa.Column("day", sa.Date),
        sa.Column("room", sa.String),
    )
    rooms = sa.Table("rooms", metadata, sa.Column("room", sa.String))
    engine = sa.create_engine(made)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(visits), [{"id": n} | row for n, row in enumerate(rows, start=1)])
        connection.execute(sa.insert(rooms), [{"room": "a"}, {"room": "a"}])
    engine.dispose()
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "visits.yml"
    path.write_text(VISITS)
    return path


class Location:
    """An asset with data tests on it, one downstream of it, and an instance of their own."""

    def __init__(
        self, instance: dg.DagsterInstance, checks: Sequence[dg.AssetChecksDefinition], partitions: Any
    ) -> None:
        @dg.asset(partitions_def=partitions)
        def visits() -> None: ...

        @dg.asset(deps=[visits], partitions_def=partitions)
        def downstream() -> None: ...

        self.instance = instance
        self.definitions = dg.Definitions(
            assets=[visits, downstream],
            asset_checks=checks,
            jobs=[
                dg.define_asset_job("checks", selection=dg.AssetSelection.checks_for_assets("visits")),
                dg.define_asset_job("everything", selection=dg.AssetSelection.all()),
            ],
        )

    def run(self, job: str = "checks", **tags: str) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags={f"dagster/{name}": key for name, key in tags.items()},
            raise_on_error=False,
        )


Locate = Callable[..., Location]


@pytest.fixture
def locate() -> Iterator[Locate]:
    """Makes a location of some checks, and of partitions if any."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield lambda checks, partitions=None: Location(instance, checks, partitions)


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {name: found.metadata["failures"].value for name, found in evaluations(result).items()}


def test_what_a_check_says_and_shows(locate: Locate, file: Path, url: str) -> None:
    (checks,) = build_asset_checks(file, resolve={"visits": "visits"}, target=Target(url))
    assert {spec.name: spec.description for spec in checks.check_specs} == {
        "not_null_visits_guest": "visits.guest: Somebody came.",
        "unique_visits_guest": "visits.guest: No value occurs twice; NULL may. "
        "Fails once per repeated value.",
    }
    found = evaluations(locate([checks]).run())
    assert set(found) == {"not_null_visits_guest", "unique_visits_guest"}

    missing = found["not_null_visits_guest"]
    assert (missing.passed, missing.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert missing.metadata["failures"].value == 2
    table = missing.metadata["failing_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [dict(row.data) for row in table.records] == [{"id": 11, "guest": None}, {"id": 12, "guest": None}]
    sql = str(missing.metadata["compiled_sql"].value)
    assert sql.startswith("```sql\n")
    assert "IS NULL" in sql

    twice = found["unique_visits_guest"]
    assert (twice.passed, twice.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_run_over_partitions_looks_at_their_rows_only_with_one_query_for_each_check(
    locate: Locate, file: Path, url: str
) -> None:
    checks = build_asset_checks(
        file,
        resolve={"visits": "visits", "rooms": "visits"},
        target=Target(url),
        partitions_def=DAILY,
        partition_filter={"day": "DAY"},  # found in another case, as columns are
    )
    location = locate(checks, DAILY)
    # A table without the partition's column is looked at whole.
    rooms = {"unique_rooms_room": 1}
    assert failures(location.run()) == rooms | {"not_null_visits_guest": 2, "unique_visits_guest": 1}
    one = location.run(partition="2026-01-02")
    assert failures(one) == rooms | {"not_null_visits_guest": 1, "unique_visits_guest": 0}
    ends = {"asset_partition_range_start": "2026-01-03", "asset_partition_range_end": "2026-01-05"}
    several = location.run(**ends)
    assert failures(several) == rooms | {"not_null_visits_guest": 1, "unique_visits_guest": 1}
    assert len(several.get_asset_check_evaluations()) == 3
    shown = evaluations(several)["not_null_visits_guest"].metadata["partitions"].value
    assert shown == "2026-01-03, 2026-01-04, 2026-01-05"
    whole = evaluations(several)["unique_rooms_room"].metadata["partitions"].value
    assert whole == "all rows, not only those of 2026-01-03, 2026-01-04, 2026-01-05"
    materialized = location.run("everything", partition="2026-01-04")
    assert failures(materialized) == rooms | {"not_null_visits_guest": 1, "unique_visits_guest": 0}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"partition": "2026-01-02|a"}, (1, 0)),
        ({"partition": "2026-01-02|b"}, (0, 0)),
        (
            {
                "asset_partition_range_start": "2026-01-03|a",
                "asset_partition_range_end": "2026-01-04|b",
            },
            (1, 1),
        ),
    ],
)
def test_two_dimensions(
    locate: Locate, file: Path, url: str, tags: dict[str, str], expected: tuple[int, int]
) -> None:
    checks = build_asset_checks(
        file,
        resolve={"visits": "visits"},
        target=Target(url),
        partitions_def=ROOM_BY_DAY,
        partition_filter={"day": "day", "room": "room"},
    )
    found = failures(locate(checks, ROOM_BY_DAY).run(**tags))
    assert (found["not_null_visits_guest"], found["unique_visits_guest"]) == expected


@pytest.mark.parametrize(
    ("partitions", "filter_by"),
    [(ROOM_BY_DAY, {"dayx": "day", "room": "room"}), (ROOM_BY_DAY, {"day": "day"}), (DAILY, {})],
)
def test_a_mapping_that_does_not_fit_the_partitions_is_refused(
    file: Path, partitions: Any, filter_by: dict[str, str]
) -> None:
    with pytest.raises(CheckError, match="partition_filter has columns for"):
        build_asset_checks(
            file,
            resolve={"visits": "visits"},
            target=Target("sqlite://"),
            partitions_def=partitions,
            partition_filter=filter_by,
        )


@pytest.mark.parametrize("written", ["2024-01-01T10:30:00", "2024-01-01 10:30:00.5"])
def test_a_moment_is_in_its_hour_however_sqlite_writes_it(
    locate: Locate, tmp_path: Path, written: str
) -> None:
    url = f"sqlite:///{tmp_path / 'd.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE visits (guest TEXT, at TEXT)")
        connection.exec_driver_sql("INSERT INTO visits VALUES (NULL, ?)", (written,))
    engine.dispose()
    (tmp_path / "t.yml").write_text(
        "models: [{name: visits, columns: [{name: guest, data_tests: [not_null]}]}]"
    )
    hourly = dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-01-02-00:00")
    checks = build_asset_checks(
        tmp_path / "t.yml",
        resolve={"visits": "visits"},
        target=Target(url),
        partitions_def=hourly,
        partition_filter={"hour": "at"},
    )
    location = locate(checks, hourly)
    found = [failures(location.run(partition=f"2024-01-01-{hour}:00")) for hour in ("09", "10", "11")]
    assert [each["not_null_visits_guest"] for each in found] == [0, 1, 0]


def test_a_partition_key_may_stand_for_several_columns(locate: Locate, file: Path, url: str) -> None:
    partitions = dg.StaticPartitionsDefinition(["a:a1", "a:a3", "b:a3", "b:b1"])

    def columns_of(key: str) -> dict[str, str]:
        return dict(zip(("room", "guest"), key.split(":"), strict=True))

    checks = build_asset_checks(
        file,
        resolve={"visits": "visits"},
        target=Target(url),
        partitions_def=partitions,
        partition_filter=columns_of,
    )
    location = locate(checks, partitions)
    ends = {"asset_partition_range_start": "a:a1", "asset_partition_range_end": "b:b1"}
    assert failures(location.run(**ends))["unique_visits_guest"] == 1
    ends = {"asset_partition_range_start": "a:a1", "asset_partition_range_end": "a:a3"}
    assert failures(location.run(**ends))["unique_visits_guest"] == 0


@pytest.mark.parametrize("blocking", [True, False])
def test_a_blocking_check_keeps_downstream_from_running(
    locate: Locate, file: Path, url: str, blocking: bool
) -> None:
    checks = build_asset_checks(
        file, resolve={"visits": "visits"}, target=Target(url), blocking=lambda test: blocking
    )
    location = locate(checks)
    location.run("everything")
    downstream = location.instance.get_latest_materialization_event(dg.AssetKey("downstream"))
    assert (downstream is None) is blocking


def test_a_test_that_cannot_be_carried_out_fails_the_run_and_not_the_other_checks(
    locate: Locate, file: Path, url: str
) -> None:
    checks = build_asset_checks(
        file, resolve={"visits": "visits", "nobody_asked_for": "visits"}, target=Target(url)
    )
    result = locate(checks).run()
    assert not result.success
    assert set(failures(result)) == {"not_null_visits_guest", "unique_visits_guest"}
    (step,) = [event for event in result.all_events if event.is_step_failure]
    told = step.step_failure_data.error_display_string
    assert "1 data test could not be carried out:" in told
    assert "no table 'nobody_asked_for'" in told


def test_a_test_that_is_not_supported_is_a_check_that_warns(locate: Locate, tmp_path: Path, url: str) -> None:
    path = tmp_path / "partly.yml"
    path.write_text("models: [{name: visits, data_tests: [elementary.schema_changes: {name: other}]}]")
    (checks,) = build_asset_checks(path, resolve={"visits": "visits"}, target=Target(url))
    result = locate([checks]).run()
    found = evaluations(result)["other"]
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (
        found.description == "not supported here: 'elementary.schema_changes' is of the package 'elementary'"
    )


def test_without_a_database_the_run_says_so_in_a_line_without_the_password(
    locate: Locate, file: Path
) -> None:
    target = Target("postgresql://me:hunter2@127.0.0.1:1/nowhere")
    assert "hunter2" not in repr(target)
    result = locate(build_asset_checks(file, resolve={"visits": "visits"}, target=lambda: target)).run()
    assert not result.success
    (step,) = [event for event in result.all_events if event.is_step_failure]
    assert "hunter2" not in step.step_failure_data.error_display_string
    assert "127.0.0.1" in step.step_failure_data.error_display_string


def test_values_of_the_database_reach_the_page_as_text(locate: Locate, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'd.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a TEXT, f FLOAT)")
        connection.execute(
            sa.text("INSERT INTO t VALUES (:a, 9e999), (:b, 1.5)"), {"a": HOSTILE, "b": "b" * 999}
        )
    engine.dispose()
    (tmp_path / "t.yml").write_text(
        "models:\n- name: t\n  columns:\n"
        "  - {name: a, data_tests: [accepted_values: {arguments: {values: ['```']}}]}\n"
    )
    (tmp_path / "all.sql").write_text("select * from {{ ref('t') }}")
    checks = build_asset_checks(
        load_project(tmp_path / "t.yml", tmp_path / "all.sql"), resolve=lambda _: "visits", target=Target(url)
    )
    found = evaluations(locate(checks).run())
    rows = found["all"].metadata["failing_rows"]
    assert isinstance(rows, dg.TableMetadataValue)
    shown = [dict(row.data) for row in rows.records]
    assert shown[0]["a"] == "<script>alert(1)</script>\\u{1b}[31m\\u{202e}"
    assert shown[0]["f"] == "inf"
    assert str(shown[1]["a"]).endswith("… (999 characters)")
    accepted = next(name for name in found if name.startswith("accepted_values"))
    assert str(found[accepted].metadata["compiled_sql"].value).startswith("````sql\n")


def test_a_code_block_cannot_be_left() -> None:
    assert code_block("a ```` b") == "`````sql\na ```` b\n`````"


def names_of(checks: Sequence[dg.AssetChecksDefinition]) -> list[str]:
    return [spec.name for definition in checks for spec in definition.check_specs]


def test_tests_of_one_name_have_checks_whose_names_depend_on_nothing_else(
    locate: Locate, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'd.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (价格 TEXT, 数量 TEXT, a TEXT)")
        connection.exec_driver_sql("INSERT INTO t VALUES (NULL, 'x', 'x')")
    engine.dispose()
    columns = ["价格", "数量", "a"]
    named: dict[tuple[str, ...], list[str]] = {}
    for order in (columns, columns[::-1]):
        listed = [f"{{name: {name}, data_tests: [not_null]}}" for name in order]
        (tmp_path / "t.yml").write_text(
            f"models: [{{name: t, columns: [{', '.join(listed)}]}}]", encoding="utf-8"
        )
        checks = build_asset_checks(tmp_path / "t.yml", resolve={"t": "visits"}, target=Target(url))
        named[tuple(order)] = names_of(checks)
        found = failures(locate(checks).run())
        assert [found[name] for name in names_of(checks)] == [int(name == "价格") for name in order]
    price, amount, plain = named[tuple(columns)]
    assert plain == "not_null_t_a"
    assert price != amount
    assert {price[:12], amount[:12]} == {"not_null_t__"}
    assert named[tuple(columns[::-1])] == [plain, amount, price]
    for name in ("a b", "a-b"):
        (tmp_path / "sql" / f"{name}.sql").parent.mkdir(exist_ok=True)
        (tmp_path / "sql" / f"{name}.sql").write_text("select 1")
    checks = build_asset_checks(tmp_path / "sql", resolve=lambda _: "t", target=Target("sqlite://"))
    assert len(set(names_of(checks))) == 2


def test_a_test_is_one_check(file: Path) -> None:
    tests = [*load_project(file), *load_project(file)]
    with pytest.raises(CheckError, match="is there already, from"):
        build_asset_checks(tests, resolve=lambda _: "t", target=Target("sqlite://"))


def test_options_reach_the_run(locate: Locate, file: Path, url: str) -> None:
    target = Target(url, RunOptions(sample=1))
    found = evaluations(locate(build_asset_checks(file, resolve={"visits": "visits"}, target=target)).run())
    rows = found["not_null_visits_guest"].metadata["failing_rows"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert len(rows.records) == 1
