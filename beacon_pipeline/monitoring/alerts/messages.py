"""Notices as people read them. Pure. Texts of a model or provider were made one safe line before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from beacon_pipeline.monitoring.alerts.causes import wording_of
from beacon_pipeline.monitoring.alerts.grouping import SPELLED_OUT, NewSubject, Notice, NoticeKind


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and the targets that have not got it yet. ``level``: a word of Apprise."""

    id: str
    level: str  # failure, warning or success
    title: str
    body: str
    at: datetime
    waiting: tuple[str, ...] = ()


_LEVELS: Mapping[str, str] = {"error": "failure", "warning": "warning"}


def message_of(notice: Notice, base_url: str, waiting: tuple[str, ...] = ()) -> Message:
    """The message of a notice; links begin with ``base_url``."""
    closed = notice.kind is NoticeKind.CLOSED
    lines = [*_told(notice), *_closing(notice), *_context(notice)]
    if not closed:
        lines.append(f"What to do: {notice.remedy or wording_of(notice.cause).remedy}")
    link = notice.news[0].link if notice.news else notice.link
    lines += [
        f"See: {base_url.rstrip('/')}{link}",
        f"Alert {notice.id}, open since {_minute(notice.opened_at)}",
    ]
    return Message(
        id=notice.id,
        level="success" if closed and not notice.unwatched else _LEVELS[notice.severity.value],
        title=_title(notice),
        body="\n".join(lines),
        at=notice.at,
        waiting=waiting,
    )


def _title(notice: Notice) -> str:
    where = f" (job {notice.job})" if notice.job else ""
    wording = wording_of(notice.cause)
    what = f"{wording.subject}{'s' if wording.counted else ''} {wording.says}{where}"
    if notice.kind is NoticeKind.CLOSED:
        return f"[Beacon] {'no longer watched' if notice.unwatched else 'resolved'}: {what}"
    if not wording.counted:
        return f"[Beacon] {what}"
    number, more = len(notice.news), " more" if notice.kind is NoticeKind.MORE else ""
    return f"[Beacon] {number}{more} {what if number > 1 else f'{wording.subject} {wording.says}{where}'}"


def _told(notice: Notice) -> list[str]:
    named = [f"- {_spelled_out(news)}" for news in notice.news[:SPELLED_OUT]]
    others = len(notice.news) - len(named)
    return [*named, f"- and {others} more"] if others else named


def _spelled_out(news: NewSubject) -> str:
    where = f" in {', '.join(news.seen_in)}" if news.seen_in else ""
    return f"{news.subject}{where}" + (f": {news.detail}" if news.detail else "")


def _closing(notice: Notice) -> list[str]:
    if notice.kind is not NoticeKind.CLOSED:
        return []
    lines = [f"{notice.healed} healed."] if notice.healed else []
    if notice.unwatched:
        lines.append(f"{notice.unwatched} did not heal in seven days and are watched no longer.")
    if notice.moved_to:
        lines.append(f"Others were found wrong again in job {notice.moved_to}.")
    return lines


def _context(notice: Notice) -> list[str]:
    if notice.kind is NoticeKind.OPENED and notice.continues:
        return [f"Some were wrong in job {notice.continues} already."]
    if notice.kind is NoticeKind.MORE:
        return [f"{notice.still_open} are wrong in all."]
    return []


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
