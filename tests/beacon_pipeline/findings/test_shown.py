"""What Dagster shows of comparisons, findings and all studies: the whole texts."""

from dataclasses import replace
from typing import Any

import pytest

from beacon_pipeline.findings.compare import Answers, Comparison, Pair, Place
from beacon_pipeline.findings.finding import Finding, Qualifier, Verdict
from beacon_pipeline.findings.shown import of_comparison, of_findings, of_scorecard

US, EU = Place("us", "regional"), Place("eu", "plain")


def answers_of(place: Place, texts: tuple[tuple[str, int], ...], asked: int, refused: int = 0) -> Answers:
    return Answers(place, asked, texts, {"refusal": refused} if refused else {}, {}, None, ("6",))


def pair(between: float, within: float | None, **changes: Any) -> Pair:
    return replace(Pair(US, EU, between, within, same_prompt=True, provenance=()), **changes)


def test_a_comparison() -> None:
    alike = pair(0.75, None)
    apart = pair(0.25, 0.5, same_prompt=False, provenance=("provenance_gpu", "provenance_engine"))
    answers = (answers_of(US, (("yes", 2), ("no|", 1)), 4, refused=1), answers_of(EU, (("yes", 2),), 2))
    shown = of_comparison(Comparison("m", "q", None, answers, (alike, apart)))
    assert shown == {
        "answers": 5,
        "distinct_texts": 2,
        "different": 1,
        "least_alike": 0.25,
        "what_matters": "- 5 of 6 answered\\, 2 different texts\\: not all regions and arms answer alike\n"
        "- least alike\\: us and eu\\, plain\\, 0\\.25\\, within each of them 0\\.50\n"
        "- refusals by rules\\, version 6 \\(a label rate\\)\\: us 1 of 3\\, eu\\, plain 0 of 2",
        "table": "| a | b | alike | within each | system prompts | provenance that differs |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| us | eu\\, plain | 0\\.25 | 0\\.50 | differ | gpu\\, engine |\n"
        "| us | eu\\, plain | 0\\.75 |  | the same | none |",
        "plot": f"```\nus | eu, plain {'█' * 10}{'·' * 30} 0.25\n"
        f"us | eu, plain {'█' * 30}{'·' * 10} 0.75\n```",
    }


def test_a_comparison_of_one_place_has_no_pair_and_a_long_one_is_cut() -> None:
    alone = of_comparison(Comparison("m", "q", None, (answers_of(US, (("yes", 1),), 1),), ()))
    assert "least_alike" not in alone
    assert alone["different"] == 0
    assert alone["what_matters"].splitlines()[0].endswith("all answer alike")
    assert (len(alone["what_matters"].splitlines()), alone["plot"]) == (2, "```\n\n```")
    alike = of_comparison(Comparison("m", "q", None, (), tuple(pair(n / 30, None) for n in range(30))))
    assert alike["what_matters"].splitlines()[1] == "- least alike\\: us and eu\\, plain\\, 0\\.00"
    assert len(alike["table"].splitlines()) == 2 + 20
    assert len(alike["plot"].splitlines()) == 2 + 20


def finding(claim: str = "c", verdict: Verdict = Verdict.DIFFERS, **changes: Any) -> Finding:
    made = Finding(
        study="s", version=1, claim=claim, contrast="prompt", outcome="refusal", model="m", sides=("a", "b"),
        population="these", units="6 blocks", n_a=50, n_b=50, missing_a=0, missing_b=0, rate_a=0.5,
        rate_b=0.2,
        effect=0.3, low=-0.1, high=0.7, interval_level=0.95, p=0.01, p_adjusted=0.02, verdict=verdict,
        qualifiers=(Qualifier.PLANNED,), attribution=None, reason=None, test=None, seed=1,
    )  # fmt: skip
    return replace(made, **changes)


OPEN = Verdict.INCONCLUSIVE
NOTHING: dict[str, Any] = {"effect": None, "low": None, "high": None, "p_adjusted": None, "units": ""}


def test_findings_in_the_order_of_their_verdicts_older_answers_last() -> None:
    none = finding("none", Verdict.NOT_ANSWERABLE, **NOTHING)
    older = finding("old@1", qualifiers=(Qualifier.OLDER_ANSWERS,), low=None, effect=-2.0)
    given = [none, older, finding("open", OPEN, low=0.2, high=0.4), finding("c")]
    shown = of_findings(given)
    assert [line[:23] for line in shown["what_matters"].splitlines()] == ["- a against b\\, rate of"] * 3
    assert "older version" not in shown["what_matters"]
    assert shown["table"].splitlines()[0] == (
        "| claim | verdict | effect | interval | adjusted p | units | qualifiers |"
    )
    assert shown["table"].splitlines()[2:] == [
        "| c | differs | \\+0\\.30 | \\-0\\.10 to \\+0\\.70 | 0\\.02 | 6 blocks | planned |",
        "| open | inconclusive | \\+0\\.30 | \\+0\\.20 to \\+0\\.40 | 0\\.02 | 6 blocks | planned |",
        "| none | not answerable |  |  |  |  | planned |",
        "| old＠1 | differs | \\-2\\.00 |  | 0\\.02 | 6 blocks | answers of an older version |",
    ]
    assert shown["plot"].splitlines()[1:-1] == [
        f"c     {' ' * 18}──┼─────●────────       +0.30",
        f"open  {' ' * 20}│   ──●──             +0.30",
        f"old@1 ●{' ' * 19}│{' ' * 20} -2.00",
    ]
    assert shown["findings"] == [one.as_dict() for one in given]
    counts = {"differs": 1, "no_difference": 0, "inconclusive": 1, "not_answerable": 1}
    assert {name: shown[name] for name in counts} == counts


def test_a_finding_without_an_effect_is_not_drawn_and_many_are_cut() -> None:
    assert of_findings([finding(**NOTHING)])["plot"] == "```\n\n```"
    many = of_findings([finding(f"c{n}") for n in range(25)])
    assert (len(many["table"].splitlines()), len(many["plot"].splitlines())) == (22, 22)
    assert len(many["findings"]) == 25


def test_all_studies_by_model() -> None:
    older = finding(qualifiers=(Qualifier.OLDER_ANSWERS,)).as_dict()
    first = [finding().as_dict(), finding().as_dict(), finding(verdict=OPEN, model="n").as_dict(), older]
    shown = of_scorecard({"s": first, "t": []})
    assert shown["what_matters"].splitlines()[:2] == [
        "- 2 studies, 3 findings",
        "- 2 differs, 0 no difference, 1 inconclusive, 0 not answerable",
    ]
    assert shown["table"].splitlines()[2:] == ["| s | m | 2 | 0 | 0 | 0 |", "| s | n | 0 | 0 | 1 | 0 |"]
    assert shown["plot"].splitlines()[1] == f"differs        {'█' * 40} 1.00"
    assert shown["plot"].splitlines()[3] == f"inconclusive   {'█' * 20}{'·' * 20} 0.50"
    assert (shown["differs"], shown["inconclusive"]) == (2, 1)


@pytest.mark.parametrize("studies", [{}, {"s": []}])
def test_no_study_is_no_error(studies: dict[str, Any]) -> None:
    assert of_scorecard(studies)["differs"] == 0
