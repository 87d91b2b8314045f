"""``warn_if`` and ``error_if``: what is understood, what it means, and dbt's order of the two."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbt_like_checks import Config, Severity, Status, Threshold, judge


@pytest.mark.parametrize(
    ("text", "holds_for", "not_for"),
    [
        ("!= 0", [1, 10], [0]),
        ("<>0", [1], [0]),
        ("> 10", [11], [10, 0]),
        (">=10", [10], [9]),
        ("< 3", [0, 2], [3]),
        ("<= 3", [3], [4]),
        ("= 5", [5], [4]),
        ("==5", [5], [6]),
        (" >  1.5 ", [2], [1]),
        ("> -1", [0], []),
        ("between 5 and 10", [5, 10], [4, 11]),
        ("NOT BETWEEN 5 AND 10", [4, 11], [5, 10]),
        ("in (1, 2)", [1, 2], [3]),
        ("not in (1,2)", [3], [1]),
    ],
)
def test_what_an_expression_means(text: str, holds_for: list[int], not_for: list[int]) -> None:
    threshold = Threshold.parse(text)
    assert [threshold.holds(count) for count in holds_for] == [True] * len(holds_for)
    assert [threshold.holds(count) for count in not_for] == [False] * len(not_for)


@pytest.mark.parametrize(
    "text",
    ["", "0", "10", "> ten", "!= 0; drop table orders", "> (select 1)", "> 1 or 1 = 1", "in ()", ">" * 300],
)
def test_what_is_not_understood_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no threshold: write a comparison with a number"):
        Threshold.parse(text)


@given(st.text())
def test_any_text_is_a_threshold_or_one_line(text: str) -> None:
    with suppress(ValueError):
        assert Threshold.parse(text).holds(3) in (True, False)


@given(
    st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="]),
    st.integers(-(10**9), 10**9),
    st.integers(0, 10**9),
)
def test_comparisons_agree_with_python(operator: str, number: int, count: int) -> None:
    spelled = {"=": "==", "<>": "!="}.get(operator, operator)
    assert Threshold.parse(f"{operator} {number}").holds(count) is eval(f"{count} {spelled} {number}")


WARN_ABOVE, FAIL_ABOVE = Threshold.parse("> 1"), Threshold.parse("> 10")


@pytest.mark.parametrize(
    ("severity", "failures", "status", "reported", "message"),
    [
        (Severity.ERROR, 0, Status.PASS, 0, None),
        (Severity.ERROR, 1, Status.PASS, 0, None),
        (Severity.ERROR, 5, Status.WARN, 5, "Got 5 results, configured to warn if > 1"),
        (Severity.ERROR, 11, Status.FAIL, 11, "Got 11 results, configured to fail if > 10"),
        (Severity.WARN, 1, Status.PASS, 0, None),
        (Severity.WARN, 11, Status.WARN, 11, "Got 11 results, configured to warn if > 1"),
    ],
)
def test_severity_as_dbt_means_it(
    severity: Severity, failures: int, status: Status, reported: int, message: str | None
) -> None:
    verdict = judge(failures, Config(severity=severity, warn_if=WARN_ABOVE, error_if=FAIL_ABOVE))
    assert (verdict.status, verdict.failures, verdict.message) == (status, reported, message)


@pytest.mark.parametrize(
    ("text", "operation", "numbers"),
    [
        ("= 5", "=", ["5"]),
        ("not between -1 and .5", "not between", ["-1", "0.5"]),
        ("between 1 and 2", "between", ["1", "2"]),
        ("IN (1 , 2)", "in", ["1", "2"]),
        ("not in (3)", "not in", ["3"]),
    ],
)
def test_what_is_read_of_an_expression(text: str, operation: str, numbers: list[str]) -> None:
    threshold = Threshold.parse(f" {text} ")
    assert (threshold.operation, threshold.text, str(threshold)) == (operation, text, text)
    assert [str(number) for number in threshold.numbers] == numbers


def test_how_long_an_expression_may_be() -> None:
    listed = ",".join(["1"] * 97)
    assert Threshold.parse(f"in ({listed} )").text == f"in ({listed} )"
    assert len(f"in ({listed} )") == 199
    assert Threshold.parse(f"in ({listed}  )").holds(1)
    with pytest.raises(ValueError, match=r"is no threshold"):
        Threshold.parse(f"in ({listed}   )")


@pytest.mark.parametrize(("length", "shown"), [(60, "x" * 60), (61, "x" * 57 + "...")])
def test_a_long_text_is_shown_in_part(length: int, shown: str) -> None:
    with pytest.raises(ValueError, match=r"is no threshold") as caught:
        Threshold.parse("x" * length)
    assert str(caught.value).startswith(f"'{shown}' ")
