"""The tests that both sides run: one `schema.yml` and some singular tests, made from a seed.

Every test is run as it is, and twice more under a drawn configuration (`where`, `limit`, `warn_if`,
`error_if`, `severity`, `store_failures`); and once, on the first of its tables, with its failing rows stored.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.compare_dbt.case import Case
from tests.compare_dbt.rarest import rarest_on_people
from tests.compare_dbt.tables import SEED, metadata

NO_WHERE = ("column_to_exist", "type_list", "of_type", ".equality", "every_n_datepart")
DRAWN = 2  # configurations for each test
PEOPLE = ("people", "clean_people", "empty_people", "null_people")

# What the person who owns the file might write; the same text runs on every database.
WHERE: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(
        PEOPLE,
        (
            "age > 40",
            "country = 'fr'",
            "name like 'Z%'",
            "joined >= '2021-01-01'",
            "id is not null and email is not null",
            "name = 'O''Brien 5' or country <> '日本'",
            "1 = 0",
        ),
    ),
    "orders": (
        "priority >= 2",
        "status in ('placed', 'lost')",
        "note = '贈り物'",
        "placed < '2020-06-30'",
        "1 = 0",
    ),
    "odd_names": ('"order" > 20', "\"two words\" = 'O''Brien'", '"größe" is not null', "\"a.b;c\" <> 'x'"),
    "stays": ("room <> 'blue'", "arrival > '2020-03-15'", "1 = 0"),
    "steps": ("series = 'ç'", "n > 10", "1 = 0"),
}
THRESHOLDS = ("!= 0", "> 0", "> 3", ">= 5", "< 4", "= 0", "= 1", "<= 2", ">10", "between 2 and 9")


def generic_cases() -> list[Case]:
    """Every shared test on tables where it has something to find, and where it has not."""
    return [
        *(*_on_people(), *_on_orders(), *_on_odd_names(), *_on_stays(), *_on_steps(), *_spelled_oddly()),
        *(each for table in PEOPLE for each in _more_on_people(table)),
        *(each for table in PEOPLE for each in _rarer_on_people(table)),
        *(each for table in PEOPLE for each in rarest_on_people(table)),
    ]


def _on_people() -> Iterator[Case]:
    for table in PEOPLE:
        for column in ("id", "name", "age", "joined", "seen_at"):
            yield Case(table, column, "not_null", {})
            yield Case(table, column, "unique", {})
        yield Case(table, "country", "accepted_values", {"values": ["fr", "jp", "de", "br"]})
        yield Case(table, "country", "accepted_values", {"values": ["fr", "日本"]})
        yield Case(table, "age", "accepted_values", {"values": [17, 18, 19, 20], "quote": False})
        yield Case(table, "id", "relationships", {"to": "ref('clean_people')", "field": "id"})
        yield Case(table, "id", "relationships", {"to": "ref('null_people')", "field": "id"})
        yield Case(table, "id", "relationships", {"to": "ref('empty_people')", "field": "id"})
        yield from _utils_on_people(table)
        yield from _expectations_on_people(table)


def _utils_on_people(table: str) -> Iterator[Case]:
    def utils(test: str, column: str | None = None, **arguments: Any) -> Case:
        return Case(table, column, f"dbt_utils.{test}", arguments)

    yield utils("expression_is_true", expression="age >= 18 or country = 'fr'")
    yield utils("expression_is_true", "score", expression=">= 12.5")
    yield utils("unique_combination_of_columns", combination_of_columns=["id", "email"])
    yield utils("unique_combination_of_columns", combination_of_columns=["country", "age"])
    yield utils("not_empty_string", "name")
    yield utils("not_empty_string", "name", trim_whitespace=False)
    yield utils("not_constant", "country")
    yield utils("not_constant", "email")
    yield utils("accepted_range", "age", min_value=18, max_value=90)
    yield utils("accepted_range", "age", min_value=18, inclusive=False)
    yield utils("accepted_range", "score", max_value=99.75, inclusive=False)
    yield utils("at_least_one", "email")
    yield utils("at_least_one", "age", group_by_columns=["country"])
    yield utils("equal_rowcount", compare_model="ref('people')")
    yield utils("equal_rowcount", compare_model="ref('empty_people')")
    yield utils("fewer_rows_than", compare_model="ref('people')")
    yield utils("fewer_rows_than", compare_model="ref('null_people')")
    yield utils("fewer_rows_than", compare_model="ref('empty_people')")
    yield utils("fewer_rows_than", compare_model="ref('clean_people')", group_by_columns=["country"])
    yield utils("equal_rowcount", compare_model="ref('clean_people')", group_by_columns=["country"])
    yield utils("recency", field="seen_at", datepart="day", interval=1)
    yield utils("recency", field="seen_at", datepart="day", interval=200_000)
    yield utils("recency", field="joined", datepart="month", interval=1, group_by_columns=["country"])
    yield utils("cardinality_equality", "country", to="ref('clean_people')", field="country")
    yield utils("cardinality_equality", "age", to="ref('people')", field="age")
    yield utils("not_null_proportion", "email", at_least=0.95)
    yield utils("not_null_proportion", "age", at_least=0.5, at_most=0.97)
    yield utils("not_null_proportion", "age", at_least=0.9, group_by_columns=["country"])


def _expectations_on_people(table: str) -> Iterator[Case]:
    def expect(test: str, column: str | None = None, **arguments: Any) -> Case:
        return Case(table, column, f"dbt_expectations.expect_{test}", arguments)

    yield expect("column_values_to_match_regex", "email", regex="^[a-z0-9]+@[a-z]+[.]org$")
    yield expect("column_values_to_match_regex", "email", regex="@", row_condition="age > 30")
    yield expect("column_values_to_not_match_regex", "email", regex="@@|ünï")
    yield expect("column_value_lengths_to_equal", "country", value=2)
    yield expect("column_value_lengths_to_be_between", "name", min_value=5, max_value=8)
    yield expect("column_value_lengths_to_be_between", "name", min_value=5, strictly=True)
    yield expect("table_row_count_to_be_between", min_value=1, max_value=100)
    yield expect("table_row_count_to_be_between", min_value=40)
    yield expect("column_to_exist", "email")
    yield expect("column_to_exist", "e_mail")


def _more_on_people(table: str) -> Iterator[Case]:
    def case(test: str, column: str | None = None, **arguments: Any) -> Case:
        return Case(table, column, test, arguments)

    utils, expect = "dbt_utils.", "dbt_expectations.expect_"
    yield case("accepted_values", "name", values=["O''Brien 5", "Ada 1"])
    yield case(f"{expect}column_values_to_not_match_regex", "name", regex="O''B")
    yield case(f"{utils}recency", field="coalesce(seen_at, seen_at)", datepart="day", interval=200_000)
    clean = {"to": "ref('clean_people')", "field": "id"}
    yield case(f"{utils}relationships_where", "id", from_condition="age > 30", **clean)
    yield case(f"{utils}relationships_where", "id", to_condition="country = 'fr'", **clean)
    yield case(f"{utils}not_accepted_values", "country", values=["xx", "日本"])
    yield case(f"{utils}equality", compare_model="ref('clean_people')", compare_columns=["id", "country"])
    yield case(f"{expect}column_values_to_be_between", "age", min_value=18, max_value=90)
    yield case(f"{expect}column_values_to_be_between", "score", min_value=12.5, strictly=True)
    yield case(f"{expect}column_values_to_be_in_set", "country", value_set=["fr", "jp", "de", "br"])
    yield case(f"{expect}column_values_to_not_be_null", "email", row_condition="age > 30")
    yield case(f"{expect}column_distinct_count_to_equal", "country", value=4)
    yield case(f"{expect}column_distinct_count_to_equal", "age", value=1, group_by=["country"])
    yield case(f"{expect}table_row_count_to_equal", value=40)
    yield case(f"{expect}column_max_to_be_between", "age", max_value=90)
    yield case(f"{expect}column_values_to_be_unique", "id", row_condition="age > 30")
    yield case(f"{expect}column_pair_values_A_to_be_greater_than_B", column_A="age", column_B="score")


def _rarer_on_people(table: str) -> Iterator[Case]:
    def expect(test: str, column: str | None = None, **arguments: Any) -> Case:
        return Case(table, column, f"dbt_expectations.expect_{test}", arguments)

    yield expect("column_values_to_not_be_in_set", "country", value_set=["xx", "日本"])
    yield expect("column_distinct_values_to_be_in_set", "country", value_set=["fr", "jp", "de"])
    yield expect("column_values_to_be_null", "email", row_condition="age > 90")
    yield expect("compound_columns_to_be_unique", column_list=["country", "age"])
    yield expect(
        "compound_columns_to_be_unique", column_list=["id", "email"], ignore_row_if="any_value_is_missing"
    )
    yield expect("column_values_to_be_in_type_list", "age", column_type_list=["integer", "bigint"])
    yield expect("column_values_to_be_of_type", "name", column_type="date")
    yield expect("column_pair_values_to_be_equal", column_A="age", column_B="score")
    yield expect("column_distinct_count_to_be_greater_than", "country", value=4)
    yield expect("column_distinct_count_to_be_less_than", "age", value=3, group_by=["country"])
    yield expect("table_row_count_to_equal_other_table", compare_model="ref('people')")
    yield expect("table_row_count_to_equal_other_table", compare_model="ref('clean_people')", factor=2)
    yield expect("column_min_to_be_between", "age", min_value=18)
    yield expect("column_sum_to_be_between", "age", max_value=1000, group_by=["country"])
    yield expect("column_mean_to_be_between", "score", min_value=20, max_value=60, strictly=True)
    yield expect("column_unique_value_count_to_be_between", "country", min_value=2, max_value=4)
    yield expect("column_proportion_of_unique_values_to_be_between", "id", min_value=0.99)
    yield expect("column_values_to_match_regex_list", "email", regex_list=["@", "[.]org$"], match_on="all")
    yield expect("column_values_to_not_match_regex_list", "name", regex_list=["^Z", "9$"])


def _on_orders() -> Iterator[Case]:
    yield Case("orders", "person_id", "relationships", {"to": "ref('people')", "field": "id"})
    yield Case("orders", "person_id", "relationships", {"to": "ref('clean_people')", "field": "id"})
    yield Case("orders", "status", "accepted_values", {"values": ["placed", "shipped", "returned"]})
    yield Case("orders", "priority", "accepted_values", {"values": [1, 2, 3], "quote": False})
    for column in ("order_id", "person_id", "status", "note"):
        yield Case("orders", column, "not_null", {})
        yield Case("orders", column, "unique", {})
    yield Case("orders", "note", "dbt_utils.not_empty_string", {})
    yield Case("orders", "priority", "dbt_utils.accepted_range", {"min_value": 1, "max_value": 3})
    yield Case("orders", None, "dbt_utils.fewer_rows_than", {"compare_model": "ref('people')"})
    yield Case("orders", None, "dbt_utils.equal_rowcount", {"compare_model": "ref('steps')"})
    yield Case(
        "orders",
        None,
        "dbt_utils.expression_is_true",
        {"expression": "placed >= '2020-03-01' and priority between 1 and 3"},
    )


def _on_odd_names() -> Iterator[Case]:
    for column in ("order", "two words", "CamelCase", "größe", "a.b;c"):
        yield Case("odd_names", column, "not_null", {})
        yield Case("odd_names", column, "unique", {})
    yield Case("odd_names", "two words", "accepted_values", {"values": ["yes", "no", ""]})
    yield Case("odd_names", "größe", "accepted_values", {"values": [36, 38, 40], "quote": False})
    yield Case("odd_names", "order", "relationships", {"to": "ref('clean_people')", "field": "id"})
    yield Case("odd_names", "two words", "dbt_utils.not_empty_string", {})
    yield Case("odd_names", "größe", "dbt_utils.accepted_range", {"min_value": 30, "max_value": 50})
    yield Case(
        "odd_names",
        None,
        "dbt_utils.unique_combination_of_columns",
        {"combination_of_columns": ["two words", "a.b;c"], "quote_columns": True},
    )


def _on_stays() -> Iterator[Case]:
    for gaps in ("allowed", "not_allowed", "required"):
        for partition_by in (None, "room"):
            for zero_length in (False, True):
                arguments: dict[str, Any] = {
                    "lower_bound_column": "arrival",
                    "upper_bound_column": "departure",
                    "gaps": gaps,
                    "zero_length_range_allowed": zero_length,
                }
                if partition_by:
                    arguments["partition_by"] = partition_by
                yield Case("stays", None, "dbt_utils.mutually_exclusive_ranges", arguments)


def _on_steps() -> Iterator[Case]:
    grouped = {"group_by_columns": ["series"]}
    for column, arguments in (
        ("n", {}),
        ("n", grouped),
        ("tens", {"interval": 10, **grouped}),
        ("day", {"interval": 1, "datepart": "day", **grouped}),
    ):
        yield Case("steps", column, "dbt_utils.sequential_values", arguments)


def _spelled_oddly() -> Iterator[Case]:
    """Arguments that quote a name themselves, and values that are none."""
    names = {"combination_of_columns": ['"two words"', '"a.b;c"']}
    yield Case("odd_names", None, "dbt_utils.unique_combination_of_columns", names)
    yield Case("orders", "priority", "relationships", {"to": "ref('odd_names')", "field": '"CamelCase"'})
    yield Case("orders", "priority", "relationships", {"to": "ref('odd_names')", "field": '"order"'})
    yield Case("orders", "status", "accepted_values", {"values": ["placed", None, True]})


def singular_tests() -> dict[str, str]:
    """Singular tests by name: queries for failing rows, with dbt's own way to name a model."""
    people, orders = "{{ ref('people') }}", "{{ ref('orders') }}"
    return {
        "adults_only": f"select id, age from {people} where age < 18",
        "nobody_in_atlantis": f"select id from {people} where country = 'atlantis'",
        "warned_about": "{{ config(severity='warn') }}\n" + f"select id from {people} where name = ''",
        "few_are_fine": "{{ config(warn_if='>1', error_if='>1000') }}\n"
        + f"select o.order_id from {orders} o left join {people} p on p.id = o.person_id where p.id is null",
        "as_written": "{{ config(store_failures = true) }}\n"
        + rf"select id, age from {people} where age < 18 and length('\w:\\') = 5",
        "five_at_most": "{{ config(limit=5) }}\n" + f"select order_id from {orders} where priority = 1",
    }


def schema(seed: int = SEED) -> dict[str, Any]:
    """The whole `schema.yml`, as data. Test names begin with a number and so are in order."""
    chance = random.Random(seed)
    models: dict[str, dict[str, Any]] = {name: {"name": name} for name in metadata.tables}
    configured: list[tuple[Case, dict[str, Any]]] = []
    for case in generic_cases():
        configured += [(case, each) for each in [{}, *(_drawn(chance, case) for _ in range(DRAWN))]]
    for number, (case, configuration) in enumerate([*configured, *_stored()], 1):
        if _misses_a_side(case, configuration):
            continue
        told: dict[str, Any] = {"name": f"t{number:04d}_{case.test.rpartition('.')[2]}"}
        told |= {"arguments": dict(case.arguments)} if case.arguments else {}
        told |= {"config": configuration} if configuration else {}
        _tests_at(models[case.table], case.column).append({case.test: told})
    return {"version": 2, "models": list(models.values())}


def _stored() -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each test with its arguments on one table, its failing rows stored: for the columns that they have."""
    seen: set[str] = set()
    for case in generic_cases():
        what = repr((case.test, case.column, case.arguments))
        if what not in seen and not _misses_a_side(case, {}):
            seen.add(what)
            yield case, {"store_failures": True}


def _misses_a_side(case: Case, configuration: Mapping[str, Any]) -> bool:
    """Whether two tables' rows are counted and one of them, or a group of one, may have none.

    dbt-utils has NULL there, which differs from nothing and lets the test pass; here it is 0 rows.
    """
    if case.test not in ("dbt_utils.equal_rowcount", "dbt_utils.fewer_rows_than"):
        return False
    sides, where = (case.table, case.arguments["compare_model"]), configuration.get("where")
    if any("empty" in side for side in sides) or where == "1 = 0":
        return True
    return (
        case.table != "clean_people"
        if "group_by_columns" in case.arguments
        else "null" in case.table and bool(where)
    )


def _tests_at(model: dict[str, Any], column: str | None) -> list[dict[str, Any]]:
    place = model
    if column is not None:
        columns = model.setdefault("columns", [])
        found = [entry for entry in columns if entry["name"] == column]
        if not found:
            found = [{"name": column}]
            if model["name"] == "odd_names":
                found[0]["quote"] = True
            columns += found
        place = found[0]
    tests: list[dict[str, Any]] = place.setdefault("data_tests", [])
    return tests


def _drawn(chance: random.Random, case: Case) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    # A column's existence and its type have no rows to choose from; dbt_utils' equality refuses a subquery.
    if chance.random() < 0.6 and not case.test.endswith(NO_WHERE) and "table_column" not in case.test:
        drawn["where"] = chance.choice(WHERE[case.table])
    # Where counts are summed over groups, a limit would make it matter which group comes first.
    if chance.random() < 0.4 and "group_by_columns" not in case.arguments:
        drawn["limit"] = chance.choice((1, 2, 5, 1000))
    if chance.random() < 0.5:
        drawn["warn_if"] = chance.choice(THRESHOLDS)
    if chance.random() < 0.5:
        drawn["error_if"] = chance.choice(THRESHOLDS)
    if chance.random() < 0.5:
        drawn["severity"] = chance.choice(("warn", "error"))
    if chance.random() < 0.1:
        drawn["store_failures"] = True
    if chance.random() < 0.03:
        drawn["enabled"] = False
    return drawn


def write(folder: Path, seed: int = SEED) -> None:
    """Write ``schema.yml`` and the singular tests into a folder, as a dbt project has them."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "tests").mkdir(exist_ok=True)
    text = yaml.safe_dump(schema(seed), allow_unicode=True, sort_keys=False)
    (folder / "models" / "schema.yml").write_text(text, encoding="utf-8")
    for name, sql in singular_tests().items():
        (folder / "tests" / f"{name}.sql").write_text(sql + "\n", encoding="utf-8")
