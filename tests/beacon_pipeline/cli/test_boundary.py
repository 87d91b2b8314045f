"""Whatever goes wrong, a command ends with one clear line and its exit code, and shows no secret."""

import errno
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote_plus

import alembic.util
import click
import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from beacon_pipeline.catalog import CatalogError, UnknownName
from beacon_pipeline.cli import main
from beacon_pipeline.cli.boundary import PlainGroup, reason_of
from beacon_pipeline.ledger import LedgerUnavailable
from beacon_pipeline.names import INFERENCE
from dbt_like_checks import DataTestError
from dbt_like_checks.database import secrets
from inference.contract import NotConfigured, ProviderError
from tests.beacon_pipeline.instances import BEACON, beacon_here, environment

SECRET = "geheim-wort"


def ended(error: BaseException) -> tuple[int, list[str]]:
    """The exit code and the lines of a command in which ``error`` is raised."""

    @click.group(cls=PlainGroup)
    def shell() -> None:
        pass

    @shell.command()
    def fails() -> None:
        raise error

    done = CliRunner().invoke(shell, ["fails"])
    assert isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.splitlines()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1)]
)
def test_a_signal_ends_any_command_as_an_error_does(number: signal.Signals, code: int) -> None:
    closed: list[str] = []

    @click.group(cls=PlainGroup)
    def shell() -> None:
        pass

    @shell.command()
    def works() -> None:
        with ExitStack() as stack:
            stack.callback(closed.append, "a daemon")
            os.kill(os.getpid(), number)
            signal.pause()

    usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # what starts the tests may have it ignored, as nohup has SIGHUP
    try:
        done = CliRunner().invoke(shell, ["works"])
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)
    assert (done.exit_code, closed) == (code, ["a daemon"])


FULL = OSError(errno.ENOSPC, "No space left on device", "/srv/x")
STATEMENT = sa.exc.DatabaseError("SELECT 1", {}, sqlite3.DatabaseError("file is not a database"))


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CatalogError(["a.yaml:1: wrong", "b.yaml:2: wrong"]), 2, "Error: a.yaml:1: wrong"),
        (UnknownName("region", "mars", ["eu"]), 2, "Error: unknown region 'mars': known are eu"),
        (LedgerUnavailable("the ledger is away"), 2, "Error: the ledger is away"),
        (NotConfigured("no token"), 2, "Error: no token"),
        (DataTestError("a.yml:1:1: no"), 2, "Error: a.yml:1:1: no"),
        (FULL, 2, "Error: the disk is full (writing /srv/x): make room, then run the command again"),
        (PermissionError(13, "Permission denied", "/a"), 2, "Error: /a cannot be used: Permission denied"),
        (OSError("strange"), 2, "Error: the operating system refused: strange"),
        (OSError("more\nthan a line"), 2, "Error: the operating system refused: more than a line"),
        (
            OSError(36, "File name too long", "x" * 999),
            2,
            f"Error: {'x' * 60}…{'x' * 60} cannot be used: File",
        ),
        (ConnectionRefusedError(111, "Connection refused"), 2, "Error: the operating system refused: Connec"),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            2,
            "Error: text that is not UTF-8: 'utf-8' codec",
        ),
        (STATEMENT, 2, "Error: a database cannot be used: file is not a database"),
        (sqlite3.OperationalError("disk I/O error"), 2, "Error: a database cannot be used: disk I/O error"),
        (psycopg.OperationalError("gone\nby now"), 2, "Error: a database cannot be used: gone by now"),
        (alembic.util.CommandError("no revision"), 2, "Error: a database cannot be used: no revision"),
        (dg.DagsterInvariantViolationError("no"), 2, "Error: Dagster cannot be used: no"),
        (yaml.YAMLError("line 3: no"), 2, "Error: a YAML file cannot be used: line 3: no"),
        (ExceptionGroup("two", [FULL, ValueError()]), 2, "Error: the disk is full (writing /srv/x)"),
        (
            TypeError("a\nb\x1b[31m"),
            3,
            "Error: a fault of Beacon itself: TypeError: a b\\u{1b}[31m (test_bou",
        ),
        (AssertionError(), 3, "Error: a fault of Beacon itself: AssertionError: AssertionError (test_bounda"),
    ],
)
def test_each_kind_of_error_is_a_line_and_an_exit_code(error: Exception, code: int, line: str) -> None:
    exit_code, lines = ended(error)
    assert (exit_code, lines[0][: len(line)]) == (code, line)


def classes_of(root: type[BaseException]) -> Iterator[type[Exception]]:
    for kind in root.__subclasses__():
        if issubclass(kind, Exception) and not issubclass(kind, click.exceptions.Exit | click.Abort):
            yield kind
        yield from classes_of(kind)


# All that is loaded now: Python's own, and those of every library that Beacon stands on.
KINDS = sorted(set(classes_of(BaseException)), key=lambda kind: (kind.__module__, kind.__qualname__))
TEXTS = st.text(st.characters(), max_size=40)


def test_the_kinds_are_many() -> None:
    assert len(KINDS) > 500


@given(st.sampled_from(KINDS), TEXTS, TEXTS)
def test_an_error_of_any_class_and_text_is_one_safe_line(
    kind: type[Exception], before: str, after: str
) -> None:
    try:
        error = kind.__new__(kind)  # their signatures differ
    except TypeError:
        return
    error.args = (f"{before} password='{SECRET}' postgresql://u:{SECRET}@h/d {after}",)
    if isinstance(error, click.ClickException | BrokenPipeError):
        return  # what click makes of these is click's
    own_text = isinstance(error, ProviderError | DataTestError) or kind.__module__.startswith(
        "beacon_pipeline"
    )
    code, lines = ended(error)
    shown = "\n".join(lines)
    assert code in (2, 3)
    assert lines[0].startswith("Error: ")
    assert own_text or len(lines) == 1
    assert "Traceback" not in before + after or "Traceback (most recent" not in shown
    assert SECRET not in shown
    assert not any(character in shown for character in "\x1b\x00\u202e")


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an instance in which nothing was asked yet, to be copied."""
    folder = tmp_path_factory.mktemp("made") / "home"
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("DAGSTER_HOME", str(folder))
        changed.delenv("BEACON_DATABASE_URL", raising=False)
        for command in ("jobs", "alerts"):  # make the ledger, and Dagster's files
            done = CliRunner().invoke(main, [command])
            assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def home(made_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an instance of the test's own, in which nothing was asked yet."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BEACON_DATABASE_URL", raising=False)
    return Path(shutil.copytree(made_home, tmp_path / "home"))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database at all" * 500)


def from_the_future(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def text(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


@pytest.mark.parametrize(
    ("command", "file", "damage", "said"),
    [
        (
            "jobs",
            "ledger.db",
            cut_off,
            "ledger.db cannot be used: database disk image is malformed: put a",
        ),
        ("jobs", "ledger.db", overwrite, "ledger.db cannot be used: file is not a database: put a back"),
        ("jobs", "ledger.db", from_the_future, "has schema 9999, unknown to this version: use a newer one"),
        ("jobs", "ledger.db", a_folder, "ledger.db cannot be used: unable to open database file"),
        ("alerts", "history/runs.db", cut_off, "history/runs.db cannot be used: database disk image is mal"),
        ("alerts", "history/runs/index.db", overwrite, "history/runs/index.db cannot be used: file is not"),
        ("alerts", "schedules/schedules.db", overwrite, "schedules/schedules.db cannot be used: file is not"),
        ("alerts", "dagster.yaml", text(b"run_queue: [\n"), "Dagster cannot use the instance in"),
        ("alerts", "dagster.yaml", text(b"nonsense: 3\n"), 'Received unexpected config entry "nonsense"'),
        ("alerts", "dagster.yaml", text(b"- 1\n"), "dagster.yaml to parse to dictionary"),
        (
            "alerts",
            "dagster.yaml",
            text(b"run_launcher: {module: nope, class: N}"),
            "Couldn't import module nope",
        ),
        ("alerts", "dagster.yaml", text(b"a: !!bool maybe"), "a value in it is of the wrong kind: 'maybe'"),
        ("alerts", "dagster.yaml", text(b"\xff\xfe"), "dagster.yaml is not UTF-8 text"),
        ("alerts", "dagster.yaml", a_folder, "dagster.yaml cannot be used: Is a directory"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(
    home: Path, command: str, file: str, damage: Callable[[Path], None], said: str
) -> None:
    for beside in home.glob(f"{file}-*"):
        beside.unlink()
    damage(home / file)
    done = CliRunner().invoke(main, [command])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value", "command", "said"),
    [
        (
            "DAGSTER_HOME",
            "/etc/hostname",
            "jobs",
            "the instance folder /etc/hostname cannot be used: File exists",
        ),
        ("DAGSTER_HOME", "/" + "x" * 300, "jobs", "cannot be used: File name too long: choose another"),
        ("DAGSTER_HOME", "/tmp/a?b", "jobs", "Dagster cannot keep its files in a folder with ? in its name"),
        ("DAGSTER_HOME", "/tmp/a\udcffb", "jobs", "a folder with bytes that are not UTF-8 in its name"),
        ("BEACON_DATABASE_URL", f"postgresql://u:{SECRET}@h:port/d", "jobs", "is not a database URL"),
        (
            "BEACON_DATABASE_URL",
            f"postgresql://u:x@{SECRET}@h/d",
            "jobs",
            "write an @ in a user or password as",
        ),
        ("BEACON_DATABASE_URL", f"postgresql://127.0.0.1:1/d?passwort={SECRET}", "jobs", "connection option"),
        (
            "BEACON_DATABASE_URL",
            f"postgresql://127.0.0.1:1/d?sslmode={SECRET}&password={SECRET}",
            "jobs",
            "***",
        ),
        ("BEACON_DATABASE_URL", "postgresql://127.0.0.1:1/d?host=a&host=b&port=1", "jobs", "multihost"),
        ("BEACON_CATALOG", f"postgresql://u:{SECRET}@h/d", "jobs", "no catalog 'postgresql://u:***@h/d'"),
        ("BEACON_DATABASE_URL", "sqlite:////proc/no/x.db", "jobs", "No such file or directory"),
        ("BEACON_DATABASE_URL", "sqlite://", "jobs", "names no file, and a ledger in memory ends with its"),
        ("BEACON_DATABASE_URL", "sqlite:////tmp/x.db?mode=ro", "jobs", "argument(s) 'mode' are not accepted"),
        ("BEACON_DATABASE_URL", f"host=h password={SECRET}", "jobs", "is not a database URL"),
        ("DAGSTER_POSTGRES_URL", f"host=h password={SECRET}", "alerts", "is not an address like"),
        ("BEACON_CATALOG", "x" * 5000, "jobs", "no catalog 'xxx"),
        ("BEACON_CATALOG", "a\udcffb", "jobs", "no catalog 'a\\udcffb'"),
        ("BEACON_ALERT_INTERVAL_SECONDS", "often", "run", "is 'often': give a whole number of seconds, 1 to"),
        ("BEACON_ALERT_INTERVAL_SECONDS", "9" * 5000, "run", "give a whole number of seconds, 1 to 86400"),
        ("BEACON_WORKSPACE", "/nope", "run", "Error: no Dagster workspace at /nope: set BEACON_WORKSPACE to"),
    ],
)
def test_a_bad_variable_is_one_line_without_its_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, command: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    done = CliRunner().invoke(main, [command])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert SECRET not in done.output
    assert len(done.output.splitlines()) == 1
    if command == "run":
        monkeypatch.delenv(variable)
        assert "no job yet" in CliRunner().invoke(main, ["jobs"]).output, "nothing was made of it"


# Every way in which libpq takes a secret, and options that it quotes in its errors.
OPTIONS = st.sampled_from(
    ["password", "sslpassword", "passfile", "oauth_client_secret", "passwort", "channel_binding"]
)
SECRETS = st.tuples(OPTIONS, st.sampled_from([quote_plus(SECRET), SECRET.replace("-", "%2D")]))
ODD = st.sampled_from([("sslmode", "sometimes"), ("port", "first")])
QUERIES = st.lists(SECRETS | ODD)
USERS = st.sampled_from(["", "u@", f"u:{SECRET}@", f":{SECRET}@", f"u:x@{SECRET}@", f"u:/{SECRET}?@"])
PLACES = st.sampled_from(["127.0.0.1:1", "127.0.0.1:port", "[::1", "127.0.0.1:1,127.0.0.1:2", ""])


@given(st.sampled_from(["postgresql", "postgresql+psycopg2", "postgres", "mysql"]), USERS, PLACES, QUERIES)
@settings(max_examples=60)
def test_no_address_of_a_database_shows_its_secret_or_a_trace(
    scheme: str, user: str, place: str, query: list[tuple[str, str]]
) -> None:
    url = f"{scheme}://{user}{place}/db?" + "&".join(f"{name}={value}" for name, value in query)
    with pytest.MonkeyPatch.context() as changed, tempfile.TemporaryDirectory() as folder:
        changed.setenv("DAGSTER_HOME", folder)
        changed.setenv("BEACON_DATABASE_URL", url)
        changed.setenv("PGHOST", "127.0.0.1")
        changed.setenv("PGPORT", "1")
        changed.setattr("beacon_pipeline.ledger.database.TRIES", 1)
        done = CliRunner().invoke(main, ["jobs"])
    assert done.exit_code == 2, done.output
    assert len(done.output.splitlines()) == 1
    assert done.output.startswith("Error: ")
    assert SECRET not in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "--limit", f"{10**20}"),
        ("jobs", "--limit", "-1"),
        ("reconcile", "--untouched-for", "nan"),
        ("reconcile", "--untouched-for", "1e30"),
        ("dev", "--port", "99999"),
        ("status", "--job", "a\udcffb"),
        ("submit", "/nowhere.yaml"),
    ],
)
def test_a_bad_argument_is_told(home: Path, arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2, done.output
    assert done.output.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"load_from: [\n", "is no Dagster workspace, it cannot be read: while parsing"),
        (b"\xff", "is no Dagster workspace, it cannot be read: 'utf-8' codec"),
        *(
            (b"load_from: " + value, "is no Dagster workspace, it cannot be read: ")
            for value in (
                b"!!bool maybe",
                b"!!int x",
                b"!!float x",
                b"!!timestamp x",
                b"!!int ''",
                b"2026-13-45",
            )
        ),
        (b"", "is no Dagster workspace: it lists nothing under 'load_from'"),
        (b"- a", "is no Dagster workspace: it lists nothing under 'load_from'"),
    ],
)
def test_a_workspace_that_is_none_is_told_before_a_job_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    workspace = home.parent / "workspace.yaml"
    workspace.write_bytes(content)
    monkeypatch.setenv("BEACON_WORKSPACE", str(workspace))
    done = CliRunner().invoke(main, ["run"])
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert f"{workspace} {said}" in done.output
    assert "no job yet" in CliRunner().invoke(main, ["jobs"]).output


def test_the_doctor_examines_the_instance_of_the_working_directory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dagster.yaml` names ``DAGSTER_HOME``, which nobody has to set."""
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(home.parent)
    home.rename(home.parent / ".beacon")
    found = {one["subject"]: one for one in json.loads(CliRunner().invoke(main, ["doctor", "--json"]).output)}
    assert found["instance"]["ok"], found["instance"]["detail"]


@pytest.mark.parametrize("command", ["jobs", "status"])
def test_answers_that_dagster_shows_and_an_empty_ledger_lacks_are_told(home: Path, command: str) -> None:
    assert "no job yet" in CliRunner().invoke(main, [command]).output
    with dg.DagsterInstance.get() as instance:
        shown = dg.AssetMaterialization(INFERENCE, partition="eu:tiny-llama|math_basic")
        instance.report_runless_asset_event(shown)
    found = CliRunner().invoke(main, [command]).output
    assert f"no job is on record in sqlite:///{home / 'ledger.db'}" in found.replace("\n", "")
    assert "but Dagster shows 1 partition: was the ledger replaced?" in " ".join(found.split())
    doctor = CliRunner().invoke(main, ["doctor", "--json"])
    (of_ledger,) = (one for one in json.loads(doctor.output) if one["subject"] == "ledger")
    assert (of_ledger["ok"], doctor.exit_code) == (False, 1)


def test_a_code_location_that_does_not_load_is_told_with_its_reason(tmp_path: Path) -> None:
    env = environment(tmp_path, location="no.such.module")
    done = subprocess.run([BEACON, "run"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: Dagster cannot load the code location 'beacon' of ")
    assert "No module named 'no'" in line


def test_a_port_in_use_is_told_before_anything_is_begun(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["dev", "--port", str(port)])
    said = f"Error: port {port} cannot be used: Address already in use: choose another with --port\n"
    assert (done.exit_code, done.output) == (2, said)


def test_the_doctor_names_what_keeps_runs_from_starting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overwrite(home / "history" / "runs.db")
    monkeypatch.setenv("BEACON_ALERT_INTERVAL_SECONDS", "often")
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert done.exit_code == 1
    assert "history/runs.db cannot be used: file is not a database" in done.output
    assert "BEACON_ALERT_INTERVAL_SECONDS is 'often'" in done.output


def test_the_doctor_looks_at_the_name_of_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home.parent / "a%41b"))
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1
    assert "a folder with % in its name" in " ".join(done.output.split())


def test_a_terminal_that_says_it_has_no_width_is_written_to(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert "nothing is wrong" in CliRunner().invoke(main, ["alerts"]).output


@pytest.mark.parametrize("output", ["ascii", "/dev/full"])
def test_a_terminal_without_unicode_and_a_full_one(tmp_path: Path, output: str) -> None:
    env = environment(tmp_path) | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    with Path("/dev/full" if output == "/dev/full" else tmp_path / "out").open("wb") as stream:
        done = subprocess.run([BEACON, "doctor"], env=env, stdout=stream, stderr=subprocess.PIPE, check=False)
    if output == "ascii":
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\\u2713 ok" in (tmp_path / "out").read_bytes()
    else:
        assert done.returncode == 2
        assert done.stderr == b"Error: the disk is full: make room, then run the command again\n"


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    code = (
        "import resource, os; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        f"os.execv({BEACON!r}, [{BEACON!r}, 'jobs'])"
    )
    env = environment(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"Error: {tmp_path / 'home' / 'dagster.yaml'} cannot be used: File too large\n"
    left = list((tmp_path / "home").iterdir())
    assert [(path.name, path.stat().st_size) for path in left] == [("instance.lock", 0)]


def test_a_full_disk_is_said_where_sqlite_says_only_that_it_failed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_folder(home / "ledger.db")
    monkeypatch.setattr("beacon_pipeline.sqlite_faults.LEAST_FREE_BYTES", 2**80)
    done = CliRunner().invoke(main, ["jobs"])
    assert done.output.endswith(
        "ledger.db cannot be used: unable to open database file: the disk is full, make room\n"
    )


def test_dagsters_files_that_can_only_be_read_are_said_before_a_job_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = home / "history" / "runs.db"  # who runs the tests may be root, who may write anything
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != runs)
    done = CliRunner().invoke(main, ["run"])
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert f"Dagster's file {runs} can only be read: give its owner the right to write" in done.output
    assert "no job yet" in CliRunner().invoke(main, ["jobs"]).output


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


@pytest.mark.parametrize("command", ["jobs", "alerts"])
def test_what_an_instance_keeps_is_private_whatever_the_umask(
    tmp_path: Path, command: str, request: pytest.FixtureRequest
) -> None:
    env, home = environment(tmp_path), tmp_path / "home"
    before = os.umask(0)
    request.addfinalizer(lambda: os.umask(before))
    assert beacon_here(env, command).exit_code == 0
    assert list(home.rglob("*.db"))
    assert open_to_others(home) == []
    for path in home.iterdir():
        path.chmod(0o777)  # as an older version left it
    assert beacon_here(env, command).exit_code == 0
    assert open_to_others(home) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no postgresql://ada:geheim@host/db"), "no postgresql://ada:***@host/db"),
        (ValueError("postgresql://ada:ge@heim:x@host/db"), "postgresql://ada:***@host/db"),
        (RuntimeError("host/db?password=geheim&sslmode=require"), "host/db?password=***&sslmode=require"),
        (ValueError("host=h password='ge \\' heim' user=ada"), "host=h password=*** user=ada"),
        (ValueError("HF_TOKEN=hf_abcdefgh"), "HF_TOKEN=***"),
        (ValueError("set HF_TOKEN=hf_... first"), "set HF_TOKEN=hf_... first"),
        (STATEMENT, "file is not a database"),
        (ValueError(), "ValueError"),
    ],
)
def test_both_packages_give_the_same_reason_without_secrets(error: Exception, said: str) -> None:
    assert reason_of(error) == secrets.reason_of(error) == said
