"""What is wrong now, what was reported of it, and what to report next. Pure.

Sources observe; `advance` keeps one alert for each cause and job, and says what to report:
one notice when it opens, at most one every ten minutes while more goes wrong, one when it closes.
A finding is no fault that could be over: it is reported once, wherever and however often it is seen, and
let go in silence when it was not seen for a week.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

MORE_AFTER = timedelta(minutes=10)  # between two notices of more of the same
GATHERED_FOR = timedelta(minutes=2)  # at most, while a run still finds more, so that it is one notice
WATCHED_FOR = timedelta(days=7)  # no one acted on it for so long: it is reported once more and let go
SPELLED_OUT = 5  # subjects named in a notice; the others are counted


class Severity(StrEnum):
    """How bad it is."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Failing:
    """Something was found wrong: ``subject`` (a partition, a run's work, a sensor) of a job.

    ``more_may_come``: whoever found it is still looking. ``link`` is a path in the UI. ``seen_in``: of a
    finding, the place where it was seen; ``subject`` is then what it is about, whatever the place.
    """

    cause: str
    job: str | None
    subject: str
    at: datetime
    detail: str = ""
    remedy: str = ""
    link: str = "/"
    severity: Severity = Severity.ERROR
    more_may_come: bool = False
    seen_in: str = ""


@dataclass(frozen=True, slots=True)
class Passing:
    """What may have been found wrong is right now, whatever job found either."""

    cause: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class JobHealed:
    """All that was wrong by this cause in a job is right now."""

    cause: str
    job: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is wrong by a cause at this moment; ``undecided`` jobs are not judged."""

    cause: str
    found: tuple[Failing, ...] = ()
    undecided: frozenset[str] = frozenset()


Observation = Failing | Passing | JobHealed | Snapshot


@dataclass(frozen=True, slots=True)
class NewSubject:
    """Something wrong that was not reported yet."""

    subject: str
    detail: str
    link: str
    seen_in: tuple[str, ...] = ()


@dataclass
class Alert:
    """What is wrong by one cause in one job, since when, and what was reported of it."""

    cause: str
    job: str | None
    opened_at: datetime
    severity: Severity
    remedy: str
    link: str
    is_level: bool = False
    is_finding: bool = False
    open: dict[str, datetime] = field(default_factory=dict)  # subject: when it was found
    seen: dict[str, datetime] = field(default_factory=dict)  # a finding's subject: when it was last seen
    untold: dict[str, NewSubject] = field(default_factory=dict)  # by subject; it may have healed since
    told_at: datetime | None = None
    notices: int = 0
    healed: int = 0
    unwatched: int = 0
    moved_to: str | None = None  # a later job in which the same was found wrong again
    continues: str | None = None  # the job from which something moved here
    growing: bool = False  # whoever found it is still looking, as of the newest tick

    @property
    def id(self) -> str:
        """A short name, the same in every notice of this alert."""
        identity = f"{self.cause}|{self.job}|{self.opened_at.isoformat()}"
        return hashlib.sha256(identity.encode()).hexdigest()[:8]


class NoticeKind(StrEnum):
    """Why a notice is sent."""

    OPENED = "opened"
    MORE = "more"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to report about an alert. ``news`` are all subjects that were never reported before."""

    alert: str
    number: int
    kind: NoticeKind
    cause: str
    job: str | None
    severity: Severity
    remedy: str
    link: str
    opened_at: datetime
    at: datetime
    news: tuple[NewSubject, ...]
    still_open: int
    healed: int
    unwatched: int
    continues: str | None
    moved_to: str | None

    @property
    def id(self) -> str:
        """The same however often it is sent, so that a receiver recognizes a repetition."""
        return f"{self.alert}-{self.number}"


def advance(
    alerts: Iterable[Alert], observations: Iterable[Observation], now: datetime
) -> tuple[list[Alert], list[Notice]]:
    """The alerts after these observations, given in the order in which they were made, and what to report.

    Every subject found wrong is reported exactly once until it has healed; every alert that was reported
    is closed by exactly one notice, unless all it held was found wrong again in a later job,
    whose notice says so.
    """
    book = _AlertSet(alerts, now)
    for observation in observations:
        match observation:
            case Failing():
                book.fail(observation)
            case Passing(cause, subject):
                book.heal_everywhere(cause, subject)
            case JobHealed(cause, job):
                book.heal_job(cause, job)
            case Snapshot():
                book.set_level(observation)
    return book.close()


class _AlertSet:
    """The alerts by cause and job while they change."""

    def __init__(self, alerts: Iterable[Alert], now: datetime) -> None:
        self._now = now
        self._alerts: dict[tuple[str, str | None], Alert] = {}
        self._holder: dict[tuple[str, str], Alert] = {}  # who holds a subject that may move between jobs
        for alert in alerts:
            copy = replace(
                alert, open=dict(alert.open), untold=dict(alert.untold), seen=dict(alert.seen), growing=False
            )
            self._alerts[alert.cause, alert.job] = copy
            self._forget_old(copy)
            if not copy.is_level:
                self._holder |= {(copy.cause, subject): copy for subject in copy.open}

    def _forget_old(self, alert: Alert) -> None:
        old = [s for s, since in alert.open.items() if self._is_old(alert.seen.get(s, since))]
        for subject in old:
            del alert.open[subject]
            alert.seen.pop(subject, None)
        alert.unwatched += 0 if alert.is_finding else len(old)

    def _is_old(self, since: datetime) -> bool:
        return self._now - since > WATCHED_FOR

    def fail(self, found: Failing, *, is_level: bool = False) -> None:
        if self._is_old(found.at):
            return
        alert = self._alerts.get((found.cause, found.job))
        if alert is not None and found.subject in alert.open:
            _see_again(alert, found)
            return
        previous = None if is_level else self._holder.get((found.cause, found.subject))
        if alert is None:
            alert = self._alerts[found.cause, found.job] = Alert(
                found.cause,
                found.job,
                self._now,
                found.severity,
                found.remedy,
                found.link,
                is_level,
            )
        if previous is not None:
            del previous.open[found.subject]
            previous.moved_to, alert.continues = found.job, previous.job
        alert.open[found.subject] = found.at
        places = (found.seen_in,) if found.seen_in else ()
        alert.untold[found.subject] = NewSubject(found.subject, found.detail, found.link, places)
        alert.growing |= found.more_may_come
        alert.is_finding |= bool(found.seen_in)
        if not is_level:
            self._holder[found.cause, found.subject] = alert

    def heal_everywhere(self, cause: str, subject: str) -> None:
        if alert := self._holder.get((cause, subject)):
            self._heal(alert, subject)

    def heal_job(self, cause: str, job: str) -> None:
        if alert := self._alerts.get((cause, job)):
            for subject in list(alert.open):
                self._heal(alert, subject)

    def set_level(self, level: Snapshot) -> None:
        wrong = {(found.job, found.subject) for found in level.found}
        for (cause, job), alert in self._alerts.items():
            if cause == level.cause and job not in level.undecided:
                for subject in [s for s in alert.open if (job, s) not in wrong]:
                    self._heal(alert, subject)
        for found in level.found:
            self.fail(found, is_level=True)

    def _heal(self, alert: Alert, subject: str) -> None:
        del alert.open[subject]
        alert.healed += 1
        self._holder.pop((alert.cause, subject), None)

    def close(self) -> tuple[list[Alert], list[Notice]]:
        kept, notices = [], []
        for alert in self._alerts.values():
            kind = self._what_to_report(alert)
            if kind is not None:
                notices.append(self._report(alert, kind))
            if alert.open:
                kept.append(alert)
        return kept, notices

    def _what_to_report(self, alert: Alert) -> NoticeKind | None:
        if not alert.open:
            superseded = not (alert.healed or alert.unwatched or alert.untold)
            return None if superseded else NoticeKind.CLOSED
        if not alert.untold:
            return None
        if alert.told_at is not None:
            return NoticeKind.MORE if self._now - alert.told_at >= MORE_AFTER else None
        if alert.growing and self._now - alert.opened_at < GATHERED_FOR:
            return None
        return NoticeKind.OPENED

    def _report(self, alert: Alert, kind: NoticeKind) -> Notice:
        alert.notices += 1
        notice = Notice(
            alert=alert.id,
            number=alert.notices,
            kind=kind,
            cause=alert.cause,
            job=alert.job,
            severity=alert.severity,
            remedy=alert.remedy,
            link=alert.link,
            opened_at=alert.opened_at,
            at=self._now,
            news=tuple(alert.untold.values()),
            still_open=len(alert.open),
            healed=alert.healed,
            unwatched=alert.unwatched,
            continues=alert.continues,
            moved_to=alert.moved_to,
        )
        alert.untold.clear()
        alert.told_at = self._now
        return notice


def _see_again(alert: Alert, found: Failing) -> None:
    """A finding that was seen before: it is watched longer, and its place is reported if it is not yet."""
    if not found.seen_in:
        return
    alert.seen[found.subject] = max(alert.seen.get(found.subject, found.at), found.at)
    news = alert.untold.get(found.subject)
    if news and found.seen_in not in news.seen_in:
        alert.untold[found.subject] = replace(news, seen_in=tuple(sorted({*news.seen_in, found.seen_in})))
