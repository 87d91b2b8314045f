"""Column types that lose nothing: exact text, and moments that always know their time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

_UNSTORABLE = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


def escape_exact(text: str) -> str:
    """Text that any database keeps: backslash, NUL and lone surrogates become escapes."""

    def escape(match: re.Match[str]) -> str:
        character = match.group()
        return "\\\\" if character == "\\" else f"\\u{ord(character):04x}"

    return _UNSTORABLE.sub(escape, text)


def unescape_exact(text: str) -> str:
    """The inverse of `escape_exact`."""

    def unescape(match: re.Match[str]) -> str:
        code = match.group(1)
        return "\\" if code == "\\" else chr(int(code[1:], 16))

    return _ESCAPED.sub(unescape, text)


class ExactText(TypeDecorator[str]):
    """Any Python string, kept character for character.

    PostgreSQL refuses NUL, and no UTF-8 database takes lone surrogates; both are escaped with a
    backslash, so that ordinary text stays readable in SQL.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else escape_exact(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else unescape_exact(value)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. Naive ones are refused with ValueError."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime: {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        # SQLite keeps no zone; what was written is UTC.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
