"""Sending messages through Apprise: Slack, mail, webhooks, and whatever else it knows.

The URLs hold secrets. They appear in no log, error, memory or message: a target is named by its
scheme and a short digest of its URL.
"""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import apprise

from beacon_pipeline.environment import ALERT_URLS as VARIABLE
from beacon_pipeline.environment import masked
from beacon_pipeline.monitoring.alerts.messages import Message

STARTS_WITHIN_SECONDS = 10.0  # of a tick; what is not sent by then waits for the next one
ENDS_WITHIN_SECONDS = 25.0  # a sending that hangs longer counts as failed

# They log URLs with their secrets: one that is faulty or does not answer, and each one at DEBUG.
# A filter stays, where a later configuration of logging would switch a disabled logger on again.
for _logger in ("apprise", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_logger).addFilter(lambda _record: False)

_ASSET = apprise.AppriseAsset(app_id="Beacon", app_desc="Beacon pipeline", secure_logging=True)


@dataclass(frozen=True)
class Target:
    """Where alerts go. ``url`` is a secret; ``name`` may be shown."""

    name: str
    url: str

    def __repr__(self) -> str:
        return f"Target({self.name})"

    def send(self, message: Message) -> bool:
        """Whether the target took the message. Takes as long as the target does."""
        sender = apprise.Apprise(asset=_ASSET)
        return sender.add(self.url) and bool(
            sender.notify(
                title=masked(message.title),
                body=masked(message.body),
                notify_type=apprise.NotifyType(message.level),
                body_format=apprise.NotifyFormat.TEXT,
            )
        )


@dataclass(frozen=True)
class Targets:
    """The targets that can be used, and one line for each URL that can not."""

    usable: tuple[Target, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Sent:
    """The fate of one message at one target."""

    target: str
    message: Message
    taken: bool


_Fates = queue.Queue[tuple[str, Sent | None]]  # None: the target's turn is over


def targets_from_environment() -> Targets:
    """Read ``BEACON_ALERT_URLS``: Apprise URLs, separated by commas or white space."""
    return read_targets(os.environ.get(VARIABLE, ""))


def read_targets(text: str) -> Targets:
    """The targets that ``text`` names. A URL given twice is one target."""
    usable: dict[str, Target] = {}
    problems = []
    # A comma may belong to a URL: only one before another scheme separates.
    for number, url in enumerate(
        filter(None, re.split(r"[\s,]+(?=[A-Za-z0-9]+://)", text.strip(" ,\t\n"))), 1
    ):
        scheme, separator, _ = url.partition("://")
        if not separator or apprise.Apprise.instantiate(url, asset=_ASSET) is None:
            problems.append(
                f"{VARIABLE}: entry {number} is no URL that Apprise can send to: "
                "see https://github.com/caronc/apprise/wiki"
            )
            continue
        name = f"{scheme.lower()}:{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        usable[name] = Target(name, url)
    return Targets(tuple(usable.values()), tuple(problems))


def send_all(targets: Sequence[Target], due: Mapping[str, Sequence[Message]]) -> Iterator[Sent]:
    """Send what is due, every target beside the others, and give each fate as soon as it is known.

    A target gets its next message once the fate of the last was dealt with; its first failure ends
    its turn. Ends in time, whatever the targets do.
    """
    fates: _Fates = queue.Queue()
    permits = {target.name: threading.Semaphore(0) for target in targets}
    started = time.monotonic()
    busy = [target for target in targets if due.get(target.name)]
    for target in busy:
        # Daemons: one that hangs must not keep the process from ending.
        threading.Thread(
            target=_send_in_order,
            args=(target, due[target.name], fates, permits[target.name], started),
            daemon=True,
        ).start()
    known: dict[str, int] = {target.name: 0 for target in busy}
    unfinished = set(known)
    while unfinished:
        left = started + ENDS_WITHIN_SECONDS - time.monotonic()
        try:
            name, sent = fates.get(timeout=max(left, 0))
        except queue.Empty:
            break
        if sent is None:
            unfinished.discard(name)
        else:
            known[name] += 1
            yield sent
            permits[name].release()
    for name in sorted(name for name in unfinished if known[name] < len(due[name])):
        yield Sent(name, due[name][known[name]], taken=False)


def _send_in_order(
    target: Target,
    messages: Sequence[Message],
    fates: _Fates,
    permit: threading.Semaphore,
    started: float,
) -> None:
    for message in messages:
        if time.monotonic() - started > STARTS_WITHIN_SECONDS:
            break
        try:
            taken = target.send(message)
        except Exception:  # noqa: BLE001  a plugin's fault, which may show its URL, is a failed delivery
            taken = False
        fates.put((target.name, Sent(target.name, message, taken)))
        if not taken or not permit.acquire(timeout=ENDS_WITHIN_SECONDS):
            break
    fates.put((target.name, None))
