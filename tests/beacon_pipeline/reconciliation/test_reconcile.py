"""What heals which case: the rules as a table over every combination, rendered into the docs."""

import os
from dataclasses import dataclass
from itertools import product

from beacon_pipeline.execution.decide import CallStage, Facts
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.reconcile import Case, Healing, View, reconcile
from inference.contract import CallStatus
from tests.beacon_pipeline.instances import ROOT

DOCUMENT = ROOT / "docs" / "reconciliation.md"
BUDGET = 3

# The first rule that fits decides. `*`: anything; `-`: the provider was not asked, no call was accepted.
RULES = """
status               | call     | provider            | Dagster   | unattended | newest | told | budget | healing         | because
*                    | *        | *                   | under_way | *   | *   | *   | *   | wait            | a run that works on it is queued or running
completed            | *        | *                   | agrees    | *   | *   | *   | *   | nothing         | the truths agree
completed            | *        | *                   | *         | *   | no  | *   | *   | nothing         | the partition shows a newer job
completed            | *        | *                   | *         | *   | *   | *   | *   | correct_dagster | the ledger is right, the partition is not
pending, dispatched  | *        | *                   | *         | no  | *   | *   | *   | wait            | its run may be about to touch it
dispatched           | accepted | -, unreachable      | *         | *   | *   | *   | *   | wait            | unknown is not failed
dispatched           | accepted | *                   | *         | *   | *   | *   | *   | attach          | the provider runs it or has its end, and nobody reads it
dispatched           | intended (durable) | *         | *         | *   | *   | *   | *   | attach          | the same request again: the provider runs it once
pending, dispatched  | *        | *                   | *         | *   | *   | *   | yes | redispatch      | nothing is in flight
pending, dispatched  | *        | *                   | *         | *   | *   | *   | no  | dead_letter     | the budget is spent
*                    | accepted | succeeded, pending  | *         | *   | *   | *   | *   | attach          | recorded as ended, and it is not so: the incident
*                    | accepted | -, unreachable      | *         | *   | *   | *   | *   | wait            | unknown is not failed
*                    | *        | *                   | *         | *   | *   | yes | *   | nothing         | cancelled by a person, or a dead letter
*                    | *        | *                   | *         | *   | *   | *   | yes | redispatch      | ended without an answer, and nobody was told
*                    | *        | *                   | *         | *   | *   | *   | no  | dead_letter     | the budget is spent
"""  # noqa: E501

EVERY_CASE = [
    Case(Facts(status, stage, call_status, attempts, BUDGET, durable), view, unattended, newest, told)
    for status, stage, call_status, attempts, durable, view, unattended, newest, told in product(
        Status,
        CallStage,
        [None, *CallStatus],
        [0, 2, 3, 4],
        [True, False],
        View,
        [True, False],
        [True, False],
        [True, False],
    )
]


@dataclass(frozen=True)
class Rule:
    conditions: tuple[tuple[str, ...], ...]
    healing: Healing
    because: str

    def fits(self, case: Case) -> bool:
        stage = case.facts.stage.value
        words = (
            (case.facts.status.value,),
            (stage, f"{stage} (durable)" if case.facts.durable else stage),
            (case.facts.call_status.value if case.facts.call_status else "-",),
            (case.view.value,),
            *((("no", "yes")[fact],) for fact in (case.unattended, case.newest, case.told)),
            (("no", "yes")[case.facts.attempts < case.facts.budget],),
        )
        return all(
            "*" in wanted or set(wanted) & set(said)
            for wanted, said in zip(self.conditions, words, strict=True)
        )


def rules() -> tuple[list[str], list[Rule]]:
    header, *lines = [[cell.strip() for cell in line.split("|")] for line in RULES.strip().splitlines()]
    return header, [
        Rule(tuple(tuple(cell.split(", ")) for cell in line[:-2]), Healing(line[-2]), line[-1])
        for line in lines
    ]


def test_every_case_is_healed_as_its_rule_says() -> None:
    _, table = rules()
    used = set()
    for case in EVERY_CASE:
        rule = next(rule for rule in table if rule.fits(case))
        assert reconcile(case) is rule.healing, case
        used.add(rule)
    assert used == set(table), "a rule that never decides is no rule"


def test_no_case_breaks_an_invariant() -> None:
    for case in EVERY_CASE:
        healing, facts = reconcile(case), case.facts
        accepted = facts.stage is CallStage.ACCEPTED
        ended = facts.status in (Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)
        if facts.status is Status.COMPLETED:
            assert healing in (Healing.NOTHING, Healing.WAIT, Healing.CORRECT_DAGSTER)
        if (
            accepted
            and facts.call_status is CallStatus.SUCCEEDED
            and ended
            and case.view is not View.UNDER_WAY
        ):
            assert healing is Healing.ATTACH, "a provider's success is never left as a failure"
        if (
            accepted
            and facts.call_status in (None, CallStatus.UNREACHABLE)
            and facts.status is not Status.PENDING
        ):
            assert healing not in (Healing.REDISPATCH, Healing.DEAD_LETTER), "unknown is not failed"
        if healing is Healing.REDISPATCH:
            assert facts.attempts < facts.budget, "healing is bounded"
            assert not (ended and case.told), "what a person cancelled or was told of is not asked again"


def document() -> str:
    header, _ = rules()
    lines = [line.split("|") for line in RULES.strip().splitlines()[1:]]
    rows = [
        [f"`{cell.strip()}`" if 0 < n < 9 else cell.strip() for n, cell in enumerate(line)] for line in lines
    ]
    for row in rows:
        row[0] = f"`{row[0]}`"
    table = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    healings = "\n".join(f"- `{h.value}`" for h in Healing)
    return f"""# What reconciliation decides

Rendered from `tests/beacon_pipeline/reconciliation/test_reconcile.py`, which holds
`beacon_pipeline/reconciliation/reconcile.py` to it over all {len(EVERY_CASE):,} combinations
(`BEACON_RENDER_DOCS=1 pytest tests/beacon_pipeline/reconciliation/test_reconcile.py`
writes it anew). The first row that fits decides; `*` is anything, `-` that no call was accepted.

{chr(10).join(table)}

*unattended*: nothing has touched it within the deadline, or the run that worked on it is gone. *newest*: no
newer job asks the same. *told*: a person cancelled it, or it is a dead letter. *budget*: attempts are left.
The outcomes:

{healings}
"""


def test_the_document_shows_this_table() -> None:
    if os.environ.get("BEACON_RENDER_DOCS"):
        DOCUMENT.write_text(document(), encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == document()
