"""Tables with planted faults, the same on every database and for every machine.

What is planted: NULLs, blank and white-space text, values out of range and out of the list, orphans,
duplicates of values and of whole rows, gaps and overlaps, names that must be quoted, text in many
scripts; and one table without a row, one with nothing but NULLs, and one without a fault.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

SEED = 20260102
FIRST_DAY = date(2020, 2, 27)  # a leap day is near
COUNTRIES = ("fr", "jp", "de", "br")
STATUSES = ("placed", "shipped", "returned")
NAMES = ("Ada", "Zoë", "Łukasz", "李小龙", "محمد", "Ольга", "O'Brien", "a%b_c", 'say "hi"', "💡 idea", "ﬁ")
BLANKS = ("", " ", "\t", " \n ")

metadata = sa.MetaData()


def _people(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Integer),
        sa.Column("name", sa.String),
        sa.Column("email", sa.String),
        sa.Column("age", sa.Integer),
        sa.Column("country", sa.String),
        sa.Column("score", sa.Float),
        sa.Column("joined", sa.Date),
        sa.Column("seen_at", sa.DateTime),
    )


people = _people("people")
clean_people = _people("clean_people")
empty_people = _people("empty_people")
null_people = _people("null_people")

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("order_id", sa.Integer),
    sa.Column("person_id", sa.Integer),
    sa.Column("status", sa.String),
    sa.Column("priority", sa.Integer),
    sa.Column("placed", sa.Date),
    sa.Column("note", sa.String),
)
odd_names = sa.Table(
    "odd_names",
    metadata,
    sa.Column("order", sa.Integer),
    sa.Column("two words", sa.String),
    sa.Column("CamelCase", sa.Integer),
    sa.Column("größe", sa.Integer),
    sa.Column("a.b;c", sa.String),
)
stays = sa.Table(
    "stays",
    metadata,
    sa.Column("room", sa.String),
    sa.Column("arrival", sa.Date),
    sa.Column("departure", sa.Date),
)
steps = sa.Table(
    "steps",
    metadata,
    sa.Column("series", sa.String),
    sa.Column("n", sa.Integer),
    sa.Column("tens", sa.Integer),
    sa.Column("day", sa.Date),
)

Row = Mapping[str, Any]


def rows_of(seed: int = SEED) -> dict[str, list[Row]]:
    """The rows of every table, by its name."""
    chance = random.Random(seed)
    persons = _some_people(chance)
    return {
        "people": persons,
        "clean_people": [_person(chance, number) for number in range(1, 41)],
        "empty_people": [],
        "null_people": [dict.fromkeys(people.c.keys()) for _ in range(5)],
        "orders": _some_orders(chance),
        "odd_names": _some_odd_names(chance),
        "stays": _some_stays(chance),
        "steps": _some_steps(chance),
    }


def create(engine: sa.Engine, rows: Mapping[str, Sequence[Row]]) -> None:
    """Make the tables in an empty database and fill them."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        for name, table_rows in rows.items():
            if table_rows:
                connection.execute(sa.insert(metadata.tables[name]), [dict(row) for row in table_rows])


def _person(chance: random.Random, number: int) -> dict[str, Any]:
    joined = FIRST_DAY + timedelta(days=chance.randrange(900))
    return {
        "id": number,
        "name": f"{chance.choice(NAMES)} {number}",
        "email": f"person{number}@example.org",
        "age": chance.randrange(18, 91),
        "country": chance.choice(COUNTRIES),
        "score": chance.randrange(0, 401) / 4,  # quarters: exact in binary
        "joined": joined,
        "seen_at": datetime.combine(joined, time(12, 30)),
    }


def _some_people(chance: random.Random) -> list[Row]:
    persons = [_person(chance, number) for number in range(1, 121)]
    for column, share in (("id", 3), ("name", 8), ("email", 11), ("age", 9), ("country", 6), ("joined", 7)):
        for person in chance.sample(persons, share):
            person[column] = None
    for person in chance.sample(persons, 10):
        person["name"] = chance.choice(BLANKS)
    for person in chance.sample(persons, 6):
        person["age"] = chance.choice((-1, 17, 121, 999))
    for person in chance.sample(persons, 5):
        person["country"] = chance.choice(("FR", "xx", "日本", "DEU"))
    for person in chance.sample(persons, 7):
        person["email"] = chance.choice(("no at sign", "two@@example.org", "ünï@example.org", "a@b"))
    persons += [dict(person) for person in chance.sample(persons, 9)]  # whole rows twice
    for person in chance.sample(persons, 4):
        person["id"] = 7
    return list(persons)


def _some_orders(chance: random.Random) -> list[Row]:
    made: list[dict[str, Any]] = [
        {
            "order_id": number,
            "person_id": chance.randrange(1, 121),
            "status": chance.choice(STATUSES),
            "priority": chance.randrange(1, 4),
            "placed": FIRST_DAY + timedelta(days=chance.randrange(400)),
            "note": chance.choice((None, "", "fragile", "leave at door", "贈り物", "naïve")),
        }
        for number in range(1, 201)
    ]
    for order in chance.sample(made, 12):
        order["person_id"] = chance.choice((None, 0, 9999, -5))
    for order in chance.sample(made, 9):
        order["status"] = chance.choice((None, "Placed", "lost", ""))
    for order in chance.sample(made, 8):
        order["priority"] = chance.choice((None, 0, 7))
    return list(made)


def _some_odd_names(chance: random.Random) -> list[Row]:
    return [
        {
            "order": chance.choice((None, number, 3)),
            "two words": chance.choice((None, "", "yes", "no", "O'Brien")),
            "CamelCase": number % 13,
            "größe": chance.choice((None, 36, 38, 40, 99)),
            "a.b;c": chance.choice(("x", "y", None)),
        }
        for number in range(1, 41)
    ]


def _some_stays(chance: random.Random) -> list[Row]:
    made: list[Row] = []
    for room in ("blue", "red", "Grün"):
        arrival = FIRST_DAY
        for _ in range(12):
            departure = arrival + timedelta(days=chance.choice((0, 1, 2, 3, 5)))
            made.append({"room": room, "arrival": arrival, "departure": departure})
            arrival = departure + timedelta(days=chance.choice((-1, 0, 0, 0, 2)))
    made.append({"room": "blue", "arrival": FIRST_DAY + timedelta(days=999), "departure": None})
    return made


def _some_steps(chance: random.Random) -> list[Row]:
    made: list[Row] = []
    for series in ("a", "b", "ç"):
        n = chance.randrange(5)
        for _ in range(20):
            n += chance.choice((0, 1, 1, 1, 1, 2))
            made.append({"series": series, "n": n, "tens": n * 10, "day": FIRST_DAY + timedelta(days=n)})
    return made
