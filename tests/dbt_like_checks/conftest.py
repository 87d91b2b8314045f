"""The three databases, empty or with planted faults."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from dbt_like_checks import open_engine
from tests.databases import fresh_postgresql_database

KINDS = ("sqlite", "postgresql", "duckdb")
NewDatabase = Callable[[str], str]

# Nothing here changes these tables: one database of each kind serves every test that only reads.
PLANTED = """
CREATE TABLE orders (id integer PRIMARY KEY, status text, total integer, customer integer, placed timestamp)
INSERT INTO orders VALUES (1, 'paid', 10, 1, '2024-01-01 10:00:00'), (2, 'paid', -5, 2, '2024-01-02 10:00:00')
INSERT INTO orders VALUES (3, 'lost', 30, 9, '2024-01-03 10:00:00'), (4, NULL, NULL, NULL, NULL)
INSERT INTO orders VALUES (5, '  ', 50, 9, '2024-01-05 10:00:00'), (6, '', 60, 1, '2024-01-06 10:00:00')
INSERT INTO orders VALUES (7, 'größe', 70, 1, '2024-01-06 10:00:00')
CREATE TABLE customers (id integer, name text, since date)
INSERT INTO customers VALUES (1, 'Ada', '2020-01-01'), (2, 'Ada', '2020-02-01'), (2, 'Bo', NULL), \
(NULL, 'Bo', '2019-12-31')
CREATE TABLE vacant (id integer, name text, seen timestamp)
CREATE TABLE ranges (room text, low integer, high integer)
INSERT INTO ranges VALUES ('a', 1, 3), ('a', 3, 5), ('a', 4, 9), ('b', 1, 2), ('b', 2, 2), ('b', 5, 6), \
('c', 1, NULL)
CREATE TABLE steps (series text, n integer, day date)
INSERT INTO steps VALUES ('x', 1, '2024-01-30'), ('x', 2, '2024-01-31'), ('x', 4, '2024-02-01'), \
('y', 1, '2024-03-01'), ('y', 2, '2024-03-03')
CREATE TABLE "odd "" table; --" (id integer PRIMARY KEY, "we""ird; col" text, "Größe" text)
INSERT INTO "odd "" table; --" VALUES (1, 'x', 'ja'), (2, NULL, 'nein'), (3, 'x', NULL)
CREATE TABLE paid_orders (status text)
INSERT INTO paid_orders VALUES ('paid'), ('paid')
CREATE TABLE flags (flag boolean, text text, "Order" integer)
INSERT INTO flags VALUES (true, 'True', 1), (false, 'False', 2), (NULL, 'None', NULL)
CREATE TABLE quotes (degree text)
INSERT INTO quotes VALUES ('Bachelor''s'), ('Master''s'), ('PhD')
CREATE TABLE month_ends (n integer, day date)
INSERT INTO month_ends VALUES (1, '2024-01-31'), (1, '2024-02-29'), (2, '2024-03-31'), (2, '2024-04-30'), \
(3, '2024-02-29'), (3, '2024-03-31'), (4, '2023-12-15'), (4, '2024-01-15')
CREATE TABLE leap_days (day date)
INSERT INTO leap_days VALUES ('2024-02-29'), ('2025-02-28')
"""


def statements(text: str) -> list[str]:
    """The SQL statements of a text, one a line."""
    return [line for line in text.strip().splitlines() if line]


def fill(url: str, text: str) -> None:
    """Run statements on a database."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in statements(text):
            connection.exec_driver_sql(statement)
    engine.dispose()


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All tables of a database with their rows: to show that nothing changed."""
    engine = open_engine(url)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names("main" if url.startswith("duckdb") else None)
        quote = engine.dialect.identifier_preparer.quote_identifier
        found = {
            name: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {quote(name)}")]
            for name in names
        }
    engine.dispose()
    return found


@pytest.fixture(scope="session")
def make_database(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> NewDatabase:
    """Makes an empty database of a kind; gives its URL."""

    def make(kind: str) -> str:
        if kind == "postgresql":
            return fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        path = tmp_path_factory.mktemp(kind) / "data.db"
        fill(f"{kind}:///{path}", "CREATE TABLE made (id integer)\nDROP TABLE made")
        return f"{kind}:///{path}"

    return make


@pytest.fixture(scope="session", params=KINDS)
def planted(request: pytest.FixtureRequest, make_database: NewDatabase) -> str:
    """The URL of a database with PLANTED, of each kind in turn."""
    url = make_database(request.param)
    fill(url, PLANTED)
    return url


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, make_database: NewDatabase) -> str:
    """The URL of a database of the test's own with PLANTED, of each kind in turn."""
    made = make_database(request.param)
    fill(made, PLANTED)
    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of a project; gives its path."""

    def write_file(text: str, name: str = "schema.yml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file
