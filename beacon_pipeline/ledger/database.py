"""The ledger's database: one engine, transactions that are retried whole, and migrations."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import FileLock
from sqlalchemy.dialects import postgresql, sqlite

from beacon_pipeline.errors import BeaconError
from beacon_pipeline.sqlite_faults import way_out
from dbt_like_checks.database.secrets import reason_of, secrets_of, shown_address

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST_REVISION = max(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
SCHEMA = "beacon"  # of the ledger's tables on PostgreSQL
TRIES = 6  # of one transaction, over about 6 seconds
# On PostgreSQL, of one process: deployments that are worked on side by side share these.
POOL = {"pool_size": 1, "max_overflow": 3}
IF_DAMAGED = ": put a backup of the file back, or move it away to begin a new record"
BUSY_TIMEOUT_SECONDS = 30  # how long SQLite waits for another writer

Result = TypeVar("Result")


class LedgerUnavailable(BeaconError):
    """The database could not be used, after bounded retries; nothing was written."""


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """How transactions that write went: committed ones, tries that had to be repeated, and those
    that the database refused or that could not be had in any try."""

    committed: int = 0
    retried: int = 0
    failed: int = 0

    def __add__(self, other: WriteCounts) -> WriteCounts:
        return WriteCounts(
            self.committed + other.committed, self.retried + other.retried, self.failed + other.failed
        )


class Database:
    """Transactions on SQLite or PostgreSQL. ``url`` may hold a password: it is never shown."""

    def __init__(self, url: str) -> None:
        self.url = _parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._counts, self._counting = WriteCounts(), threading.Lock()
        self._secrets = secrets_of(url)
        arguments = {"timeout": BUSY_TIMEOUT_SECONDS} if self.is_sqlite else {"connect_timeout": 10}
        try:
            if self.is_sqlite and self.url.database:
                _make_private_file(Path(self.url.database))
            # Connections are not pinged first: a transaction that finds its own lost begins again anyway.
            self.engine = _engine(self.url, arguments)
        except (OSError, ValueError, sa.exc.SAWarning, sa.exc.ArgumentError) as error:
            raise self._unusable(error) from None
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            # First of all listeners, so that the dialect learns its default schema after it.
            sa.event.listen(self.engine, "connect", _use_own_schema, insert=True)

    def __repr__(self) -> str:
        return f"Database({self.place!r})"

    def read(self, query: Callable[[sa.Connection], Result]) -> Result:
        """Run ``query`` in a transaction that writes nothing. Raises LedgerUnavailable."""
        return self._transact(query, writes=False)

    def write(self, change: Callable[[sa.Connection], Result]) -> Result:
        """Run ``change`` in one transaction, again from its start after a passing fault.

        ``change`` may run several times, and must have no effect but on the connection.
        Raises LedgerUnavailable when faults do not pass; then nothing was written.
        """
        try:
            return self._transact(change, writes=True, counted=True)
        except (LedgerUnavailable, sa.exc.DBAPIError):
            self._count(WriteCounts(failed=1))
            raise

    def write_uncounted(self, change: Callable[[sa.Connection], Result]) -> Result:
        """As `write`, for what is no part of the record: the schema, and the counts themselves."""
        return self._transact(change, writes=True)

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An insert in this database's dialect, which knows what to do on a conflict."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def insert_missing(
        self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add the rows whose keys are not there yet."""
        connection.execute(self.insert(table).values(list(rows)).on_conflict_do_nothing())

    def lock_additions(self, connection: sa.Connection, table: sa.Table) -> None:
        """Keep others from adding between a look and the rows that follow; SQLite has one writer anyway."""
        if not self.is_sqlite:
            connection.execute(sa.text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))

    def take_counts(self) -> WriteCounts:
        """How writing went since this was last asked."""
        with self._counting:
            counts, self._counts = self._counts, WriteCounts()
        return counts

    def _count(self, counts: WriteCounts) -> None:
        with self._counting:
            self._counts += counts

    def _transact(
        self,
        work: Callable[[sa.Connection], Result],
        *,
        writes: bool,
        counted: bool = False,
        schema: bool = False,
    ) -> Result:
        def once() -> Result:
            connecting = self._connect().execution_options(writes=writes)
            if schema and self.is_sqlite:
                _free_of_foreign_keys(connecting)
            with connecting as connection, connection.begin():
                return work(connection)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_passing),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
            stop=tenacity.stop_after_attempt(TRIES),
            reraise=True,
        )
        try:
            result = retrying(once)
            if counted:
                tries = retrying.statistics.get("attempt_number", 1)
                self._count(WriteCounts(committed=1, retried=tries - 1))
            return result
        except sa.exc.DBAPIError as error:
            # What the data violate is the caller's; all else is the database's. Of its own class is what
            # SQLite says of a file that is damaged or is none of its files. A lost connection says nothing
            # of the values, whatever class the driver gives it.
            of_the_database = (
                isinstance(error, sa.exc.OperationalError) or type(error) is sa.exc.DatabaseError
            )
            if of_the_database or error.connection_invalidated:
                raise self._unusable(error) from None
            raise

    def _connect(self) -> sa.Connection:
        try:
            return self.engine.connect()
        except sa.exc.OperationalError:
            raise  # may pass
        except (sa.exc.TimeoutError, sa.exc.DBAPIError, sa.exc.ArgumentError, TypeError, ValueError) as error:
            # None of the pool's came free; options of the URL that the driver does not know, or values that
            # it does not take.
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> LedgerUnavailable:
        reason = (isinstance(error, OSError) and error.strerror) or reason_of(error, self._secrets)
        file = Path(self.url.database) if self.is_sqlite and self.url.database else None
        hint = way_out(error, file, IF_DAMAGED)
        return LedgerUnavailable(f"the ledger at {self.place} cannot be used: {reason}{hint}")

    @property
    def place(self) -> str:
        """Where the database is, for messages: no password."""
        return shown_address(self.url)

    def schema_versions(self) -> tuple[str | None, str | None]:
        """The schema's version in the database, None while it has none, and the newest there is.

        Raises LedgerUnavailable, also for a version that only newer code knows. Changes nothing.
        """
        current = self.read(_revision)
        scripts = ScriptDirectory(str(MIGRATIONS))
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            raise LedgerUnavailable(
                f"the ledger at {self.place} has schema {current}, unknown to this version: use a newer one"
            )
        return current, scripts.get_current_head()

    def migrate(self) -> None:
        """Bring the schema to the newest version. Safe when several processes start at once."""
        if self._is_migrated():
            return
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        if self.is_sqlite:
            try:
                with FileLock(f"{self.url.database}.migrate.lock"):
                    self._upgrade(config)
            except OSError as error:
                raise self._unusable(error) from None
        else:
            lock = int.from_bytes(hashlib.sha256(b"beacon ledger migration").digest()[:7], "big")
            with self._lock_holder() as holder:
                holder.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": lock})
                try:
                    holder.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                    self._upgrade(config)
                finally:
                    holder.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": lock})

    def _is_migrated(self) -> bool:
        """Whether nothing is to be done, as at nearly every start: neither a lock nor Alembic is needed."""
        if self.is_sqlite and not Path(self.url.database or "").is_file():
            return False
        return self.read(_revision) == NEWEST_REVISION

    def _lock_holder(self) -> sa.Connection:
        try:
            return self._connect().execution_options(isolation_level="AUTOCOMMIT")
        except sa.exc.OperationalError as error:
            raise self._unusable(error) from None

    def _upgrade(self, config: Config) -> None:
        def upgrade(connection: sa.Connection) -> None:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if self.is_sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                raise LedgerUnavailable(f"the ledger at {self.place}: a row of {broken[0]!r} points nowhere")

        try:
            self._transact(upgrade, writes=True, schema=True)
        except CommandError as error:
            self.schema_versions()  # says so where the schema is newer than this code
            raise self._unusable(error) from None

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def _revision(connection: sa.Connection) -> str | None:
    """What Alembic wrote of a ledger's schema; None while it has none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table("alembic_version")))


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the latter of a port that is no number
        raise LedgerUnavailable(
            "BEACON_DATABASE_URL is not a database URL: write for example postgresql://user@host:5432/beacon"
        ) from None
    if parsed.host and "@" in parsed.host:
        raise LedgerUnavailable("BEACON_DATABASE_URL: write an @ in a user or password as %40")
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        # psycopg 3, and Python's own for SQLite, whatever the URL says: the tests run on them.
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise LedgerUnavailable(f"the ledger runs on sqlite and postgresql, not on {backend!r}")
    if parsed.database in (None, "", ":memory:"):
        raise LedgerUnavailable(
            "BEACON_DATABASE_URL names no file, and a ledger in memory ends with its process: write for "
            "example sqlite:////srv/beacon/ledger.db"
        )
    return parsed.set(drivername="sqlite")


def _make_private_file(path: Path) -> None:
    # SQLite gives its -wal and -shm files the permissions of the database.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600, exist_ok=True)


def _engine(url: sa.URL, arguments: dict[str, int]) -> sa.Engine:
    """Raises sa.exc.SAWarning for an option of the address that would be ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", sa.exc.SAWarning)
        pool = {} if url.get_backend_name() == "sqlite" else POOL
        return sa.create_engine(url, connect_args=arguments, **pool)


def _is_passing(error: BaseException) -> bool:
    """Whether the same transaction may well succeed in a moment."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    if not isinstance(error, sa.exc.OperationalError):
        return False
    # PostgreSQL's classes 08 (connection), 40 (rollback: deadlock, serialization), 53 (resources),
    # 57 (operator intervention); psycopg gives no code where the connection itself was lost.
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in ("08", "40", "53", "57")
    reason = str(error.orig).lower()
    return any(word in reason for word in ("locked", "busy", "connection", "server closed"))


def _use_own_schema(connection: Any, _record: object) -> None:
    # Dagster's own tables may live in the same database, and one of them is called `jobs` too.
    autocommit, connection.autocommit = connection.autocommit, True
    connection.execute(f"SET SESSION search_path = {SCHEMA}")
    connection.autocommit = autocommit


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # pysqlite's own transaction handling is off: `_begin_sqlite` says when one starts.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _free_of_foreign_keys(connection: sa.Connection) -> None:
    """Let tables be made anew while others point at them; the connection is not used again after it."""
    connection.detach()
    connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes its lock at the start: upgrading a read lock later can fail at once.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
