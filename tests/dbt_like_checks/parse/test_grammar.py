"""What files may say: a real dbt schema as it is, and every problem at once with its place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dbt_like_checks import Column, DataTest, Project, ProjectError, Relation, Severity, load_project
from dbt_like_checks.parse.selection import select_tests

Write = Callable[..., Path]

REAL = """
version: 2

models:
  - name: dim_customers
    description: "{{ doc('dim_customers') }}"
    access: public
    latest_version: 1
    docs: {node_color: "#cd7f32"}
    meta: {owner: "@alice"}
    config:
      materialized: table
      tags: [core]
      contract: {enforced: true}
    constraints:
      - type: primary_key
        columns: [id]
    data_tests:
      - dbt_utils.unique_combination_of_columns:
          arguments:
            combination_of_columns: [id, region]
      - dbt_utils.expression_is_true:
          name: positive_lifetime
          description: Lifetimes are never negative
          arguments:
            expression: lifetime >= 0
          config:
            severity: warn
    columns:
      - name: id
        data_type: integer
        constraints: [{type: not_null}]
        tags: [key]
        data_tests:
          - unique
          - not_null:
              config:
                where: "region is not null"
      - name: region
        quote: true
        tests:
          - accepted_values:
              values: ['us', 'eu', 2024-01-01]
              severity: warn
              tags: nightly
          - relationships:
              to: source('raw', 'regions')
              field: code
              config: {error_if: ">10", warn_if: ">0", limit: 100, enabled: false}

sources:
  - name: raw
    schema: landing
    loader: fivetran
    freshness: {warn_after: {count: 1, period: day}}
    tables:
      - name: regions
        identifier: regions_v2
        columns:
          - name: code
            data_tests:
              - test_name: not_null
                name: every_region_has_a_code

exposures:
  - name: dashboard
    type: dashboard
    owner: {email: a@example.org}
"""


def by_name(project: Project) -> dict[str, DataTest]:
    return {test.name: test for test in project}


def problems_of(path: Path) -> list[str]:
    """What is wrong with a file, a line each; anything but a ProjectError is a fault of ours."""
    try:
        load_project(path)
    except ProjectError as error:
        return list(map(str, error.problems))
    return []


def test_a_real_dbt_schema_loads_unchanged(write: Write) -> None:
    project = load_project(write(REAL.replace("    latest_version: 1\n", "")))
    tests = by_name(project)
    assert list(tests) == [
        "dbt_utils_unique_combination_of_columns_dim_customers_id__region",
        "positive_lifetime",
        "unique_dim_customers_id",
        "not_null_dim_customers_id",
        "accepted_values_dim_customers__region___us__eu__2024_01_01",
        "relationships_dim_customers__region___code__source_raw_regions_",
        "every_region_has_a_code",
    ]
    positive = tests["positive_lifetime"]
    assert (positive.kind, positive.config.severity) == ("dbt_utils.expression_is_true", Severity.WARN)
    assert positive.description == "Lifetimes are never negative"
    assert tests["not_null_dim_customers_id"].config.where == "region is not null"
    assert tests["not_null_dim_customers_id"].tags == {"core", "key"}
    accepted = tests["accepted_values_dim_customers__region___us__eu__2024_01_01"]
    assert accepted.column == Column("region", quote=True)
    assert (accepted.config.severity, accepted.tags) == (Severity.WARN, {"core", "nightly"})
    related = tests["relationships_dim_customers__region___code__source_raw_regions_"]
    assert related.arguments == {"to": Relation("regions_v2", "landing"), "field": "code"}
    assert (related.config.limit, str(related.config.error_if), related.config.enabled) == (100, ">10", False)
    source = tests["every_region_has_a_code"]
    assert source.model is not None
    assert (source.model.name, source.model.relation) == ("raw.regions", Relation("regions_v2", "landing"))


def test_unique_ids_have_dbts_shape_and_stay(write: Write) -> None:
    path = write("models: [{name: a, columns: [{name: b, data_tests: [not_null, unique]}]}]")
    first, second = load_project(path, name="shop")
    assert first.unique_id.startswith("test.shop.not_null_a_b.")
    assert len(first.unique_id.rpartition(".")[2]) == 10
    assert [first.unique_id, second.unique_id] == [test.unique_id for test in load_project(path, name="shop")]


EQUALLY_NAMED = """
models:
  - name: orders
    data_tests:
      - dbt_utils.expression_is_true: {arguments: {expression: total > id}}
      - dbt_utils.expression_is_true: {arguments: {expression: total < id}}
    columns:
      - name: 价格
        data_tests: [not_null]
      - name: 数量
        data_tests:
          - not_null
          - not_null: {config: {enabled: false}}
          - unique: {name: not_null_orders__}
          - unique: {name: not_null_orders__, config: {enabled: false}}
"""


def test_different_tests_may_have_one_automatic_name(write: Write) -> None:
    tests = load_project(write(EQUALLY_NAMED)).tests
    enabled = [test for test in tests if test.config.enabled]
    assert [test.name for test in enabled] == [
        "dbt_utils_expression_is_true_orders_total_id",
        "dbt_utils_expression_is_true_orders_total_id",
        *["not_null_orders__"] * 3,
    ]
    assert len({test.unique_id for test in enabled}) == 5
    assert select_tests(tests, ["not_null_orders__,test_name:not_null"]) == enabled[2:4]


def test_a_name_that_is_written_is_one_tests(write: Write) -> None:
    text = EQUALLY_NAMED.replace("- not_null\n", "- not_null: {name: not_null_orders__}\n")
    (problem,) = problems_of(write(text))
    assert ":14:13: a test called 'not_null_orders__' is already at " in problem


WRONG = """
models:
  - name: orders
    colums: []
    data_tests:
      - dbt_utils.expresion_is_true: {expression: a > 0}
      - not_null
      - dbt_utils.recency: {arguments: {field: at, datepart: fortnight, interval: 1}}
    columns:
      - name: status
        data_tests:
          - accepted_values:
              arguments: {value: [a]}
              config: {severty: warn, error_if: many, limit: 0, where: "{{ var('x') }}"}
          - dbt_utils.equal_rowcount: {compare_model: ref('orders')}
          - unique: {arguments: {column_name: id}}
          - relationships: {to: "source('raw', 'customers')", field: id}
          - unique
          - unique
      - name: status
      - description: nameless
  - name: orders
surces: []
"""


def test_every_problem_at_once_with_its_place(write: Write) -> None:
    with pytest.raises(ProjectError) as caught:
        load_project(write(WRONG))
    assert [
        (problem.place.line, problem.place.column, problem.message) for problem in caught.value.problems
    ] == [
        (4, 5, "a model: unknown key 'colums': did you mean 'columns'?"),
        (
            6,
            9,
            "unknown test 'dbt_utils.expresion_is_true': did you mean 'dbt_utils.expression_is_true'?",
        ),
        (7, 9, "'not_null' is on a column: write it under one"),
        (
            8,
            52,
            "'dbt_utils.recency': datepart: Input should be 'second', 'minute', 'hour', 'day', 'week', "
            "'month', 'quarter' or 'year'",
        ),
        (12, 13, "'accepted_values' needs the argument 'values'"),
        (13, 27, "'accepted_values' has no argument 'value': did you mean 'values'?"),
        (14, 24, "unknown config 'severty': did you mean 'severity'?"),
        (
            14,
            39,
            "error_if: 'many' is no threshold: write a comparison with a number, such as '!= 0', '> 10',"
            " 'between 5 and 10' or 'not in (1, 2)'",
        ),
        (14, 55, "limit: must be a whole number above 0, not 0"),
        (14, 72, "var 'x' has no value: give one in dbt_project.yml or with --vars"),
        (15, 13, "'dbt_utils.equal_rowcount' is on a whole model: write it beside 'columns:'"),
        (16, 34, "column_name is the column it is written under"),
        (
            17,
            29,
            "'relationships': to: no source 'raw.customers' is declared under 'sources:'",
        ),
        (
            19,
            13,
            f"a test called 'unique_orders_status' is already at {caught.value.problems[0].place.file}:18:13:"
            " give one of them another 'name'",
        ),
        (21, 9, "a column needs a 'name'"),
        (22, 11, "the model 'orders' is declared twice: keep one"),
        (23, 1, "the file: unknown key 'surces': did you mean 'sources'?"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [", "not YAML"),
        ("models: [{name: a, name: b}]", "'name' is given twice: keep one"),
        ("models: {}", "models must be a list, not a mapping"),
        ("- a", "the file must be a mapping of names to values, not a list"),
        ("models: [{name: [a]}]", "name must be text, not a list"),
        (
            "models: [{name: a, data_tests: [{x: 1, y: 2}]}]",
            "a test must have one name: indent its arguments",
        ),
        ("models: [{name: a, data_tests: [{test_name: 1}]}]", "unknown test '1'"),
        ("models: [{name: a, data_tests: [[]]}]", "a test must be a name or a mapping, not a list"),
        ("models: [{name: a, tests: [], data_tests: []}]", "'tests' is the older name of 'data_tests'"),
        ("models: [!!python/object:os.system {name: a}]", "name"),
        ("models: [{name: a, description: !!int x}]", "'x' cannot be read as int"),
        ("models: [{name: a, description: !!timestamp x}]", "'x' cannot be read as timestamp"),
        ("models: [{name: a, description: !!bool maybe}]", "'maybe' cannot be read as bool"),
        ("models: [{name: a, description: !!binary x}]", "'x' cannot be read as binary"),
        ("models: [{name: a, description: !!float x}]", "'x' cannot be read as float"),
        ("models: [{name: a, versions: [{c: 1}]}]", "a version needs a 'v'"),
        ("models: [{name: a, columns: [{name: b, data_test: [unique]}]}]", "did you mean 'data_tests'?"),
        ("models: [{name: a, columns: [{name: b, tets: [unique]}]}]", "did you mean 'tests'?"),
        ("sources: [{name: a, tests: [unique], tables: []}]", "no tests belong here"),
        ("models: [{name: a, configs: {enabled: false}}]", "did you mean 'config'?"),
        (
            "models: [{name: a, data_tests: [{unique: {column_name: 'a || b'}}]}]",
            "not the expression 'a || b'",
        ),
        (
            "models: [{name: a, columns: [{name: b, data_tests: [{unique: {argument: {c: 1}}}]}]}]",
            "no argument",
        ),
        (
            "models: [{name: a, columns: [{name: b, tests: [{unique: {where: x, arguments: {where: y}}}]}]}]",
            "'where' is given twice",
        ),
        ("sources: [{name: a, tables: [{name: b}, {name: b}]}]", "the source table 'a.b' is declared twice"),
        ("data_tests: [{name: gone}]", "there is no singular test gone.sql"),
    ],
)
def test_one_problem(write: Write, text: str, message: str) -> None:
    if "python/object" in text:
        # The tag names a program; it is not even looked at: the mapping is read as a mapping.
        assert len(load_project(write(text))) == 0
        return
    with pytest.raises(ProjectError) as caught:
        load_project(write(text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            "accepted_values: {values: [a, [b]]}",
            "'accepted_values': values: item 2: Input should be a valid boolean, integer, number, datetime, "
            "date or string",
        ),
        (
            "accepted_range: {min_value: [1]}",
            "'dbt_utils.accepted_range': min_value: Input should be a valid integer, number, datetime, date"
            " or string",
        ),
        ("accepted_range: {min_value: ''}", "'dbt_utils.accepted_range': min_value: must be SQL text"),
        (
            "accepted_range: {max_value: \"{{ var('x') }}\"}",
            "var 'x' has no value: give one in dbt_project.yml or with --vars",
        ),
        (
            "expression_is_true: {expression: \"> {{ var('x') }}\"}",
            "var 'x' has no value: give one in dbt_project.yml or with --vars",
        ),
        (
            "expect_column_value_lengths_to_equal: {value: \"{{ var('x') }}\"}",
            "var 'x' has no value: give one in dbt_project.yml or with --vars",
        ),
        (
            "unique: {config: {enabled: \"{{ var('x') }}\"}}",
            "var 'x' has no value: give one in dbt_project.yml or with --vars",
        ),
    ],
)
def test_a_wrong_argument_is_one_problem(write: Write, test: str, said: str) -> None:
    (problem,) = problems_of(write(f"models: [{{name: t, columns: [{{name: a, data_tests: [{test}]}}]}}]"))
    assert problem.partition(": ")[2] == said


def test_an_expression_in_the_place_of_a_column_is_one_problem(write: Write) -> None:
    (problem,) = problems_of(write("models: [{name: t, data_tests: [unique: {column_name: lower(a)}]}]"))
    assert "not the expression 'lower(a)'" in problem


def test_names_are_those_of_dbt(write: Write) -> None:
    columns = """
    - {name: 'na:me %', quote: true, data_tests: [not_null]}
    - {name: '"Order"', data_tests: [not_null]}
    - {name: status, data_tests: [accepted_values: {values: [paid, null]}]}
    - {name: cust, data_tests: [relationships: {to: ref('mc'), field: '"Order"'}]}
"""
    tests = load_project(write(f"models:\n- name: mo\n  columns:{columns}"))
    assert [test.name for test in tests] == [
        "not_null_mo__na_me_",
        "not_null_mo__Order_",
        "accepted_values_mo_status__paid__None",
        "relationships_mo_cust___Order___ref_mc_",
    ]


def test_anchors_and_merge_keys(write: Write) -> None:
    path = write(
        """
anchors:
  - &loud {severity: warn, where: a > 0}
models:
  - name: t
    columns:
      - name: a
        data_tests: &both [not_null]
      - name: b
        data_tests:
          - not_null: {config: {<<: *loud, where: b > 0}}
"""
    )
    tests = by_name(load_project(path))
    config = tests["not_null_t_b"].config
    assert (config.severity, config.where) == (Severity.WARN, "b > 0")


BOMB = "anchors: [&a0 [x, x]" + "".join(
    f", &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{BOMB}]\nmodels: [{{name: t, description: *a39}}]",
            "its aliases unfold to more than 200,000 values",
        ),
        ("models: [{name: t, description: &a [*a]}]", "an alias contains itself"),
        ("models: [{name: t, description: &a {<<: *a}}]", "an alias contains itself"),
        ("models: " + "[" * 100_000, "nested more than 100 levels deep"),
        (
            "models: [{name: t, description: " + "[" * 900 + "]" * 900 + "}]",
            "nested more than 100 levels deep",
        ),
        ("x" * 10_000_000, "larger than 2,000,000 bytes: split it into several files"),
        ("\x00", "not YAML"),
        ("version: 2\n" * 100, "'version' is given twice"),
    ],
)
def test_hostile_files_are_one_line(write: Write, text: str, message: str) -> None:
    problems = problems_of(write(text))
    assert any(message in problem for problem in problems)
    assert all(len(problem.splitlines()) == 1 for problem in problems)


def test_files_that_cannot_be_read(tmp_path: Path, write: Write) -> None:
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00")
    empty = tmp_path / "empty"
    empty.mkdir()
    pipe = tmp_path / "pipe.yml"
    os.mkfifo(pipe)
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path / "gone.yml", binary, empty, pipe, write("x", "notes.txt"))
    messages = sorted(problem.message for problem in caught.value.problems)
    assert messages == [
        "must end in .yml, .yaml or .sql",
        "neither a file nor a folder",
        "no .yml, .yaml or .sql file in this folder",
        "no such file or folder",
        "not UTF-8 text",
    ]


def test_a_path_that_cannot_be_looked_at_is_a_problem_too() -> None:
    (problem,) = problems_of(Path("x" * 5000 + ".yml"))
    assert problem.endswith(".yml:1:1: cannot be read: File name too long")


def test_a_folder_is_searched_as_dbt_lays_it_out(write: Write, tmp_path: Path) -> None:
    model = "models: [{name: a, columns: [{name: b, data_tests: [not_null]}]}]"
    write(model, "project/models/schema.yml")
    write("select 1 as model", "project/models/a.sql")
    write("name: shop", "project/dbt_project.yml")
    write("not: ours", "project/target/manifest.yml")
    write("select * from {{ ref('a') }}", "project/tests/no_rows.sql")
    write("{% test x() %}", "project/tests/generic/x.sql")
    assert [test.name for test in load_project(tmp_path / "project")] == ["not_null_a_b", "no_rows"]


@pytest.mark.parametrize("folder", ["models/staging/raw", "models", "macros/own", "tests/generic"])
def test_a_folder_within_a_dbt_project_holds_what_it_holds_in_the_whole(
    write: Write, tmp_path: Path, folder: str
) -> None:
    write("name: shop", "project/dbt_project.yml")
    write("models: [{name: a, columns: [{name: b, data_tests: [not_null]}]}]", f"project/{folder}/a.yml")
    write("select 1 as model", f"project/{folder}/a.sql")
    assert [test.name for test in load_project(tmp_path / "project" / folder)] == ["not_null_a_b"]


def test_a_project_may_be_in_a_folder_of_any_name(write: Write, tmp_path: Path) -> None:
    write("name: shop", "models/dbt_project.yml")
    write("select * from {{ ref('a') }}", "models/tests/no_rows.sql")
    for folder in ("models", "models/tests"):
        assert [test.name for test in load_project(tmp_path / folder)] == ["no_rows"]


def test_constants_are_spelled_as_in_jinja_or_python(write: Write) -> None:
    config = "store_failures = true, enabled=False, limit=none, meta={'a': [true, none, 'true']}"
    (test,) = load_project(write(f"{{{{ config({config}) }}}} select 1", "tests/t.sql"))
    assert (test.config.store_failures, test.config.enabled, test.config.limit) == (True, False, None)
    assert test.config.meta == {"a": [True, None, "true"]}


@pytest.mark.parametrize(
    ("config", "stored"),
    [
        ("store_failures_as='ephemeral', store_failures=True", False),
        ("store_failures=True, store_failures_as='ephemeral'", False),
        ("store_failures_as='table', store_failures=False", True),
        ("store_failures=False", False),
    ],
)
def test_store_failures_as_wins_over_store_failures(write: Write, config: str, stored: bool) -> None:
    (test,) = load_project(write(f"{{{{ config({config}) }}}} select 1", "tests/t.sql"))
    assert test.config.store_failures is stored


def test_singular_tests_and_what_is_said_of_them(write: Write) -> None:
    sql = write(
        "{{ config(severity='warn', tags=['daily']) }}\n{# why #}\nselect * from {{ ref('a') }} x\n"
        "join {{ source('raw', 'b') }} y on x.i = y.i;\n",
        "tests/lost_rows.sql",
    )
    yml = write(
        "sources: [{name: raw, tables: [{name: b}]}]\n"
        "data_tests: [{name: lost_rows, description: none lost, config: {severity: error, limit: 5}}]"
    )
    (test,) = load_project(yml, sql)
    assert (test.kind, test.description, test.tags) == ("singular", "none lost", {"daily"})
    assert (test.config.severity, test.config.limit) == (Severity.WARN, 5)
    assert test.sql is not None
    assert [part for part in test.sql.parts if isinstance(part, Relation)] == [
        Relation("a"),
        Relation("b", "raw"),
    ]


@pytest.mark.parametrize(
    ("sql", "place", "message"),
    [
        ("", "1:1", "holds no SQL"),
        ("select *\n  from {{ source('raw', 'x') }}", "2:8", "no source 'raw.x' is declared"),
        ("{{ config(severity=var('x')) }} select 1", "1:1", "var 'x' has no value"),
        (
            "{{ config(severty='warn') }} select 1",
            "1:1",
            "unknown config 'severty': did you mean 'severity'?",
        ),
    ],
)
def test_problems_of_singular_tests(write: Write, sql: str, place: str, message: str) -> None:
    path = write(sql, "tests/bad.sql")
    with pytest.raises(ProjectError) as caught:
        load_project(path)
    assert any(
        str(problem).startswith(f"{path}:{place}: ") and message in problem.message
        for problem in caught.value.problems
    ), str(caught.value)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
_SOME_KEYS = (
    "models sources columns data_tests tests name config arguments unique values accepted_values where"
    " limit severity tables test_name tags to << version"
)
_KEYS = st.sampled_from(_SOME_KEYS.split())
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=25,
)


@given(_TREES.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True)) | st.text())
@example("models: [{name: a, columns: [{name: b, data_tests: [{accepted_values: {values: [1.e400]}}]}]}]")
@example("0o9: !!timestamp 2020-99-99")
@example("? [a]\n: b")
@example("a: !!binary x")
def test_any_text_is_a_project_or_problems(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    assert isinstance(problems_of(path), list)
