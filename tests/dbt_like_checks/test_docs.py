"""The documentation names every test, and its example and commands do what it says."""

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dbt_like_checks.cli import run
from dbt_like_checks.tests.generic import SHIPPED

DOCUMENT = Path(__file__).parents[2] / "docs" / "dbt-like-checks.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_every_test_is_in_the_table_with_its_arguments() -> None:
    rows = {row.split("`")[1]: row for row in TEXT.splitlines() if row.startswith("| `")}
    tests = {test.qualified_name: test for test in SHIPPED}
    assert set(rows) == set(tests)
    for name, test in tests.items():
        assert test.description in rows[name]
        for argument, field in test.arguments.model_fields.items():
            if argument != "is_raw":
                assert f"`{argument}`" + ("" if field.is_required() else "?") in rows[name]


def test_the_commands_run_on_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checks").mkdir()
    example = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]
    (tmp_path / "checks" / "schema.yml").write_text(example, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id integer PRIMARY KEY, status text, total integer)")
        connection.execute("INSERT INTO orders VALUES (1, 'paid', 10), (200, 'odd', 20)")
        connection.commit()
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^dbt-like-checks .*$", TEXT, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        monkeypatch.setattr("sys.argv", shlex.split(command.partition(" > ")[0]))
        code: object = 0
        try:
            run()
        except SystemExit as ended:
            code = ended.code
        assert not code, (command, capsys.readouterr())
    assert {path.name for path in tmp_path.iterdir()} == {"checks", "shop.db"}
