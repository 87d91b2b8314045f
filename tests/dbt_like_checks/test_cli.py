"""The command line: what it prints and how it exits."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from dbt_like_checks import open_engine
from dbt_like_checks.cli import run as run_command
from tests.dbt_like_checks.conftest import PLANTED, fill

Write = Callable[..., Path]
SCHEMA = Path(__file__).parent / "run" / "run_results_v6.json"

GOOD = "models: [{name: orders, columns: [{name: id, data_tests: [not_null, unique]}]}]"
MIXED = """
models:
  - name: orders
    config: {tags: [nightly]}
    columns:
      - name: id
        data_tests: [unique]
      - name: status
        data_tests:
          - not_null
          - accepted_values: {values: [paid], config: {severity: warn}}
          - relationships: {to: custmers, field: id}
"""


@pytest.fixture
def database(make_database: Callable[[str], str]) -> str:
    """A planted SQLite database of the test's own."""
    url = make_database("sqlite")
    fill(url, PLANTED)
    return url


Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """Runs the command; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["dbt-like-checks", *map(str, arguments)])
        code = 0
        try:
            run_command()
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_all_is_well(shell: Shell, database: str, write: Write) -> None:
    code, out, _ = shell("test", write(GOOD), "--url", database, "--threads", 1)
    assert code == 0
    lines = [line[10:].partition(" in ")[0] for line in out.splitlines()]
    assert lines[:4] == [
        f"1 of 2 START test not_null_orders_id {'.' * 43} [RUN]",
        f"1 of 2 PASS not_null_orders_id {'.' * 49} [PASS",
        f"2 of 2 START test unique_orders_id {'.' * 45} [RUN]",
        f"2 of 2 PASS unique_orders_id {'.' * 51} [PASS",
    ]
    assert out.splitlines()[-1].endswith("Done. PASS=2 WARN=0 ERROR=0 SKIP=0 TOTAL=2")


def test_failures_warnings_and_errors_with_their_rows(shell: Shell, database: str, write: Write) -> None:
    path = write(MIXED)
    code, out, _ = shell("test", path, "--url", database, "--sample", 2)
    assert code == 1
    assert f"Failure in test not_null_orders_status ({path}:10:13)" in out
    assert "    id=4, status=NULL\n" in out
    assert "Got 4 results, configured to warn if != 0" in out
    assert "    … 2 of them shown\n" in out
    assert "no table 'custmers' in the database: did you mean 'customers'?" in out
    assert out.splitlines()[-1].endswith("Done. PASS=1 WARN=1 ERROR=2 SKIP=0 TOTAL=4")


def test_values_of_the_database_cannot_write_to_the_terminal(
    shell: Shell, database: str, write: Write
) -> None:
    engine = open_engine(database, writable=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE orders SET status = ? WHERE id = 1", ("\x1b[2J\u202egone\n",))
    engine.dispose()
    for output in ("text", "json", "junit"):
        arguments = ("test", write(MIXED), "--url", database, "--select", "accepted*", "--output", output)
        _, out, _ = shell(*arguments)
        assert "\x1b[2J" not in out
        assert "\u202e" not in out


def test_junit_is_xml_whatever_the_names_are(shell: Shell, database: str, write: Write) -> None:
    path = write('select 1 as "a\uffff\ufffe\U0001fffe\x0bb"', "odd.sql")
    _, out, _ = shell("test", path, "--url", database, "--output", "junit")
    failure = ElementTree.fromstring(out).find(".//failure")
    assert failure is not None
    assert failure.text == r"a\u{ffff}\u{fffe}\u{1fffe}\u{b}b=1"


def test_json_has_the_shape_of_run_results(shell: Shell, database: str, write: Write) -> None:
    code, out, _ = shell("test", write(MIXED), "--url", database, "--output", "json")
    document = json.loads(out)
    assert code == 1
    assert set(document) == {"metadata", "results", "elapsed_time", "args"}
    assert [(result["status"], result["failures"]) for result in document["results"]] == [
        ("pass", 0),
        ("fail", 1),
        ("warn", 4),
        ("error", None),
    ]
    first, second, *_ = document["results"]
    assert first["message"] is None
    assert second["unique_id"].startswith("test.checks.not_null_orders_status.")
    assert "SELECT count(*)" in second["compiled_code"]
    assert second["execution_time"] >= 0
    assert second["adapter_response"]["failing_rows"] == [{"id": 4, "status": None}]
    assert first["adapter_response"] == {}
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))


def test_junit(shell: Shell, database: str, write: Write) -> None:
    code, out, _ = shell(
        "test", write(MIXED), "--url", database, "--output", "junit", "--fail-fast", "--threads", 1
    )
    suite = ElementTree.fromstring(out).find("testsuite")
    assert code == 1
    assert suite is not None
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "2")
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["skipped"], ["skipped"]]


def test_selection(shell: Shell, write: Write) -> None:
    path = write(MIXED)
    everything = ["unique_orders_id", "not_null_orders_status", "accepted_values_orders_status__paid"]
    everything.append("relationships_orders_status__id__custmers")
    for arguments, expected in [
        ([], everything),
        (["--select", "tag:nightly"], everything),
        (["-s", "orders"], everything),
        (["-s", "unique_orders_id"], everything[:1]),
        (["-s", "unique_* not_null_*"], everything[:2]),
        (["-s", "tag:nightly,test_name:not_null"], everything[1:2]),
        (["-s", "orders", "--exclude", "*_status*"], everything[:1]),
    ]:
        code, out, _ = shell("list", path, *arguments)
        assert (code, out.split()) == (0, expected)
    assert json.loads(shell("list", path, "-s", "unique*", "--output", "json")[1]) == {
        "unique_id": shell("list", path, "--output", "json")[1].split('"')[3],
        "name": "unique_orders_id",
        "test": "unique",
        "model": "orders",
        "column": "id",
        "tags": ["nightly"],
        "severity": "error",
        "place": f"{path}:7:22",
    }


ODDLY_NAMED = """
models:
  - name: orders
    columns:
      - name: customer
        data_tests:
          - not_null
          - relationships: {name: 'weird: name, 100 %', to: ref('customers'), field: id}
          - relationships: {name: of_a_source, to: "source('raw', 'regions')", field: id}
  - name: customers
    config: {alias: clients}
    columns: [{name: id, data_tests: [unique]}]
  - name: order lines
    columns: [{name: id, data_tests: [unique]}]
sources: [{name: raw, schema: landing, tables: [{name: regions}]}]
"""


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ("customers", ["weird: name, 100 %", "unique_customers_id", "lost"]),
        ("orders", ["not_null_orders_customer", "weird: name, 100 %", "of_a_source", "lost"]),
        ("raw.regions", ["of_a_source"]),
        ("source:raw", ["of_a_source"]),
        ("weird: name, 100 %", ["weird: name, 100 %"]),
        ("order lines", ["unique_order lines_id"]),
        ("orders,test_name:relationships", ["weird: name, 100 %", "of_a_source"]),
    ],
)
def test_a_table_selects_what_is_on_it_or_refers_to_it(
    shell: Shell, write: Write, criteria: str, expected: list[str]
) -> None:
    path = write(ODDLY_NAMED)
    sql = write("select * from {{ ref('orders') }} join {{ ref('customers') }} using (id)", "lost.sql")
    code, out, err = shell("list", path, sql, "--select", criteria)
    assert (code, err, out.splitlines()) == (0, "", expected)


def test_compile_prints_sql_and_what_cannot_be_compiled(shell: Shell, database: str, write: Write) -> None:
    code, out, _ = shell("compile", write(MIXED), "--url", database)
    assert code == 1
    assert """WHERE ("orders"."status" NOT IN ('paid'))""" in out
    assert "-- no table 'custmers' in the database: did you mean 'customers'?" in out


def test_the_url_from_the_environment(
    shell: Shell, database: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LIKE_CHECKS_URL", database)
    assert shell("test", write(GOOD))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test"], "Missing argument 'PATHS...'"),
        (["test", "{good}"], "Missing option '--url' (env var: 'DBT_LIKE_CHECKS_URL')"),
        (["test", "{good}", "--url", "nonsense"], "not a database URL"),
        (["test", "{good}", "--url", "postgresql://ada:geheim@host:port/x"], "not a database URL"),
        (["test", "{good}", "--url", "sqlite:///gone.db"], "sqlite:///gone.db: unable to open database file"),
        (["test", "gone.yml", "--url", "sqlite://"], "gone.yml:1:1: no such file or folder"),
        (["test", "{bad}", "--url", "sqlite://"], "unknown test 'nut_null': did you mean 'not_null'?"),
        (["list", "{good}", "-s", "tag:nightly"], "--select: no test meets 'tag:nightly'"),
        (["list", "{good}", "-s", "owner:x"], "unknown selection 'owner:'"),
        (["list", "{good}", "-s", "path:x"], "--select: no test meets 'path:x'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_what_cannot_be_done_exits_with_two(
    shell: Shell, write: Write, arguments: list[str], said: str
) -> None:
    good = write(GOOD)
    bad = write(GOOD.replace("not_null", "nut_null"), "bad.yml")
    code, out, err = shell(*[argument.format(good=good, bad=bad) for argument in arguments])
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_the_editor_schema_takes_a_severity_in_any_case(shell: Shell, write: Write) -> None:
    schema = json.loads(shell("schema")[1])
    offered, other = schema["$defs"]["config"]["properties"]["severity"]["anyOf"]
    for severity in ("error", "warn", "Warn", "ERROR", "fatal"):
        path = write(
            f"models: [{{name: t, data_tests: [{{recency: {{config: {{severity: {severity}}}}}}}]}}]"
        )
        loads = "severity" not in shell("list", path)[2]
        taken = severity in offered["enum"] or re.search(other["pattern"], severity) is not None
        assert taken is loads, severity


def test_what_nobody_foresaw_exits_with_two() -> None:
    command = "from dbt_like_checks.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", command, "schema"], stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert done.returncode == 2
    assert b"No space left on device" in done.stderr


def test_the_trace_of_what_nobody_foresaw_shows_no_secret(
    shell: Shell, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LIKE_CHECKS_URL", "postgresql://ada:geheim@127.0.0.1:1/x?sslpassword=auch")

    def fails(*_: object, **__: object) -> None:
        raise TypeError("cannot use geheim, auch, password='und dies' or postgresql://eve:das@host/x")

    monkeypatch.setattr("dbt_like_checks.run.runner.run_tests", fails)
    code, out, err = shell("test", write(GOOD))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "TypeError: cannot use ***, ***, password=*** or postgresql://eve:***@host/x"
    )


def test_the_editor_schema_knows_every_test_and_resolves(shell: Shell) -> None:
    code, out, _ = shell("schema")
    schema = json.loads(out)
    assert code == 0
    names = schema["$defs"]["test"]["oneOf"][0]["enum"]
    assert {"not_null", "dbt_utils.accepted_range", "accepted_range"} <= set(names)
    accepted = schema["$defs"]["test_accepted_values"]["properties"]["arguments"]
    assert accepted["required"] == ["values"]

    def references(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            part = list(part.values())
        if isinstance(part, list):
            for item in part:
                yield from references(item)

    for reference in references(schema):
        found = schema
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_help_waits_for_no_library_of_databases() -> None:
    script = """if True:
        import sys
        from dbt_like_checks.cli import run
        try:
            run()
        finally:
            print({"sqlalchemy", "pydantic"} & set(sys.modules))"""
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("Usage:")
    assert done.stdout.splitlines()[-1] == "set()"


PARTLY = """
models:
  - name: orders
    owner: ada
    data_tests:
      - elementary.volume_anomalies
    columns:
      - name: id
        data_tests: [not_null]
      - name: status
        data_tests:
          - accepted_values: {arguments: {values: "{{ var('words') }}"}, config: {severity: warn}}
"""
WORDS = "{words: [paid]}"


def test_what_is_not_supported_is_skipped_and_said_at_the_end(
    shell: Shell, database: str, write: Write
) -> None:
    path = write(PARTLY)
    code, out, err = shell("test", path, "--url", database, "--vars", WORDS)
    assert code == 0
    assert f"Warning: {path}:4:5: a model: unknown key 'owner', passed over as by dbt" in err
    done, last = (line[10:] for line in out.splitlines()[-2:])
    assert done == "Done. PASS=1 WARN=1 ERROR=0 SKIP=1 TOTAL=3"
    assert last == "1 test is not supported here, and skipped: elementary.volume_anomalies (1)"
    code, _, err = shell("test", path, "--url", database, "--vars", WORDS, "--strict")
    assert (code, "not supported here: 'elementary.volume_anomalies'" in err) == (2, True)
    arguments = ("test", path, "--url", database, "--vars", WORDS, "--strict", "--exclude", "elementary*")
    assert shell(*arguments)[0] == 0


def test_warnings_are_errors_where_asked(shell: Shell, database: str, write: Write) -> None:
    path, sound = write(PARTLY), write(PARTLY.replace("    owner: ada\n", ""), "sound.yml")
    code, _, err = shell("list", path, "--vars", WORDS, "--warn-error")
    assert (code, "unknown key 'owner'" in err) == (2, True)
    assert shell("test", sound, "--url", database, "--vars", WORDS, "--warn-error")[0] == 1
    assert (
        shell("test", sound, "--url", database, "--vars", WORDS, "--warn-error", "-s", "test_name:not_null")[
            0
        ]
        == 0
    )


def test_quiet_prints_what_is_not_well(shell: Shell, database: str, write: Write) -> None:
    assert shell("test", write(GOOD), "--url", database, "-q") == (0, "", "")
    code, out, _ = shell("test", write(MIXED), "--url", database, "-q")
    assert (code, "Failure in test not_null_orders_status" in out, "Done." in out) == (1, True, False)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ("path:{folder}/models", ["not_null_orders_id", "unique_orders_id"]),
        ("{folder}/models/good.yml", ["not_null_orders_id", "unique_orders_id"]),
        ("models/good.yml", ["not_null_orders_id", "unique_orders_id"]),
        ("path:models/*.yml", ["not_null_orders_id", "unique_orders_id"]),
        ("tests/lost.sql", ["lost"]),
        ("test_type:singular", ["lost"]),
        ("test_type:generic", ["not_null_orders_id", "unique_orders_id"]),
        ("lost+", ["lost"]),
        ("1+unique_orders_id", ["unique_orders_id"]),
        ("@orders", ["not_null_orders_id", "unique_orders_id"]),
    ],
)
def test_dbts_other_ways_to_select(shell: Shell, write: Write, criteria: str, expected: list[str]) -> None:
    folder = write("name: shop", "shop/dbt_project.yml").parent
    write(GOOD, "shop/models/good.yml")
    write("select 1", "shop/tests/lost.sql")
    code, out, err = shell("list", folder, "--select", criteria.format(folder=folder))
    assert (code, err, out.split()) == (0, "", expected)


def test_the_version(shell: Shell) -> None:
    assert re.fullmatch(r"dbt-like-checks, version \S+\n", shell("--version")[1])
