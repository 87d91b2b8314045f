"""Which answers people label: a random sample of each stratum, every answer with a known chance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.ledger.records import Drawn

Stratum = tuple[str, str, str, str]  # model, arm, region, label by rules
LEAST = 2  # of each stratum, so that its variance can be estimated; all of a smaller one


class SampleTooSmall(BeaconError):
    """The sample cannot have two answers of each stratum."""


def drawn(strata: Mapping[str, Stratum], size: int, *, seed: str) -> list[Drawn]:
    """``size`` answers of those given by id, as equally from each stratum as they last; all where there
    are no more. The same seed draws the same. Raises SampleTooSmall.
    """
    members: dict[Stratum, list[str]] = {}
    for execution_id, stratum in strata.items():
        members.setdefault(stratum, []).append(execution_id)
    least = sum(min(LEAST, len(ids)) for ids in members.values())
    if size < least:
        raise SampleTooSmall(
            f"{size} answers are too few for {len(members)} strata (model × arm × region × label by rules): "
            f"two of each are {least}; give --size {least} or more"
        )
    found = []
    for stratum, count in shares({key: len(ids) for key, ids in sorted(members.items())}, size).items():
        ids = sorted(members[stratum], key=lambda one: hashlib.sha256(f"{seed}|{one}".encode()).digest())
        found += [Drawn(one, stratum, count / len(ids)) for one in ids[:count]]
    return sorted(found, key=lambda one: one.execution_id)


def shares(sizes: Mapping[Stratum, int], size: int) -> dict[Stratum, int]:
    """How many of each stratum: one more of each in turn, until ``size`` or all are taken."""
    taken = dict.fromkeys(sizes, 0)
    left = min(size, sum(sizes.values()))
    while left:
        for stratum, there in sizes.items():
            if left and taken[stratum] < there:
                taken[stratum] += 1
                left -= 1
    return taken
