"""The tokens that are drawn have the probabilities that the parameters say."""

import importlib
from typing import Any

import pytest

from inference.runtime.sampling import SeededRows

ROWS = 4000


@pytest.fixture
def torch() -> Any:
    """Imported by the process that runs these tests, not by all that collect them: it takes seconds."""
    return importlib.import_module("torch")


@pytest.fixture
def logits(torch: Any) -> Any:
    return torch.tensor([2.0, 1.0, 0.0, -1.0, 0.5])


@pytest.mark.parametrize(
    ("temperature", "top_p", "kept"), [(1.0, 1.0, 5), (0.7, 1.0, 5), (3.0, 0.8, 4), (1.0, 0.6, 2)]
)
def test_tokens_are_drawn_with_their_probabilities(
    temperature: float, top_p: float, kept: int, torch: Any, logits: Any
) -> None:
    wanted = torch.softmax(logits / temperature, 0)
    wanted[wanted.argsort(descending=True)[kept:]] = 0
    wanted /= wanted.sum()
    rows = SeededRows(list(range(ROWS)), temperature, top_p)
    for _ in range(2):  # the second token of a row is drawn anew
        scores = rows(torch.zeros(ROWS, 1), logits.repeat(ROWS, 1))
        share = torch.bincount(scores.argmax(1), minlength=5) / ROWS
        deviation = (wanted * (1 - wanted) / ROWS).sqrt()
        assert bool((share - wanted).abs().le(4 * deviation).all()), (share, wanted)


def test_a_row_without_a_seed_keeps_its_scores_and_others_are_no_concern_of_a_row(
    torch: Any, logits: Any
) -> None:
    scores = SeededRows([None, 5, None, 6], 1.0, 1.0)(torch.zeros(4, 1), logits.repeat(4, 1))
    assert torch.equal(scores[0], logits)
    assert torch.equal(scores[2], logits)
    alone = SeededRows([6], 1.0, 1.0)(torch.zeros(1, 1), logits.repeat(1, 1))
    assert torch.equal(alone[0], scores[3])
    assert not torch.equal(scores[1], scores[3])


@pytest.mark.parametrize("seed", [-1, 0, 2**53 - 1, 2**63])
def test_any_seed_on_record_can_be_used(seed: int, torch: Any, logits: Any) -> None:
    (row,) = SeededRows([seed], 1.0, 1.0)(torch.zeros(1, 1), logits.repeat(1, 1))
    assert bool(row.isfinite().all())
