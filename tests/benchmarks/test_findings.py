"""The simulations of findings in small: each with fixed seeds, and with room for so few draws."""

import pytest

from beacon_pipeline.findings.statistics.intervals import wilson
from benchmarks.findings import Line, lines, rate_of

SLOW = {  # draws that a unit test can afford, where one takes more than milliseconds
    "null: 54 claims at once, any of them": 5,
    "one call a side: not answerable": 2,
    "whole studies on text, all seven verdicts right": 1,
    "GPU only in one region: named as inseparable": 2,
    "GPU in both regions: attributed to it": 2,
}
DRAWS = 100
LINES = list(lines())


@pytest.mark.parametrize("line", LINES, ids=[line.name for line in LINES])
def test_the_rate_may_be_the_one_asked_for(line: Line) -> None:
    low, high = wilson(*rate_of(line, SLOW.get(line.name, DRAWS)), 0.999)
    assert low <= line.high
    assert high >= line.low
