"""Values of the database as they are shown: in no language but the reader's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbt_like_checks import load_project, run_tests
from dbt_like_checks.output.terminal import shown_row
from tests.dbt_like_checks.conftest import fill

TABLES = {
    "postgresql": r"""CREATE TABLE t (j jsonb, b bytea, a integer[])
INSERT INTO t VALUES ('{"a": "é"}', '\x00ff', '{1,NULL}')""",
    "duckdb": r"""CREATE TABLE t (j STRUCT(a TEXT), b BLOB, a INTEGER[])
INSERT INTO t VALUES ({'a': 'é'}, '\x00\xFF'::BLOB, [1, NULL])""",
    "sqlite": """CREATE TABLE t (b blob)
INSERT INTO t VALUES (x'00ff')""",
}


@pytest.mark.parametrize("kind", TABLES)
def test_what_is_no_text_is_not_shown_as_python_writes_it(
    kind: str, make_database: Callable[[str], str], tmp_path: Path
) -> None:
    url = make_database(kind)
    fill(url, TABLES[kind])
    (tmp_path / "t.sql").write_text("select * from {{ ref('t') }}")
    (result,) = run_tests(load_project(tmp_path), url)
    values = {"j": '{"a": "é"}', "b": r"\x00ff", "a": "[1, null]"}
    shown = {name: values[name] for name in result.rows[0]}
    assert result.to_json()["adapter_response"] == {"failing_rows": [shown]}
    assert shown_row(result.rows[0]) == ", ".join(f"{name}={value}" for name, value in shown.items())
