"""The page's plots: tables whose last column draws an interval, so that every figure is also text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.findings.summary import Share, Side, Summary, rules_of
from beacon_pipeline.labels.naming import NOT_ON_RECORD, versions_of, with_versions
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job

ROUNDS = 20  # jobs that the timeline shows at most
ROWS = 120  # of one plot


@dataclass(frozen=True, slots=True)
class PlotRow:
    cells: tuple[str, ...]
    low: float = 0.0
    mark: float | None = None
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    columns: tuple[str, ...]
    scale: float  # what the right end stands for
    scale_words: str
    rows: tuple[PlotRow, ...]
    note: str


def plots_of(
    ledger: Ledger, subject: Subject, summary: Summary, beside: tuple[str, Sequence[Side]] | None = None
) -> list[Plot]:
    """Every plot that has something to show; ``beside``: name and sides of what it is held against."""
    sides, jobs = summary.sides[:ROWS], subject.jobs
    made = [_refusals(sides), _likeness(summary), _latency(sides), _balance(sides), _timeline(ledger, jobs)]
    if beside:
        made.insert(1, _both(subject.name, sides, *beside))
    one_prompt = len({side.arm for side in summary.sides}) < 2
    return [_without_prompt(plot) if one_prompt else plot for plot in made if plot.rows]


def _without_prompt(plot: Plot) -> Plot:
    """The plot without a column that says the same everywhere."""
    if "Prompt" not in plot.columns:
        return plot
    at = plot.columns.index("Prompt")
    rows = tuple(replace(row, cells=row.cells[:at] + row.cells[at + 1 :]) for row in plot.rows)
    return replace(plot, columns=plot.columns[:at] + plot.columns[at + 1 :], rows=rows)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _share(name: tuple[str, ...], share: Share) -> PlotRow:
    low, high = share.interval
    figures = (
        *name,
        f"{share.part} of {share.whole}",
        percent(share.rate),
        f"{percent(low)} to {percent(high)}",
    )
    return PlotRow(figures, low, share.rate, high) if share.whole else PlotRow((*figures[:-2], "–", "–"))


def _name(side: Side) -> tuple[str, str, str]:
    return side.model, side.region, side.arm


def _refusals(sides: Sequence[Side]) -> Plot:
    return Plot(
        f"Refusals by {with_versions('rules', rules_of(sides))}: label rate",
        ("Model", "Region", "Prompt", "Refusals", "Rate", "95 % interval"),
        1.0,
        "0 to 100 %",
        tuple(_share(_name(side), side.refusals) for side in sides),
        "Wilson intervals, as if answers were independent; of usable answers. Rules miss refusals, and "
        "more of some models than of others.",
    )


def _both(name: str, sides: Sequence[Side], other: str, others: Sequence[Side]) -> Plot:
    pairs = sorted(
        [
            *((_name(side), 1, name, side) for side in sides),
            *((_name(side), 0, other, side) for side in others),
        ],
        key=lambda one: one[:2],
    )
    rows = tuple(_share((*place, whose), side.refusals) for place, _, whose, side in pairs)
    return Plot(
        f"Refusals beside each other, by {with_versions('rules', rules_of([*sides, *others]))}: label rate",
        ("Model", "Region", "Prompt", "Of", "Refusals", "Rate", "95 % interval"),
        1.0,
        "0 to 100 %",
        rows[:ROWS],
        "Wilson intervals, as if answers were independent. The two may have asked different questions.",
    )


def _likeness(summary: Summary) -> Plot:
    def rows() -> Iterator[PlotRow]:
        for one in summary.likeness[:ROWS]:
            for name, value in (("within a region", one.within), ("between regions", one.between)):
                if value is not None:
                    yield PlotRow((one.model, one.arm, name, f"{value:.3f}"), value, value, value)

    return Plot(
        "Likeness of texts",
        ("Model", "Prompt", "Pairs", "Mean"),
        1.0,
        "0 to 1",
        tuple(rows()),
        "1 less the share of characters to change to make one text the other; 1: equal texts. Of the first "
        "1,000 characters of each. Mean over questions.",
    )


def _latency(sides: Sequence[Side]) -> Plot:
    timed = [(side, side.seconds) for side in sides if side.seconds is not None]
    longest = max((spread.high for _, spread in timed), default=1.0) or 1.0
    return Plot(
        "Seconds from dispatch to answer",
        ("Model", "Region", "Prompt", "Median", "Middle half", "Longest"),
        longest,
        f"0 to {longest:.1f} s",
        tuple(
            PlotRow(
                (*_name(side), f"{s.middle:.1f}", f"{s.low:.1f} to {s.high:.1f}", f"{s.longest:.1f}"),
                *(s.low, s.middle, s.high),
            )
            for side, s in timed
        ),
        "The bar is the middle half, the mark the median. A call's items end together.",
    )


def _balance(sides: Sequence[Side]) -> Plot:
    def row(side: Side) -> PlotRow:
        share = side.completeness
        cells = (*_name(side), f"{share.part} of {share.whole}", str(side.lost), str(side.unusable))
        return PlotRow(cells, 0.0, share.rate or 0.0, share.rate or 0.0)

    return Plot(
        "Balance: what was asked and what came",
        ("Model", "Region", "Prompt", "Usable answers", "Lost", "Not usable"),
        1.0,
        "share answered",
        tuple(row(side) for side in sides),
        "Losses that fall on one side alone can make a difference, or hide one.",
    )


def _timeline(ledger: Ledger, jobs: Sequence[Job]) -> Plot:
    """Refusals by region over the jobs before, of the same study where they have one."""
    newest = jobs[-1]
    rounds = [
        job
        for job in ledger.jobs.newest(200)
        if job.created_at <= newest.created_at and newest.study in (None, job.study)
    ][:ROUNDS]
    ids = [job.id for job in rounds]
    kinds, rules = ledger.aggregates.kinds_by_region(ids), ledger.aggregates.rules_by_job(ids)
    rows = [
        _share(
            (
                f"{job.created_at:%Y-%m-%d %H:%M}",
                job.job_name,
                region,
                ", ".join(version or NOT_ON_RECORD for version in versions_of(rules.get(job.id, ()))),
            ),
            Share(counts.get("refusal", 0), sum(counts.values())),
        )
        for job in reversed(rounds)
        for region, counts in sorted(kinds.get(job.id, {}).items())
    ]
    return Plot(
        "Over time: label rate of refusals by job",
        ("Asked (UTC)", "Job", "Region", "Version of rules", "Refusals", "Rate", "95 % interval"),
        1.0,
        "0 to 100 %",
        tuple(rows) if len(rounds) > 1 else (),
        "Jobs may have asked different questions, and their refusals may be by different rules: compare like "
        "with like.",
    )
