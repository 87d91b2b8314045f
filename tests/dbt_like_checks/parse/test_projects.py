"""Shapes met in public dbt projects: each loads, with the tests and warnings that are meant."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dbt_like_checks import Column, ProjectError, Relation, Severity, Status, load_project, run_tests
from dbt_like_checks.parse.selection import select_tests
from tests.dbt_like_checks.conftest import fill

Write = Callable[..., Path]
PROJECT = "name: shop\nvars: {least: 5, shop: {words: [paid, lost]}, on: true, schema: landing, word: warn}\n"

# A shape's name, its text, the tests that it declares, and parts of its warnings.
SHAPES: list[tuple[str, str, list[str], list[str]]] = [
    (
        "config_inside_arguments",
        """
models:
  - name: t
    columns:
      - name: a
        data_tests:
          - not_null:
              arguments: {name: named, where: a > 1, severity: warn, limit: 3, config: {error_if: '> 9'}}
""",
        ["named"],
        [],
    ),
    (
        "unknown_keys",
        """
models:
  - name: t
    owner: ada
    desciption: a typing error
    columns: [{name: a, source: erp, data_tests: [unique], primarykey: true}]
""",
        ["unique_t_a"],
        [
            "unknown key 'owner'",
            "unknown key 'desciption'",
            "unknown key 'source'",
            "unknown key 'primarykey'",
        ],
    ),
    (
        "a_column_twice",
        "models: [{name: t, columns: [{name: a, data_tests: [unique]}, {name: a, tests: [not_null]}]}]",
        ["unique_t_a", "not_null_t_a"],
        ["the column 'a' is declared twice"],
    ),
    (
        "sources_with_quoted_names",
        """
sources:
  - name: raw
    schema: '"Landing"'
    quoting: {identifier: true}
    tables:
      - name: orders
        identifier: '"Order Lines"'
        columns: [{name: '"Id"', quote: true, data_tests: [unique]}]
""",
        ["source_unique_raw_orders__Id_"],
        [],
    ),
    (
        "anchors",
        """
x-common: &common {severity: warn}
models:
  - name: t
    columns:
      - name: a
        data_tests: &both [not_null, {unique: {config: *common}}]
      - name: b
        data_tests: *both
""",
        ["not_null_t_a", "unique_t_a", "not_null_t_b", "unique_t_b"],
        ["unknown key 'x-common'"],
    ),
    (
        "doc_blocks",
        """
models:
  - name: t
    description: "{{ doc('t') }}"
    meta: {note: "{{ anything() }}"}
    config: {post-hook: "grant select on {{ this }} to x", tags: nightly}
    columns: [{name: a, description: '{{ doc("a") }}', data_tests: [unique]}]
""",
        ["unique_t_a"],
        [],
    ),
    (
        "versions",
        """
models:
  - name: t
    latest_version: 1
    columns: [{name: a, data_tests: [unique]}, {name: b, data_tests: [not_null]}]
    versions:
      - v: 1
      - v: 2
        config: {alias: t_new}
        columns: [{include: all, exclude: [b]}, {name: c, data_tests: [not_null]}]
  - name: u
    columns:
      - name: t
        data_tests:
          - relationships: {name: to_1, arguments: {to: ref('t'), field: a}}
          - relationships: {name: to_2, arguments: {to: "ref('t', v=2)", field: a}}
""",
        ["unique_t_v1_a", "not_null_t_v1_b", "unique_t_v2_a", "not_null_t_v2_c", "to_1", "to_2"],
        [],
    ),
    (
        "snapshots",
        """
snapshots:
  - name: s
    relation: ref('t')
    config: {unique_key: id, strategy: timestamp, updated_at: at}
    columns: [{name: dbt_scd_id, data_tests: [unique]}]
""",
        ["unique_s_dbt_scd_id"],
        [],
    ),
    (
        "seeds",
        "seeds: [{name: s, config: {column_types: {a: text}}, columns: [{name: a, tests: [unique]}]}]",
        ["unique_s_a"],
        [],
    ),
    (
        "unit_tests_beside",
        """
unit_tests: [{name: u, model: t, given: [], expect: {rows: [{a: 1}]}}]
models: [{name: t, columns: [{name: a, data_tests: [unique]}]}]
""",
        ["unique_t_a"],
        [],
    ),
    (
        "both_spellings",
        """
models:
  - {name: t, columns: [{name: a, tests: [unique]}, {name: b, data_tests: [unique]}]}
""",
        ["unique_t_a", "unique_t_b"],
        [],
    ),
    (
        "vars",
        """
sources:
  - name: raw
    schema: "{{ var('schema') }}"
    tables: [{name: r, columns: [{name: a, data_tests: [unique]}]}]
models:
  - name: t
    columns:
      - name: a
        data_tests:
          - dbt_utils.accepted_range: {name: ranged, arguments: {min_value: "{{ var('least') }}"}}
          - accepted_values: {name: listed, arguments: {values: "{{ var('words') }}"}}
          - accepted_values:
              arguments: {name: items, values: [x, "a{{ var('least') }}", '{{ target.name }}']}
          - not_null: {config: {enabled: "{{ var('on', false) }}", severity: "{{ var('word') }}"}}
          - unique: {config: {where: "a > {{ var('gone', 7) }} and b = '{{ env_var('SHAPE', 'x') }}'"}}
""",
        ["ranged", "listed", "items", "not_null_t_a", "unique_t_a", "source_unique_raw_r_a"],
        [],
    ),
    (
        "empty_and_single",
        """
models:
  - name: t
    data_tests:
      - dbt_utils.unique_combination_of_columns: {name: combined, arguments: {combination_of_columns: a}}
      - dbt_utils.recency: {name: recent, arguments: {field: a, datepart: DAY, interval: 1}}
    columns:
      - name: a
        tests:
      - name: b
        data_tests: [{not_null: {where: ""}}, {unique: }]
  - name: bare
    columns:
""",
        ["combined", "recent", "not_null_t_b", "unique_t_b"],
        [],
    ),
    (
        "flags",
        """
models:
  - name: t
    columns:
      - name: a
        tests:
          - dbt_expectations.expect_column_values_to_match_regex: {name: m, regex: '^\\d{2}$', flags: c}
""",
        ["m"],
        [],
    ),
    (
        "test_name_key",
        "models: [{name: t, columns: [{name: a, data_tests: [{name: n, test_name: unique}]}]}]",
        ["n"],
        [],
    ),
    (
        "disabled_model",
        """
models:
  - {name: t, config: {enabled: "{{ var('off', false) }}"}, columns: [{name: a, tests: [unique]}]}
""",
        [],
        [],
    ),
    (
        "severity_in_any_case",
        "models: [{name: t, columns: [{name: a, tests: [{unique: {config: {severity: WARN}}}]}]}]",
        ["unique_t_a"],
        [],
    ),
    (
        "contracts",
        """
models:
  - name: t
    access: protected
    group: finance
    constraints: [{type: primary_key, columns: [a]}]
    config: {contract: {enforced: true}, materialized: incremental}
    columns: [{name: a, data_type: int, constraints: [{type: not_null}], tests: [unique]}]
""",
        ["unique_t_a"],
        [],
    ),
    (
        "freshness_and_loaders",
        """
sources:
  - name: raw
    database: "{{ env_var('GONE_DATABASE', 'db') }}"
    loader: airbyte
    config: {freshness: {warn_after: {count: 1, period: day}}, loaded_at_field: at}
    tables: [{name: r, external: {location: s3}, columns: [{name: a, data_tests: [not_null]}]}]
""",
        ["source_not_null_raw_r_a"],
        [],
    ),
    (
        "unsupported_kinds",
        """
models:
  - name: t
    data_tests:
      - elementary.volume_anomalies: {timestamp_column: at, config: {severity: warn}}
      - dbt_expectations.expect_table_columns_to_match_set: {column_list: [a]}
    columns: [{name: a, data_tests: [unique, own_test: {name: mine, x: 1}]}]
""",
        [
            "elementary_volume_anomalies_t_at",
            "dbt_expectations_expect_table_columns_to_match_set_t_a",
            "unique_t_a",
            "mine",
        ],
        [],
    ),
    (
        "everything_else_in_the_file",
        """
version: 2
exposures: [{name: e, type: dashboard, owner: {name: x}, depends_on: [ref('t')]}]
metrics: [{name: m, label: M, type: simple}]
semantic_models: [{name: s, model: ref('t')}]
macros: [{name: mac, arguments: [{name: x}]}]
groups: [{name: g, owner: {name: x}}]
models: [{name: t, columns: [{name: a, tests: [unique]}]}]
""",
        ["unique_t_a"],
        [],
    ),
]


@pytest.fixture
def project(write: Write, tmp_path: Path) -> Path:
    """A dbt project without models."""
    write(PROJECT, "project/dbt_project.yml")
    write("{% test own_test(model, column_name) %} select 1 {% endtest %}", "project/macros/own.sql")
    return tmp_path / "project"


@pytest.mark.parametrize(("name", "text", "tests", "warnings"), SHAPES, ids=[shape[0] for shape in SHAPES])
def test_a_shape_of_public_projects_loads(
    project: Path, write: Write, name: str, text: str, tests: list[str], warnings: list[str]
) -> None:
    write(text, f"project/models/{name}.yml")
    loaded = load_project(project, target="prod")
    assert [test.name for test in loaded] == tests
    said = [warning.message for warning in loaded.warnings]
    assert len(said) == len(warnings)
    assert all(part in message for part, message in zip(warnings, said, strict=True))


def test_what_the_shapes_mean(project: Path, write: Write) -> None:
    for name, text, _, _ in SHAPES:
        if name in ("config_inside_arguments", "sources_with_quoted_names"):
            write(text, f"project/models/{name}.yml")
    tests = {test.name: test for test in load_project(project)}
    config = tests["named"].config
    assert (config.severity, config.where, config.limit, str(config.error_if)) == (
        Severity.WARN,
        "a > 1",
        3,
        "> 9",
    )
    quoted = tests["source_unique_raw_orders__Id_"]
    assert quoted.model is not None
    assert (quoted.model.relation, quoted.column) == (
        Relation("Order Lines", "Landing"),
        Column('"Id"', quote=True),
    )


def test_versions_have_tables_of_their_own(project: Path, write: Write) -> None:
    write(next(shape[1] for shape in SHAPES if shape[0] == "versions"), "project/models/v.yml")
    tests = {test.name: test for test in load_project(project)}
    assert [
        tests[name].model and tests[name].model.relation.name for name in ("unique_t_v1_a", "unique_t_v2_a")
    ] == [
        "t_v1",
        "t_new",
    ]
    assert (tests["to_1"].arguments["to"], tests["to_2"].arguments["to"]) == (
        Relation("t_v1"),
        Relation("t_new"),
    )


def test_variables_give_values_of_their_type(
    project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(next(shape[1] for shape in SHAPES if shape[0] == "vars"), "project/models/v.yml")
    monkeypatch.setenv("SHAPE", "round")
    tests = {test.name: test for test in load_project(project, variables={"on": False}, target="prod")}
    assert tests["ranged"].arguments["min_value"] == 5
    assert tests["listed"].arguments["values"] == ("paid", "lost")
    assert tests["items"].arguments["values"] == ("x", "a5", "prod")
    assert (tests["not_null_t_a"].config.enabled, tests["not_null_t_a"].config.severity) == (
        False,
        Severity.WARN,
    )
    assert tests["unique_t_a"].config.where == "a > 7 and b = 'round'"
    source = tests["source_unique_raw_r_a"].model
    assert source is not None
    assert source.relation == Relation("r", "landing")


@pytest.mark.parametrize(
    ("jinja", "said"),
    [
        ("{{ var('gone') }}", "var 'gone' has no value: give one in dbt_project.yml or with --vars"),
        ("{{ env_var('GONE') }}", "the environment variable 'GONE' is not set"),
        ("{{ env_var('DBT_LIKE_CHECKS_URL') }}", "env_var 'DBT_LIKE_CHECKS_URL' is a secret"),
        ("{{ target.name }}", "target.name has no value: give one with --target"),
        ("{{ target.schema }}", "'target.schema' is not known here"),
        ("{{ modules.os.system('x') }}", "'modules.os.system' is not known here"),
        ("{{ ''.__class__.__mro__ }}", "is not known here"),
        ("{{ var.__globals__ }}", "'var.__globals__' is not known here"),
        ("{{ var('least') | attr('real') }}", "filter"),
        ("{{ range(9) }}", "'range' is not known here"),
        ("{{ 'a' * 1000000000 }}", "'mul' of Jinja is not understood here"),
        ("{{ var }}", "'var' is no value"),
        ("{% if true %}x{% endif %}", "not '{%'"),
        ("{# x #}", "not '{#'"),
        ("{{ dbt_utils.pretty_time() }}", "'dbt_utils.pretty_time' is not known here"),
        ("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", "Jinja"),
        ("{{ " + "x" * 2000 + " }}", "1,000 characters"),
        ("{{ 1 + }}", "is no Jinja expression"),
        ("{{ ref('t') }}", "'ref' names a table only where a test takes one"),
        ("a in (select x from {{ source('raw', 'r') }})", "'source' names a table only where"),
        ("{{ this }}", "'this' is not known here"),
    ],
)
@pytest.mark.parametrize("place", ["values", "regex", "where"])
def test_other_jinja_is_refused_by_name(
    project: Path, write: Write, jinja: str, said: str, place: str
) -> None:
    test: dict[str, object] = {
        "values": {"accepted_values": {"arguments": {"values": ["paid", jinja]}}},
        "regex": {"expect_column_values_to_match_regex": {"arguments": {"regex": jinja}}},
        "where": {"not_null": {"config": {"where": jinja}}},
    }[place]
    path = write(
        json.dumps({"models": [{"name": "t", "columns": [{"name": "a", "data_tests": [test]}]}]}),
        "project/models/s.yml",
    )
    with pytest.raises(ProjectError) as caught:
        load_project(path)
    (problem,) = caught.value.problems
    assert said in problem.message or "nested" in problem.message or "is no Jinja" in problem.message, problem


def test_a_project_is_read_where_its_file_says(project: Path, write: Write) -> None:
    write(
        PROJECT + "model-paths: [transform]\nseed-paths: data\ntest-paths: [checks]\n",
        "project/dbt_project.yml",
    )
    model = "models: [{{name: {0}, columns: [{{name: a, data_tests: [unique]}}]}}]"
    for name, path in (
        ("m", "transform/deep/m.yml"),
        ("gone", "models/gone.yml"),
        ("lost", "macros/lost.yml"),
    ):
        write(model.format(name), f"project/{path}")
    write("seeds: [{name: s, columns: [{name: a, tests: [unique]}]}]", "project/data/s.yml")
    write("select 1 from {{ ref('m') }} where a > {{ var('least') }}", "project/checks/singular.sql")
    for other in (
        "Taskfile.yml",
        ".pre-commit-config.yaml",
        "docker-compose.yml",
        "mkdocs.yml",
        "target/x.yml",
    ):
        write("- not: ours", f"project/{other}")
    tests = list(load_project(project))
    assert [test.name for test in tests] == ["unique_m_a", "unique_s_a", "singular"]
    assert tests[-1].sql is not None
    assert tests[-1].sql.parts[-1] == " where a > 5"


def test_one_hundred_of_300_models_and_what_is_not_supported(
    project: Path, write: Write, make_database: Callable[[str], str]
) -> None:
    for number in range(300):
        columns = [{"name": f"c{n}", "data_tests": ["not_null"]} for n in range(3)]
        model: dict[str, object] = {"name": f"m{number}", "columns": columns}
        if number < 10:
            model["data_tests"] = [{"elementary.schema_changes": {"config": {"severity": "warn"}}}]
        write(json.dumps({"version": 2, "models": [model]}), f"project/models/m{number}.yml")
    write("{% set x = 1 %} select {{ x }}", "project/tests/looping.sql")
    loaded = load_project(project)
    assert len(loaded) == 300 * 3 + 11
    url = make_database("sqlite")
    fill(url, "CREATE TABLE m0 (c0 integer, c1 integer, c2 integer)")
    results = run_tests(select_tests(loaded, ["m0", "test_type:singular"]), url)
    assert [result.status for result in results] == [Status.SKIPPED, *[Status.PASS] * 3, Status.SKIPPED]
    assert results.success
    assert (results.results[-1].message or "").startswith("not supported here: ")
    assert "looping.sql:1:1: " in (results.results[-1].message or "")
    assert len(select_tests(loaded, exclude=["test_name:schema_changes", "path:tests"])) == 900
    assert os.path.relpath(loaded.tests[0].place.file, project) == "models/m0.yml"
