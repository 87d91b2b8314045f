"""Comparisons and findings as Dagster shows them: three lines, a table, and a plot of characters. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beacon_pipeline.escaping import escape_markdown, one_line
from beacon_pipeline.findings.finding import Finding, Qualifier, Verdict
from beacon_pipeline.labels.naming import with_versions

if TYPE_CHECKING:
    from beacon_pipeline.findings.compare import Comparison, Pair

ROWS = 20  # of a table; all is in `beacon compare --json` and `beacon findings --json`
WIDTH = 40  # characters of a plot

Metadata = dict[str, Any]  # markdown as text under `what_matters`, `table` and `plot`; the rest are numbers


def of_comparison(comparison: Comparison) -> Metadata:
    """What a partition of `comparisons` shows."""
    pairs = sorted(comparison.pairs, key=lambda pair: pair.between)
    numbers: Metadata = {
        "answers": comparison.answered,
        "distinct_texts": comparison.distinct,
        "different": int(comparison.different),
    }
    if pairs:
        numbers["least_alike"] = pairs[0].between
    return {
        "what_matters": "\n".join(f"- {line}" for line in _three_lines(comparison, pairs)),
        "table": _table(
            ("a", "b", "alike", "within each", "system prompts", "provenance that differs"),
            [_pair_row(pair) for pair in pairs[:ROWS]],
        ),
        "plot": _plot([(f"{pair.a} | {pair.b}", _bar(pair.between)) for pair in pairs[:ROWS]]),
        **numbers,
    }


def _three_lines(comparison: Comparison, pairs: Sequence[Pair]) -> list[str]:
    asked = sum(one.asked for one in comparison.answers)
    alike = "not all regions and arms answer alike" if comparison.different else "all answer alike"
    lines = [f"{comparison.answered} of {asked} answered, {comparison.distinct} different texts: {alike}"]
    if pairs:
        least = pairs[0]
        within = "" if least.within is None else f", within each of them {least.within:.2f}"
        lines.append(f"least alike: {least.a} and {least.b}, {least.between:.2f}{within}")
    refusals = ", ".join(
        f"{one.place} {one.kinds.get('refusal', 0)} of {one.answered}" for one in comparison.answers
    )
    lines.append(f"refusals by {with_versions('rules', comparison.rules)} (a label rate): {refusals}")
    return [escape_markdown(one_line(line, 500)) for line in lines]


def _pair_row(pair: Pair) -> tuple[str, ...]:
    return (
        str(pair.a),
        str(pair.b),
        f"{pair.between:.2f}",
        "" if pair.within is None else f"{pair.within:.2f}",
        "the same" if pair.same_prompt else "differ",
        ", ".join(field.removeprefix("provenance_") for field in pair.provenance) or "none",
    )


def of_findings(findings: Sequence[Finding]) -> Metadata:
    """What a partition of `findings` shows; ``findings`` is all of them, as JSON has it."""
    own = [one for one in findings if Qualifier.OLDER_ANSWERS not in one.qualifiers]
    order = list(Verdict)
    first = sorted(
        findings, key=lambda one: (Qualifier.OLDER_ANSWERS in one.qualifiers, order.index(one.verdict))
    )
    return {
        "what_matters": "\n".join(f"- {escape_markdown(one_line(one.sentence(), 800))}" for one in first[:3]),
        "table": _table(
            ("claim", "verdict", "effect", "interval", "adjusted p", "units", "qualifiers"),
            [_finding_row(one) for one in first[:ROWS]],
        ),
        "plot": _plot([(one.claim, _interval(one)) for one in first[:ROWS] if one.effect is not None]),
        "findings": [one.as_dict() for one in findings],
        **verdict_counts(one.verdict for one in own),
    }


def verdict_counts(verdicts: Iterable[str]) -> dict[str, int]:
    """How many findings have which verdict, each verdict by a name that is a metadata key."""
    counted = Counter(verdicts)
    return {_KEYS[verdict]: counted[verdict] for verdict in Verdict}


_KEYS = {
    Verdict.DIFFERS: "differs",
    Verdict.NO_DIFFERENCE: "no_difference",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.NOT_ANSWERABLE: "not_answerable",
}


def _finding_row(one: Finding) -> tuple[str, ...]:
    interval = "" if one.low is None or one.high is None else f"{one.low:+.2f} to {one.high:+.2f}"
    return (
        one.claim,
        one.verdict,
        "" if one.effect is None else f"{one.effect:+.2f}",
        interval,
        "" if one.p_adjusted is None else f"{one.p_adjusted:.3g}",
        one.units,
        ", ".join(one.qualifiers),
    )


def of_scorecard(studies: Mapping[str, Sequence[Mapping[str, Any]]]) -> Metadata:
    """All studies' findings, as JSON has them, by study and version: how many of which verdict, by model.

    What an older version's answers show counts with that version alone.
    """
    studies = {
        study: [one for one in findings if Qualifier.OLDER_ANSWERS not in one["qualifiers"]]
        for study, findings in studies.items()
    }
    counted: dict[tuple[str, str], Counter[str]] = {}
    for study, findings in studies.items():
        for one in findings:
            counted.setdefault((study, str(one["model"])), Counter())[str(one["verdict"])] += 1
    everything = [str(one["verdict"]) for findings in studies.values() for one in findings]
    totals = verdict_counts(everything)
    lines = [
        f"{len(studies)} studies, {len(everything)} findings",
        ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in totals.items()),
        "a difference between deployments is one of what serves them: the same weights hold no opinion",
    ]
    rows = [
        (study, model, *(str(counts[verdict]) for verdict in Verdict))
        for (study, model), counts in sorted(counted.items())
    ]
    most = max((number for number in totals.values()), default=0) or 1
    return {
        "what_matters": "\n".join(f"- {line}" for line in lines),
        "table": _table(("study", "model", *Verdict), rows),
        "plot": _plot([(name, _bar(number / most)) for name, number in totals.items()]),
        **totals,
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([escape_markdown(one_line(cell)) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plot(rows: Sequence[tuple[str, str]]) -> str:
    """Lines of equal length in a code block; names are the catalog's and the study's own."""
    width = max((len(name) for name, _ in rows), default=0)
    return "```\n" + "\n".join(f"{name:<{width}} {drawn}" for name, drawn in rows) + "\n```"


def _bar(share: float) -> str:
    filled = round(share * WIDTH)
    return f"{'█' * filled}{'·' * (WIDTH - filled)} {share:.2f}"


def _interval(one: Finding) -> str:
    """The interval from -1 to 1, with zero in the middle and the effect as a point."""
    assert one.effect is not None
    low, high = (
        (one.low, one.high) if one.low is not None and one.high is not None else (one.effect, one.effect)
    )
    start, point, end = (_column(value) for value in (low, one.effect, high))
    line = ["─" if start <= column <= end else " " for column in range(WIDTH + 1)]
    line[WIDTH // 2] = "┼" if start <= WIDTH // 2 <= end else "│"
    line[point] = "●"
    return f"{''.join(line)} {one.effect:+.2f}"


def _column(value: float) -> int:
    return round((min(1.0, max(-1.0, value)) + 1) / 2 * WIDTH)
