"""Where every seed and every random order of a plan comes from: its one seed, and what it is for. Pure.

Anybody can compute them again: sha256 over the JSON list of a purpose, the plan's seed and the names that
the number is for. Two purposes never share a number, and neither do two different lists of names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TypeVar

SEED_BITS = 53  # what JSON, JavaScript and a float keep exactly
Item = TypeVar("Item", bound=str)


def derived(seed: str, purpose: str, *names: str | int) -> int:
    """A number below 2**53 for these names, under a plan's seed (hexadecimal)."""
    text = json.dumps([purpose, seed, *names], ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - SEED_BITS)


def sampling_seed(
    study_seed: str, region: str, model: str, arm: str, question: str, block: int, sample: int
) -> int:
    """The seed of one sample. No two samples share one, nor do two regions."""
    return derived(study_seed, "sampling", region, model, arm, question, block, sample)


def probe_seed(study_seed: str, model: str, question: str, sample: int) -> int:
    """The seed of a probe: the same in every region and block, and of no sample.

    Calls of one region are compared by it, too: what differs between them is no difference of regions.
    """
    return derived(study_seed, "probe", model, question, sample)


def shuffled(seed: str, purpose: str, block: int, names: Iterable[Item]) -> list[Item]:
    """These names in the random order that a block has for a purpose, whatever order they came in."""
    return sorted(names, key=lambda name: (derived(seed, purpose, block, name), name))
