"""What a table is called by, and which table that is."""

import pytest

from dbt_like_checks.parse.project import Model, Relation
from dbt_like_checks.parse.references import Resolver, bare_name

RESOLVER = Resolver(
    models={
        name: Model(name, Relation(table, "shop"))
        for name, table in {"orders": "orders_2", "orders.v1": "old", "orders.v2": "orders_2"}.items()
    },
    sources={("raw", "events"): Model("raw.events", Relation("events", "landing"))},
)
OLD, NEW, EVENTS = Relation("old", "shop"), Relation("orders_2", "shop"), Relation("events", "landing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ref('orders')", NEW),
        (' {{- ref( "orders" ) -}} ', NEW),
        ("ref('package', 'orders')", NEW),
        ("ref('orders', v=1)", OLD),
        ("{{ ref('orders', version='2') }}", NEW),
        ("ref('other')", Relation("other")),
        ("source('raw', 'events')", EVENTS),
        ("{{ source('raw', \"events\") }}", EVENTS),
        ("orders", NEW),
        ("plain", Relation("plain")),
        ("a.b", Relation("b", "a")),
        ("a.", Relation("a.")),
        ("a.b.c", Relation("a.b.c")),
        ("refund", Relation("refund")),
    ],
)
def test_the_table_that_is_meant(text: str, expected: Relation) -> None:
    assert RESOLVER.resolve(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ref('orders', v=3)", "no version '3' of the model 'orders': it has 1, 2"),
        ("ref('other', v=3)", "no version '3' of the model 'other': it declares no versions"),
        ("source('raw')", "source('raw') needs a table as well: source('raw', 'table')"),
        (
            "source('raw', 'event')",
            "no source 'raw.event' is declared under 'sources:': did you mean 'raw.events'?",
        ),
        ("source('x', 'y')", "no source 'x.y' is declared under 'sources:'"),
        *(
            (text, f"{text!r} is no table: write ref('model'), source('source', 'table') or its name")
            for text in ("ref(orders)", "source (x)", "{{ var('x') }}", "{% if x %}")
        ),
        (
            f"ref({'x' * 70})",
            f"{'ref(' + 'x' * 56!r} is no table: write ref('model'), source('source', 'table') or its name",
        ),
    ],
)
def test_what_means_no_table(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"no |needs") as raised:
        RESOLVER.resolve(text)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ('"Orders"', "Orders"),
        ('"a""b"', 'a"b'),
        ("orders", "orders"),
        ('""', '""'),
        ('"a', '"a'),
        ('a"', 'a"'),
    ],
)
def test_quotes_around_a_name(name: str, bare: str) -> None:
    assert bare_name(name) == bare
