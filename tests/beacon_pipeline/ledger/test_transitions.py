"""Which status may follow which."""

from itertools import product

import pytest

from beacon_pipeline.ledger.status import Status
from beacon_pipeline.ledger.transitions import IllegalTransition, require_legal

# From a status, or from nothing, to those that may follow it.
LEGAL = """
nothing     pending
pending     dispatched completed failed cancelled
dispatched  pending completed failed timed_out cancelled
completed
failed      pending dispatched completed timed_out cancelled
timed_out   pending dispatched completed failed cancelled
cancelled   pending dispatched completed failed timed_out
"""
ALLOWED = {(row.split()[0], target) for row in LEGAL.strip().splitlines() for target in row.split()[1:]}


@pytest.mark.parametrize(("source", "target"), list(product([None, *Status], Status)))
def test_a_status_follows_only_where_it_may(source: Status | None, target: Status) -> None:
    name = source.value if source else "nothing"
    if (name, target.value) in ALLOWED:
        require_legal(source, target)
        return
    with pytest.raises(IllegalTransition, match=f"illegal transition: {name} -> {target.value}$") as caught:
        require_legal(source, target)
    assert (caught.value.source, caught.value.target) == (source, target)
