"""What the three databases write differently: values, dates, lengths, regular expressions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from dbt_like_checks.errors import CannotCompile, DatabaseUnusable

Scalar = str | bool | int | float | Decimal | dt.date | dt.datetime
REGEX_FUNCTION = "dbt_like_checks_matches"  # what SQLite calls back for regular expressions
DEVIATION_FUNCTION = "dbt_like_checks_deviation"  # and for aggregates that it does not have
QUANTILE_FUNCTION = "dbt_like_checks_quantile"
LOGARITHM_FUNCTION = "dbt_like_checks_logarithm"  # which SQLite has not everywhere, nor an error of it
NO_TIME_FUNCTION = "dbt_like_checks_no_time"  # and for a value that is no time: it raises
REGEX_FLAGS = "ims"  # ignore case, ^ and $ at every line, . matches a newline
CASE_MATTERS = "c"  # a flag of PostgreSQL and DuckDB for what is so anyway


class Dialect(StrEnum):
    """A supported kind of database."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    DUCKDB = "duckdb"

    @classmethod
    def of(cls, name: str) -> Dialect:
        """The dialect of that name. Raises DatabaseUnusable."""
        try:
            return cls(name)
        except ValueError:
            raise DatabaseUnusable(
                f"{name!r} is not supported: use {', '.join(member.value for member in cls)}"
            ) from None


class DatePart(StrEnum):
    """The parts of a date that dbt's date arithmetic knows here."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    @classmethod
    def _missing_(cls, value: object) -> DatePart | None:
        """Written in another case, as SQL is."""
        lowered = value.lower() if isinstance(value, str) else None
        return next((member for member in cls if member.value == lowered), None)


class Untyped(sa.types.UserDefinedType[Any]):
    """A value bound without a type, which the database gives the type of what it meets.

    That is what a literal in dbt's SQL is: ``'1'`` compared with an integer column is an integer.
    """

    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], Any]:
        def process(value: Any) -> Any:
            return value.isoformat(" ") if isinstance(value, dt.datetime) else _plain(value)

        return process

    def literal_processor(self, dialect: sa.Dialect) -> Callable[[Any], str]:
        def process(value: Any) -> str:
            if isinstance(value, bool):
                return str(value).lower() if dialect.supports_native_boolean else str(int(value))
            if isinstance(value, int | float | Decimal):
                return str(value)
            text = str(self.bind_processor(dialect)(value)).replace("'", "''")
            # Some drivers read a percent sign as the beginning of a parameter, with or without any.
            doubled = dialect.paramstyle in ("format", "pyformat")
            return "'" + (text.replace("%", "%%") if doubled else text) + "'"

        return process


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def literal(value: Scalar) -> sa.BindParameter[Any]:
    """A value, bound: it never becomes part of the SQL text that is sent."""
    return sa.literal(value, Untyped())


def unescaped(text: str) -> str:
    """A value that dbt pastes between single quotes, as the database then reads it: ``''`` is one quote.

    One alone would end dbt's text and is an SQL error there; here it stands for itself.
    """
    return text.replace("''", "'")


def written(sql: str) -> sa.ColumnElement[Any]:
    """An SQL expression as its owner wrote it. Only for text from the project's files."""
    # The newline ends a comment that the expression may end with.
    return sa.literal_column(f"({sql}\n)")


def followed_by(column: sa.ColumnElement[Any], sql: str) -> sa.ColumnElement[Any]:
    """A column and behind it what its owner wrote, such as ``> 0``. Only for text from files."""
    # SQLAlchemy writes an operator of one's own as it is; the operand behind it is empty.
    return column.op(f"{sql}\n")(sa.literal_column(""))


def now(dialect: Dialect) -> sa.ColumnElement[Any]:
    """The current moment as the database's timestamp without a zone (UTC on SQLite)."""
    if dialect is Dialect.SQLITE:
        return sa.func.datetime(literal("now"))
    return sa.cast(sa.func.now(), sa.TIMESTAMP())


def add(
    dialect: Dialect, moment: sa.ColumnElement[Any], part: DatePart, amount: int
) -> sa.ColumnElement[Any]:
    """``moment`` moved by ``amount`` date parts, as dbt's ``dateadd``."""
    if dialect is Dialect.SQLITE:
        return _sqlite_add(moment, part, amount)
    unit, amount = (DatePart.MONTH, amount * 3) if part is DatePart.QUARTER else (part, amount)
    # The unit is one of an enumeration, not text from a file.
    interval: sa.ColumnClause[Any] = sa.literal_column(f"interval '1 {unit.value}'")
    return moment + interval * sa.literal_column(str(int(amount)))


_MONTHS = {DatePart.MONTH: 1, DatePart.QUARTER: 3, DatePart.YEAR: 12}


def _sqlite_add(moment: sa.ColumnElement[Any], part: DatePart, amount: int) -> sa.ColumnElement[Any]:
    if part not in _MONTHS:
        unit, amount = ("day", amount * 7) if part is DatePart.WEEK else (part.value, amount)
        return sa.func.datetime(moment, literal(f"{amount:+d} {unit}"))
    months = amount * _MONTHS[part]
    moved = sa.func.datetime(moment, literal(f"{months:+d} month"))
    # SQLite goes on into the next month where a month is too short (31 January and a month: 2 March);
    # the other databases stop at its end, and dbt with them.
    following = literal(f"{months + 1:+d} month")
    last_day = sa.func.date(moment, literal("start of month"), following, literal("-1 day"))
    return sa.func.min(moved, last_day.op("||")(sa.func.strftime(literal(" %H:%M:%S"), moment)))


def as_timestamp(dialect: Dialect, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column as a timestamp that can be compared with one; on SQLite, in its text form."""
    return sa.func.datetime(moment) if dialect is Dialect.SQLITE else sa.cast(moment, sa.TIMESTAMP())


def comparable(dialect: Dialect, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A moment as it compares with `now`: on SQLite, where both are texts, in the same form.

    SQLite has no type for times. A value that is not a text that begins with ``YYYY-MM-DD``, such as a
    number of seconds, ends the query with an error, as it does on the databases that have one.
    """
    if dialect is not Dialect.SQLITE:
        return moment
    # Of what it reads as a time only a date looks so. Each further look takes as long as reading the value.
    begins_with_date = moment.op("GLOB")(literal("?[0-9]??-*"))
    text_of_time = sa.case((begins_with_date, sa.func.datetime(moment)))
    otherwise = sa.func.dbt_like_checks_no_time(moment)  # called only where there is no time
    return sa.func.coalesce(text_of_time, sa.case((moment.is_not(None), otherwise)))


def as_date(dialect: Dialect, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A timestamp without its time."""
    return sa.func.date(moment) if dialect is Dialect.SQLITE else sa.cast(moment, sa.DATE())


def matches(dialect: Dialect, text: sa.ColumnElement[Any], pattern: str, flags: str) -> sa.ColumnElement[Any]:
    """Whether ``text`` holds a match of ``pattern``, in the database's own regular expressions.

    SQLite has none: there it is Python's ``regex`` module, with a bound on the time per value.
    """
    flags = flags.replace(CASE_MATTERS, "")
    if unknown := sorted(set(flags) - set(REGEX_FLAGS)):
        raise CannotCompile(
            f"regular expression flag {unknown[0]!r}: only {', '.join(REGEX_FLAGS)} are known"
        )
    whole = f"(?{flags}){pattern}" if flags else pattern
    bound = literal(whole)
    match dialect:
        case Dialect.SQLITE:
            import regex  # only SQLite needs it

            try:
                regex.compile(whole)
            except regex.error as error:
                raise CannotCompile(f"the regular expression {pattern!r} is not valid: {error}") from None
            return sa.func.dbt_like_checks_matches(text, bound)
        case Dialect.POSTGRESQL:
            return text.op("~", is_comparison=True)(bound)
        case Dialect.DUCKDB:
            return sa.func.regexp_matches(text, bound)


def deviation(dialect: Dialect, number: sa.ColumnElement[Any]) -> sa.Function[Any]:
    """The standard deviation of a sample; NULL of fewer than two numbers."""
    if dialect is Dialect.SQLITE:
        return sa.func.dbt_like_checks_deviation(number)
    return sa.func.stddev(number)


def quantile(dialect: Dialect, number: sa.ColumnElement[Any], share: float) -> sa.ColumnElement[Any]:
    """The number that a share of the numbers is not above, between two of them where need be."""
    part: sa.ColumnElement[Any] = sa.literal_column(repr(share))
    if dialect is Dialect.SQLITE:
        return sa.func.dbt_like_checks_quantile(number, part)
    return sa.func.percentile_cont(part).within_group(number)


def logarithm(dialect: Dialect, number: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The natural logarithm; of a number that is not positive, an error."""
    if dialect is Dialect.SQLITE:
        return sa.func.dbt_like_checks_logarithm(number)
    return sa.func.ln(number)


def date_trunc(dialect: Dialect, part: DatePart, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The beginning of the part of a date in which a moment is; a week begins on a Monday."""
    if dialect is not Dialect.SQLITE:
        return sa.cast(sa.func.date_trunc(part.value, moment), sa.TIMESTAMP())
    text = comparable(dialect, moment)
    match part:
        case DatePart.SECOND:
            return text
        case DatePart.MINUTE | DatePart.HOUR:
            pattern = "%Y-%m-%d %H:%M:00" if part is DatePart.MINUTE else "%Y-%m-%d %H:00:00"
            return sa.func.strftime(literal(pattern), text)
        case DatePart.WEEK:
            return sa.func.datetime(text, literal("start of day"), literal("weekday 0"), literal("-6 days"))
        case DatePart.QUARTER:
            months = sa.cast(sa.func.strftime(literal("%m"), text), sa.Integer()) - 1
            back = sa.func.printf(literal("-%d months"), months % sa.literal_column("3"))
            return sa.func.datetime(text, literal("start of month"), back)
        case _:
            return sa.func.datetime(text, literal(f"start of {part.value}"))
