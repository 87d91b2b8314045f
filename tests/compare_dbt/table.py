"""The table of a comparison, for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from tests.compare_dbt import cases, real_dbt
from tests.compare_dbt.real_dbt import Verdict

CORE = ("accepted_values", "not_null", "relationships", "unique")


def written(
    theirs: Mapping[str, Verdict],
    ours: Mapping[str, Verdict],
    seconds: tuple[float, float],
    *,
    machine: str,
) -> str:
    """The result as Markdown: each kind of test, what dbt said of it, and how often it is the same here."""
    singular = set(cases.singular_tests())
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name in sorted(theirs | ours):
        by_kind["a singular test" if name in singular else name.partition("_")[2]].append(name)
    lines = [
        "# The same data tests, by the real dbt and here",
        "",
        "`make compare-dbt` wrote this: the same `schema.yml` and the same `.sql` files, over the same",
        "generated DuckDB tables with planted faults (NULLs, an empty table, one of NULLs only, names that",
        "must be quoted, many scripts, dates, duplicates), each test as it is and under two drawn",
        "configurations (`where`, `limit`, `warn_if`, `error_if`, `severity`, `store_failures`). *The same*",
        "means the same status, the same number of failures, and of a table of stored ones as many rows and",
        "columns of the same names in the same order; but for what is stored here on purpose beside them, of",
        "dbt-expectations' tests on rows the row in front, and of its aggregates the number behind.",
        "",
        f"{real_dbt.version()}; {machine}. dbt took {seconds[0]:.1f} s, this package {seconds[1]:.1f} s.",
        "",
        "| test | macro in dbt | run | pass | warn | fail | error | stored | the same here |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, names in sorted(by_kind.items(), key=lambda item: (macro_of(item[0]), item[0])):
        told = Counter(theirs[name].status for name in names if name in theirs)
        same = sum(theirs.get(name) == ours.get(name) for name in names)
        counts = " | ".join(str(told[status]) for status in ("pass", "warn", "fail", "error"))
        stored = sum(bool(theirs[name].columns) for name in names if name in theirs)
        lines.append(f"| `{kind}` | {macro_of(kind)} | {len(names)} | {counts} | {stored} | {same} |")
    stored = sum(bool(said.columns) for said in theirs.values())
    same = sum(theirs.get(name) == said for name, said in ours.items())
    lines += [
        "",
        f"{same} of {len(theirs | ours)} are the same; of {stored} the stored columns were compared.",
        "",
        "*dbt's own*: what dbt-core ships. *written here*: `dbt_utils` and `dbt_expectations` come from",
        "dbt's hub, which no package index has; their tests ran as macros written for this comparison",
        "after the published ones ([why](../tests/compare_dbt/project/packages/README.md)). Real dbt parsed",
        "the file, applied the configuration, ran the query and judged; that the published macros of today",
        "count the same is not shown. Left out is counting the rows of two tables where one, or a group of",
        "one, has none: dbt-utils lets that pass, and [here it fails](dbt-like-checks.md).",
        "",
    ]
    return "\n".join(lines)


def macro_of(kind: str) -> str:
    """Whose macro a test ran by in dbt."""
    return "dbt's own" if kind in CORE or kind == "a singular test" else "written here"
