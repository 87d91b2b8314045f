"""Which message goes to which target next, and what follows from its fate. Pure.

Every target is for itself: it gets its messages in their order, and one that cannot be reached
holds back only its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from beacon_pipeline.monitoring.alerts.messages import Message
from beacon_pipeline.monitoring.alerts.state import TargetState

KEPT_FOR = timedelta(days=3)  # a message that a target did not take is dropped
KEPT = 500  # messages, the newest
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=30), timedelta(minutes=15)


def due(
    outbox: Iterable[Message], states: Mapping[str, TargetState], targets: Iterable[str], now: datetime
) -> dict[str, list[Message]]:
    """The messages to send now, in order, for each target that is not waiting to be tried again."""
    ready = [name for name in targets if name not in states or states[name].not_before <= now]
    waiting = {name: [message for message in outbox if name in message.waiting] for name in ready}
    return {name: messages for name, messages in waiting.items() if messages}


def delivered(outbox: Sequence[Message], message_id: str, target: str) -> list[Message]:
    """The outbox after a target took a message."""
    changed = [
        replace(message, waiting=tuple(name for name in message.waiting if name != target))
        if message.id == message_id
        else message
        for message in outbox
    ]
    return [message for message in changed if message.waiting]


def failed(state: TargetState | None, now: datetime) -> TargetState:
    """The state of a target that did not take a message: tried again later and later."""
    failures = state.failures + 1 if state else 1
    delay = min(FIRST_DELAY * 2 ** min(failures - 1, 10), LONGEST_DELAY)
    return TargetState(failures, now + delay)


def pruned(
    outbox: Iterable[Message], targets: Collection[str], now: datetime
) -> tuple[list[Message], list[Message]]:
    """The outbox without what can no longer be delivered, and the messages given up with it.

    A target that is no longer configured gets nothing more.
    """
    kept: list[Message] = []
    given_up: list[Message] = []
    for message in outbox:
        waiting = tuple(name for name in message.waiting if name in targets)
        if waiting and now - message.at > KEPT_FOR:
            given_up.append(message)
        elif waiting:
            kept.append(replace(message, waiting=waiting))
    return kept[-KEPT:], given_up + kept[:-KEPT]
