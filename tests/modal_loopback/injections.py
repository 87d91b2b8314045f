"""Which calls a fault befalls (`Match`), and the faults in force (`Injections`)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pydantic import TypeAdapter

from tests.modal_loopback.faults import AnyFault, Fault, Value


class Match(Value):
    """Which calls: by class (a pattern), by text in the request, and by how many matched before.

    ``nth`` counts the matching spawns from 1 after the injection; without it all of them match.
    A match without any condition also matches requests that are about no call, such as a look-up.
    """

    class_name: str = "*"
    contains: str = ""  # in the decoded arguments
    nth: int | None = None


class Injected(Value):
    """A fault and its match, as in ``faults.json``."""

    fault: AnyFault
    match: Match = Match()


INJECTED_LIST: TypeAdapter[list[Injected]] = TypeAdapter(list[Injected])


@dataclass
class Active:
    """An injected fault at work: counts the spawns it matched and the requests it refused."""

    fault: Fault
    match: Match
    spawns: int = 0
    refusals: int = 0
    first_refusal: float = field(default_factory=time.monotonic)

    @property
    def is_conditional(self) -> bool:
        """Whether it needs a call's request to know if it applies."""
        return bool(self.match.contains) or self.match.nth is not None

    def hits(self, class_name: str, arguments: str) -> bool:
        """Whether it befalls this spawn, which counts as one more."""
        if not fnmatchcase(class_name, self.match.class_name) or self.match.contains not in arguments:
            return False
        self.spawns += 1
        return self.match.nth in (None, self.spawns)

    def refuses(self, method: str) -> str | None:
        """The status to answer this request with, which counts as one more."""
        if self.fault.refuses(method, 1, 0.0) is None:
            return None
        if self.refusals == 0:
            self.first_refusal = time.monotonic()
        self.refusals += 1
        return self.fault.refuses(method, self.refusals, time.monotonic() - self.first_refusal)


class Injections:
    """The faults in force."""

    def __init__(self) -> None:
        self._active: list[Active] = []

    def add(self, injected: Injected) -> None:
        """From now on. Of calls accepted before, only unconditional refusals touch any."""
        self._active.append(Active(injected.fault, injected.match))

    def clear(self) -> None:
        """No faults for future calls; calls keep theirs."""
        self._active.clear()

    def befalling(self, class_name: str, arguments: object) -> tuple[Active, ...]:
        """The faults of a call that is being accepted."""
        text = repr(arguments)
        return tuple(active for active in self._active if active.hits(class_name, text))

    def refusal(self, method: str, class_name: str | None) -> str | None:
        """The status to refuse any request with, whatever call it is about."""
        candidates = (
            active
            for active in self._active
            if not active.is_conditional and fnmatchcase(class_name or "", active.match.class_name)
        )
        return first_refusal(candidates, method)


def first_refusal(candidates: Iterable[Active], method: str) -> str | None:
    """The first status that one of these faults answers the request with."""
    return next((status for active in candidates if (status := active.refuses(method))), None)
