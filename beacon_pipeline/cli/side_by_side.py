"""Answers side by side in the terminal. Model output is untrusted: only `visible` text is shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from beacon_pipeline.escaping import one_line, visible
from beacon_pipeline.findings.compare import Answers, Comparison, Pair
from beacon_pipeline.findings.word_diff import COMMON_SHARE, Piece, common_share, word_differences
from beacon_pipeline.labels.naming import versions_of, with_versions

SHOWN = 1_500  # characters of a text
MARK = "bold underline"  # of words that the first text lacks; without styles they stand in brackets
OPENED, CLOSED = "⟦", "⟧"


def comparison_panel(comparison: Comparison, *, styled: bool = True) -> RenderableType:
    """One question of one model: a column for each region, a row for each arm, all held against the first."""
    regions = list(dict.fromkeys(one.place.region for one in comparison.answers))
    arms = list(dict.fromkeys(one.place.arm for one in comparison.answers))
    by_place = {(one.place.region, one.place.arm): one for one in comparison.answers}
    first = next((one.text for one in comparison.answers if one.text is not None), "")
    # A word that is wider than its column goes on in the next line: no letter of an answer is left out.
    columns = (Column(name, overflow="fold") for name in regions)
    table = Table(*(["arm"] if len(arms) > 1 else []), *columns, show_lines=True)
    for arm in arms:
        cells = [_cell(by_place.get((region, arm)), first, styled) for region in regions]
        table.add_row(*([Text(arm)] if len(arms) > 1 else []), *cells)
    head = Text(f"{comparison.model}: {one_line(comparison.prompt or comparison.question)}", "bold")
    return Group(head, table, *map(_line, _told(comparison.pairs)))


def summary_line(name: str, found: Sequence[Comparison], shown: int) -> Text:
    """How many questions of how many models differ, and by which rules the kinds are."""
    different = sum(one.different for one in found)
    hidden = f", {len(found) - shown} alike not shown" if shown < len(found) else ""
    rules = versions_of(version for one in found for version in one.rules)
    kinds = f"; kinds by {with_versions('rules', rules)}" if rules else ""
    return Text(
        f"{name}: {different} of {len(found)} answered differently (model × question){hidden}{kinds}", "bold"
    )


def _cell(answers: Answers | None, first: str, styled: bool) -> Text:
    if answers is None:
        return Text("not asked", "dim")
    if answers.text is None:
        return Text(", ".join(f"{count} {status}" for status, count in answers.statuses.items()), "dim")
    kinds = ", ".join(f"{count} {kind}" for kind, count in answers.kinds.items() if kind != "substantive")
    texts = len(answers.texts)
    several = f"{texts} {'text' if texts == 1 else 'texts'} in {answers.answered} answers"
    several = several if answers.answered > 1 else ""
    pieces = word_differences(first[:SHOWN], answers.text[:SHOWN])
    unlike = common_share(*pieces) < COMMON_SHARE
    note = "; ".join(part for part in (several, kinds, "another text" if unlike else "") if part)
    shown = Text.assemble((f"({note})\n", "dim")) if note else Text()
    text = [(piece, lacking and not unlike) for piece, lacking in pieces[1]]
    return shown.append_text(_marked(text, len(answers.text), styled))


def _marked(pieces: Sequence[Piece], length: int, styled: bool) -> Text:
    """The pieces of a text of this length with what the first one lacks marked."""
    marked = Text()
    for piece, lacking in pieces:
        shown = visible(piece)
        if lacking and shown.strip():
            shown = shown if styled else f"{OPENED}{shown}{CLOSED}"
            marked.append(shown, MARK)
        else:
            marked.append(shown)
    if (more := length - SHOWN) > 0:
        marked.append(f" … {more} more characters: `beacon page` has them", "dim")
    return marked


def _told(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs that are not all the same, the least alike first."""
    return sorted((pair for pair in pairs if pair.between < 1), key=lambda pair: pair.between)[:3]


def _line(pair: Pair) -> Text:
    within = "" if pair.within is None else f", within each {pair.within:.2f}"
    prompt = "" if pair.same_prompt else "; their system prompts differ"
    fields = ", ".join(field.removeprefix("provenance_") for field in pair.provenance)
    provenance = f"; provenance differs in {fields}" if fields else ""
    return Text(f"{pair.a} | {pair.b}: alike {pair.between:.2f}{within}{prompt}{provenance}", "dim")
