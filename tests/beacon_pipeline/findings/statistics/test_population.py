"""Questions, and blocks, as samples: against the two-way analysis of variance, written out."""

import numpy as np
import pytest
from scipy import stats

from beacon_pipeline.findings.statistics.population import over_questions, over_questions_and_blocks


def differences(seed: int, of_questions: float, of_blocks: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = rng.normal(0.1, of_questions, (7, 1)), rng.normal(0, of_blocks, (1, 5))
    return rows + columns + rng.normal(0, 0.1, (7, 5))


def mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Of questions, of blocks, and of the residual."""
    questions, blocks = table.shape
    whole = table.sum() / (questions * blocks)
    rows = [sum(row) / blocks for row in table]
    columns = [sum(column) / questions for column in table.T]
    of_rows = blocks * sum((row - whole) ** 2 for row in rows) / (questions - 1)
    of_columns = questions * sum((column - whole) ** 2 for column in columns) / (blocks - 1)
    left = [
        (table[i][j] - rows[i] - columns[j] + whole) ** 2 for i in range(questions) for j in range(blocks)
    ]
    return of_rows, of_columns, sum(left) / ((questions - 1) * (blocks - 1))


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_both_factors_count_and_what_both_count_is_taken_off(seed: int, level: float) -> None:
    table = differences(seed, 0.5, 0.4)
    of_rows, of_columns, left = mean_squares(table)
    assert min(of_rows, of_columns) > left
    variance = (of_rows + of_columns - left) / 35
    freedom = variance**2 / ((of_rows / 35) ** 2 / 6 + (of_columns / 35) ** 2 / 4)
    t = stats.t(freedom)
    found = over_questions_and_blocks(table, level)
    spread = variance**0.5
    assert found.effect == pytest.approx(table.mean())
    assert found.high - found.effect == pytest.approx(spread * t.isf((1 - level) / 2))
    assert found.effect - found.low == pytest.approx(spread * t.isf((1 - level) / 2))
    assert found.narrow[1] - found.effect == pytest.approx(spread * t.isf(1 - level))
    assert found.p == pytest.approx(max(2 * t.sf(abs(table.mean()) / spread), 2 / 2**5))
    assert (found.smallest_p, found.unit, found.units) == (2 / 2**5, "question", 7)
    assert (found.test, found.level) == ("t over questions and blocks", level)


@pytest.mark.parametrize(("of_questions", "of_blocks", "freedom"), [(0.5, 0.0, 6), (0.0, 0.5, 4)])
def test_a_factor_without_variance_leaves_it_to_the_other(
    of_questions: float, of_blocks: float, freedom: int
) -> None:
    seed = next(
        seed
        for seed in range(50)
        if min(mean_squares(differences(seed, of_questions, of_blocks))[:2])
        < mean_squares(differences(seed, of_questions, of_blocks))[2]
    )
    table = differences(seed, of_questions, of_blocks)
    spread = (max(mean_squares(table)[:2]) / 35) ** 0.5
    found = over_questions_and_blocks(table)
    assert found.high - found.low == pytest.approx(2 * spread * stats.t(freedom).isf(0.025))
    assert found.level == 0.95


def test_a_hole_is_refused() -> None:
    table = differences(0, 0.1, 0.1)
    table[2, 3] = np.nan
    with pytest.raises(ValueError, match="a question lacks answers in a block"):
        over_questions_and_blocks(table)


def test_over_questions_alone() -> None:
    values = np.array([0.1, 0.3, -0.1, 0.2, 0.4, 0.0])
    found, theirs = over_questions(values), stats.ttest_1samp(values, 0)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.narrow == pytest.approx(tuple(theirs.confidence_interval(0.9)))
    assert found.p == pytest.approx(theirs.pvalue)
    assert (found.units, found.smallest_p, found.test) == (6, 2 / 64, "t over questions")
    assert over_questions(np.zeros(6)).p == 1.0, "nothing differs, and nothing varies"
    assert over_questions(np.full(6, 0.5)).p == 2 / 64, "six equal values are no certainty"
