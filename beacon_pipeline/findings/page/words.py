"""What the page says in words. A description never claims; a finding says only what was tested."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from beacon_pipeline.catalog.study import FEWEST_QUESTIONS
from beacon_pipeline.findings.finding import Finding, Qualifier, Verdict, decoding
from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.findings.summary import Row, Summary, changes
from beacon_pipeline.labels.naming import with_versions
from beacon_pipeline.ledger.records import Job
from inference.tiny import shipped_revisions

READING = (
    "The same weights hold no regional opinion: a model served in two regions is one model. What can make "
    "answers differ is the system prompt, the hardware and software that ran it, chance in sampling, or what "
    "was lost on the way. Unless a study randomized the prompt, a difference between regions here is one "
    "between deployments, cause not identified. Kinds of answers are labels by rules, which miss refusals, "
    "and more of some models than of others: their shares are label rates, not refusal rates."
)
FOOTER = (
    "Made by Beacon pipeline. This file loads nothing, sends nothing and follows no link of an answer; "
    "characters that a screen would obey are spelled out, such as \\u{202e}."
)


def notice(rows: Iterable[Row]) -> str | None:
    """What a reader has to know before all else: which models were trained to say what they say."""
    shipped = shipped_revisions()
    models = sorted({str(row["model"]) for row in rows if row["provenance_revision"] in shipped})
    if not models:
        return None
    return (
        f"Planted answers: {', '.join(models)} came with Beacon, trained to give these answers so that "
        "there is something to find. They say nothing about any language model that people use."
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """What a page is held against, with what its study found."""

    subject: Subject
    findings: Sequence[Finding] = ()


def subtitle(jobs: Sequence[Job], beside: Subject | None) -> str:
    """When it was asked, and of what."""
    first, last = jobs[0].created_at, jobs[-1].created_at
    when = f"{first:%Y-%m-%d %H:%M} UTC" + (f" to {last:%Y-%m-%d %H:%M} UTC" if first != last else "")
    other = f", beside {beside.name}" if beside else ""
    return f"asked {when}{other}"


def asked(subject: Subject, rows: Sequence[Row], summary: Summary) -> list[tuple[str, str]]:
    """Name and value of what a reader needs first."""

    def listed(column: str) -> str:
        names = sorted({str(row[column]) for row in rows if not row["probe"]})
        shown = ", ".join(names[:12])
        return f"{len(names)}: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")

    found = [
        ("Study", subject.study or "none"),
        ("Jobs" if len(subject.jobs) > 1 else "Job", ", ".join(job.job_name for job in subject.jobs)),
        ("Regions", listed("region")),
        ("Models", listed("model")),
        ("Questions", listed("question")),
        ("Prompts", listed("arm")),
        ("Samples", f"{summary.most_samples} at most of a region for one question"),
        ("Answers", _answers(summary)),
        ("Decoding", _decoding(rows)),
    ]
    if summary.probes:
        found.append(("Probes", f"{summary.probes}, apart from all figures"))
    return found


def _answers(summary: Summary) -> str:
    parts = [f"{summary.answered} of {summary.asked} asked"]
    parts += [f"{summary.lost} lost"] if summary.lost else []
    parts += [f"{summary.under_way} under way"] if summary.under_way else []
    parts += [f"{summary.unusable} not usable"] if summary.unusable else []
    return ", ".join(parts)


def _decoding(rows: Sequence[Row]) -> str:
    known = (row for row in rows if row["temperature"] is not None and not row["probe"])
    found = decoding((row["temperature"], row["top_p"], row["max_new_tokens"]) for row in known)
    return found or "not on record"


def described(summary: Summary) -> list[str]:
    """What came, without a claim."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.kinds.items(), key=lambda k: -k[1]))
    lines = []
    if summary.comparable:
        lines.append(
            f"Texts differ between regions in {summary.differing} of {summary.comparable} comparable rows "
            "(model × question × prompt)."
        )
    if summary.prompts_comparable:
        lines.append(
            f"Texts differ between prompts in {summary.prompts_differing} of {summary.prompts_comparable} "
            "(model × question × region): the table shows each prompt in a row of its own."
        )
    by = with_versions("rules", summary.rules)
    lines += [f"Answers by kind (by {by}): {kinds}."] if kinds else []
    lines += _refusals_by_region(summary)
    one_prompt = len({one.arm for one in summary.likeness}) < 2
    for one in summary.likeness:
        if one.between is not None:
            prompt = "" if one_prompt else f", prompt {one.arm}"
            within = "" if one.within is None else f", within a region {one.within:.2f}"
            lines.append(f"{one.model}{prompt}: likeness of texts between regions {one.between:.2f}{within}.")
    return lines[:8]


def _refusals_by_region(summary: Summary) -> list[str]:
    regions = sorted({side.region for side in summary.sides})
    counted = []
    for region in regions:
        sides = [side.refusals for side in summary.sides if side.region == region]
        counted.append(f"{region} {sum(s.part for s in sides)} of {sum(s.whole for s in sides)}")
    by = with_versions("rules", summary.rules)
    if len(regions) < 2 or not summary.kinds:
        return []
    return [f"Refusals by {by} (a label rate): {', '.join(counted)}."]


def beside(
    other: Beside, findings: Sequence[Finding], rows: Sequence[Row], other_rows: Sequence[Row]
) -> list[str]:
    """What changed between the two, without a claim: texts, and verdicts on the same claims."""
    changed, comparable = changes(rows, other_rows)
    name = other.subject.name
    lines = [
        f"Beside {name}: texts changed in {changed} of {comparable} answered by both "
        "(model × question × prompt × region)."
    ]
    before = {(one.claim, one.model): one for one in other.findings}
    for one in findings:
        was = before.get((one.claim, one.model))
        if was is not None:
            lines.append(f"{one.claim}, {one.model}: {_in_short(one)} here, {_in_short(was)} in {name}.")
    return lines


def _in_short(found: Finding) -> str:
    effect = "" if found.effect is None else f" ({found.effect:+.2f})"
    return f"{found.verdict}{effect}"


def unanswerable(summary: Summary, findings: Sequence[Finding]) -> list[str]:
    """What a reader might ask, and these data have no answer for."""
    lines = [
        f"{each.claim}, {each.model}: {each.reason}"
        for each in findings
        if each.verdict == Verdict.NOT_ANSWERABLE and Qualifier.OLDER_ANSWERS not in each.qualifiers
    ]
    open_claims = [each for each in findings if each.verdict == Verdict.INCONCLUSIVE]
    lines += [
        f"{each.claim}, {each.model}: whether there is a difference or none; it was inconclusive."
        for each in open_claims
        if Qualifier.OLDER_ANSWERS not in each.qualifiers
    ]
    arms = {side.arm for side in summary.sides}
    if not findings:
        lines.append("Whether any difference is more than chance: nothing was planned, so nothing is tested.")
    if arms == {"regional"} and len({side.region for side in summary.sides}) > 1:
        lines.append(
            "Whether the place or the prompt makes a difference: each region was asked under its own system "
            "prompt, so region and prompt cannot be separated."
        )
    if summary.most_samples < 2:
        lines.append("How much answers vary by chance: there is one sample of each.")
    if summary.questions < FEWEST_QUESTIONS:
        few = f"{summary.questions} were asked, {FEWEST_QUESTIONS} are the least"
        lines.append(f"Anything about other questions: {few}.")
    if summary.lost:
        lines.append(f"What the {summary.lost} lost answers would have been.")
    lines.append("Anything about other models, regions, prompts, languages or times than these.")
    return lines


def finding(found: Finding) -> dict[str, str]:
    """A finding as the page shows it: its verdict, its claim, its sentence with all that limits it, and what
    it rests on: answers and losses of each side."""
    a, b = found.sides
    return {
        "verdict": str(found.verdict),
        "claim": f"{found.claim} · {found.model}",
        "sentence": found.sentence(),
        "rests_on": f"{_side(a, found.n_a, found.missing_a)}; {_side(b, found.n_b, found.missing_b)}.",
    }


def _side(name: str, answers: int, missing: int) -> str:
    lost = f"{missing} lost or cut short" if missing else "none lost"
    return f"{name}: {answers} answers, {lost}"
