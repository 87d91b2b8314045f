"""Draw the tokens of a batch so that each row's come from its own seed and from nothing else.

Adding Gumbel noise to the logarithms of probabilities and taking the largest draws from these
probabilities (Gumbel 1954; vLLM and ``torch.multinomial`` do as much with exponential noise). So greedy
generation with noise of its own on each row samples a whole batch at once: a row's noise does not
depend on its neighbours, its place or the device, and a row without noise stays greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SAMPLER = "gumbel-pcg64"  # on record: with another one the same seed gives other tokens


class SeededRows:
    """A logits processor for `generate` without its own sampling.

    ``seeds``: one for each row, None for a greedy one. ``temperature`` is above 0. It serves one call of
    `generate` from its first token on.
    """

    def __init__(self, seeds: Sequence[int | None], temperature: float, top_p: float) -> None:
        import numpy
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self._sampled = [row for row, seed in enumerate(seeds) if seed is not None]
        # PCG64 mixes all bits of a seed; torch's generator on a CPU takes 32 of them, and one on a
        # GPU gives other numbers on another kind of GPU.
        self._streams = [
            numpy.random.Generator(numpy.random.PCG64(s % 2**64)) for s in seeds if s is not None
        ]
        self._warpers: list[Any] = [TemperatureLogitsWarper(float(temperature))]
        if top_p < 1:
            self._warpers.append(TopPLogitsWarper(top_p))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores (rows × vocabulary) of the next token, with noise where a row is sampled."""
        import numpy
        import torch

        drawn = scores[self._sampled]
        for warper in self._warpers:
            drawn = warper(input_ids, drawn)
        uniform = numpy.stack([stream.random(scores.shape[-1]) for stream in self._streams])
        noise = -torch.log(-torch.log(torch.from_numpy(uniform).to(scores.device)))
        scores[self._sampled] = drawn + noise.to(scores.dtype)
        return scores
