"""How alike two texts are: the one measure of page, comparison and tests.

1 less the least number of characters to insert, delete or replace, as a share of the longer text; of their
first `CAP` characters. A text that no UTF-8 can hold is compared by its code points, as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CAP = 1_000  # characters of a text that are compared


def likeness(one: str, other: str) -> float:
    """Of two texts, 0 to 1."""
    return float(Levenshtein.normalized_similarity(one[:CAP], other[:CAP]))


def likenesses(texts: Sequence[str], others: Sequence[str], cap: int = CAP) -> npt.NDArray[np.float64]:
    """Of each of these texts with each of the others; of the same list with itself in half the time."""
    import numpy as np  # here: the page needs `likeness` alone, and every command would load this

    a = [text[:cap] for text in texts]
    b = a if others is texts else [text[:cap] for text in others]  # rapidfuzz takes each pair once then
    found: npt.NDArray[Any] = cdist(a, b, scorer=Levenshtein.normalized_similarity, dtype=np.float32)
    return found.astype(np.float64)
