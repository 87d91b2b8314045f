"""What repairs which state, and the table as `docs/reconciliation.md` shows it."""

import os
from collections.abc import Iterator
from enum import StrEnum

from beacon_pipeline.execution.decide import TABLE, Action, Attendance, CallStage, Rule, decide
from beacon_pipeline.ledger.status import Status
from beacon_pipeline.reconciliation.reconcile import REMEDIES, REPAIRS, Repair, reconcile
from beacon_pipeline.reconciliation.repair_runs import REASONS
from inference.contract import CallStatus
from tests.beacon_pipeline.execution.test_decide import KNOWN, STATES, every_state
from tests.beacon_pipeline.instances import ROOT

DOCUMENT = ROOT / "docs" / "reconciliation.md"

# The columns of the document, by the field of `ExecutionState`.
COLUMNS = {
    "attended_by": "who works on it",
    "status": "status",
    "stage": "call",
    "call_status": "the provider says",
    "shown": "Dagster shows",
    "newest": "newest",
    "acknowledged": "acknowledged",
    "attempts_left": "attempts left",
    "durable": "durable",
    "submitting": "submitting",
}


def test_every_step_has_a_repair_and_a_remedy() -> None:
    assert set(REPAIRS) == set(REMEDIES) == set(Action)
    assert set(REASONS) == {repair for repair in Repair if repair.needs_run}


def test_a_remedy_promises_what_the_table_does() -> None:
    """Only steps that pay may say that it is asked again, and only steps that never pay that it is not."""
    for action, remedy in REMEDIES.items():
        pays = action in (Action.DISPATCH, Action.INTERRUPT)
        assert ("asks again, within the attempt budget" in remedy) is pays, action
        if "`beacon reconcile`" in remedy:
            assert REPAIRS[action].needs_run or action is Action.POLL, action
        if "in a new job" in remedy:
            assert REPAIRS[action] in (Repair.NOTHING, Repair.DEAD_LETTER), action


def test_no_repair_breaks_an_invariant() -> None:
    for state in every_state():
        repair = reconcile(state)
        assert repair is REPAIRS[decide(state)]
        if state.attended_by is Attendance.OTHER_RUN:
            assert repair is Repair.WAIT
            continue
        ended = state.status.is_terminal and state.status is not Status.COMPLETED
        if state.status is Status.COMPLETED:
            assert repair in (Repair.NOTHING, Repair.CORRECT_DAGSTER)
        if ended and state.stage in KNOWN and state.call_status is CallStatus.SUCCEEDED:
            assert repair is Repair.ATTACH, "a provider's success is never left as a failure"
        if state.stage in KNOWN and state.call_status in (None, CallStatus.UNREACHABLE):
            assert repair not in (Repair.REDISPATCH, Repair.DEAD_LETTER), "unknown is not failed"
        if repair is Repair.REDISPATCH:
            assert state.attempts < state.budget, "healing is bounded"


def shown_values(rule: Rule, column: str) -> str:
    allowed = dict(rule.conditions).get(column)
    if allowed is None:
        return "`*`"
    return ", ".join(f"`{value}`" for value in sorted(map(_value, allowed), key=_ORDER.index))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


_ENUMS: tuple[type[StrEnum], ...] = (Attendance, Status, CallStage, CallStatus)
_ORDER = ["-", "no", "yes", *(word.value for enum in _ENUMS for word in enum), "agrees"]


def rows() -> Iterator[list[str]]:
    yield [*COLUMNS.values(), "a run's step", "repair", "because"]
    yield ["---"] * (len(COLUMNS) + 3)
    for rule in TABLE:
        values = [shown_values(rule, column) for column in COLUMNS]
        yield [*values, f"`{rule.action.value}`", f"`{REPAIRS[rule.action].value}`", rule.because]


def document() -> str:
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows())
    remedies = "\n".join(f"| `{action.value}` | {remedy} |" for action, remedy in REMEDIES.items())
    return f"""# What is decided, and what reconciliation does about it

Rendered from `beacon_pipeline/execution/decide.py`, the one decision table; its tests hold it over all
{STATES:,} combinations (`BEACON_RENDER_DOCS=1 pytest
tests/beacon_pipeline/reconciliation/test_reconcile.py` writes this page anew). A run takes the step; the
sensor and `beacon reconcile` request the repair. The first row that fits decides; `*` is anything, and for
what the provider says `-` means that it was not asked in this round.

{table}

- *who works on it*: `run`, the run that decides, launched by a person or a schedule; `repair run`, the same,
  requested by reconciliation; `other run`, another one that is queued or running; `recent`, none, but
  something touched it within its deadline; `nobody`, none, and nothing did.
- *call*: the call that decides. Mostly the newest; but an earlier one that has an answer, or may bring one,
  comes first: nothing is paid while the provider may still hold an answer. `intended`: written down, no
  answer to the submit on record. `accepted`: the attempt is open. `ended`: by a report without a reply,
  which the provider may revise. `answered`: its reply was read, and the provider may still have it.
  `earlier`: a newer call followed it. `refused`: its reply, or a refusal, is this execution's failure: final.
- *newest*: no newer job asks the same. *acknowledged*: a person cancelled it, or it is a dead letter, of
  which a person was alerted. *durable*: the provider's calls outlive the process that asked. *submitting*:
  another process may be sending it now.

What a check or `beacon status` says to do, by the step:

| step | what to do |
| --- | --- |
{remedies}
"""


def test_the_document_shows_the_table() -> None:
    if os.environ.get("BEACON_RENDER_DOCS"):
        DOCUMENT.write_text(document(), encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == document()
