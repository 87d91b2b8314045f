"""The command ``dbt-like-checks``: test, compile, list, schema.

Exit codes are dbt's: 0 all is well (warnings included), 1 a test failed or could not be carried out,
2 the command itself could not be carried out.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
FAILED, UNUSABLE = 1, 2
URL_VARIABLE = "DBT_LIKE_CHECKS_URL"

paths_argument = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
select_option = click.option(
    "--select", "-s", multiple=True, metavar="CRITERIA", help="Only tests by tag:…, model or name."
)
exclude_option = click.option("--exclude", multiple=True, metavar="CRITERIA", help="All tests but these.")
url_option = click.option(
    "--url",
    envvar=URL_VARIABLE,
    required=True,
    help=f"The database, as sqlite:///file.db or postgresql://…; or {URL_VARIABLE}.",
)
schema_option = click.option("--schema", help="The schema of tables that name none.")
timeout_option = click.option(
    "--timeout", type=click.FloatRange(min=0.001), default=300.0, show_default=True, help="Seconds per query."
)


def with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in their order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Data tests declared in YAML as for dbt, run on any SQLite, PostgreSQL or DuckDB database."""


@commands.command()
@with_options(paths_argument, select_option, exclude_option, url_option, schema_option, timeout_option)
@click.option("--fail-fast", "-x", is_flag=True, help="Begin no test after the first failure.")
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--output", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
@click.option(
    "--store-failures", is_flag=True, help="Keep failing rows in tables; needs a database one may write to."
)
@click.option(
    "--sample",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="Failing rows shown per test.",
)
def test(
    paths: tuple[Path, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    url: str,
    schema: str | None,
    timeout: float,
    fail_fast: bool,
    threads: int,
    output: str,
    store_failures: bool,
    sample: int,
) -> None:
    """Run the tests of files and folders."""
    from dbt_like_checks.run import RunOptions, run_tests
    from dbt_like_checks.terminal import Progress, junit, summary

    tests = _selected(paths, select, exclude)
    options = RunOptions(
        schema=schema,
        threads=threads,
        fail_fast=fail_fast,
        timeout=timeout,
        sample=sample,
        store_failures=store_failures,
    )
    results = run_tests(tests, url, options, report=Progress() if output == "text" else None)
    match output:
        case "json":
            click.echo(json.dumps(results.to_json(), indent=2))
        case "junit":
            click.echo(junit(results))
        case _:
            click.echo("\n".join(summary(results)))
    sys.exit(0 if results.success else FAILED)


@commands.command("compile")
@with_options(paths_argument, select_option, exclude_option, url_option, schema_option, timeout_option)
def compile_command(
    paths: tuple[Path, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    url: str,
    schema: str | None,
    timeout: float,
) -> None:
    """Print the SQL of the tests, their values written out."""
    from dbt_like_checks.compile import compile_test
    from dbt_like_checks.database import Reader, open_engine
    from dbt_like_checks.errors import CannotCompile
    from dbt_like_checks.registry import default_registry
    from dbt_like_checks.shown import visible
    from dbt_like_checks.tables import Tables

    tests, registry = _selected(paths, select, exclude), default_registry()
    reader = Reader(open_engine(url, timeout=timeout), timeout)
    failed = False
    try:
        tables = Tables(reader, schema)
        for each in tests:
            click.echo(f"-- {visible(each.name)} ({visible(str(each.place))})")
            try:
                click.echo(f"{visible(compile_test(each, tables, registry).sql)};\n")
            except CannotCompile as error:
                failed = True
                click.echo(f"-- {visible(str(error))}\n")
    finally:
        reader.close()
        reader.engine.dispose()
    sys.exit(FAILED if failed else 0)


@commands.command("list")
@with_options(paths_argument, select_option, exclude_option)
@click.option("--output", type=click.Choice(["name", "json"]), default="name", show_default=True)
def list_command(
    paths: tuple[Path, ...], select: tuple[str, ...], exclude: tuple[str, ...], output: str
) -> None:
    """List the tests; needs no database."""
    from dbt_like_checks.shown import visible

    for each in _selected(paths, select, exclude):
        if output == "name":
            click.echo(visible(each.name))
            continue
        described = {
            "unique_id": each.unique_id,
            "name": each.name,
            "test": each.kind,
            "model": each.model.name if each.model else None,
            "column": each.column.name if each.column else None,
            "tags": sorted(each.tags),
            "severity": each.config.severity.value,
            "place": str(each.place),
        }
        click.echo(json.dumps(described))


@commands.command("schema")
def schema_command() -> None:
    """Print a JSON Schema of the YAML files, for editors."""
    from dbt_like_checks.registry import default_registry
    from dbt_like_checks.schema import json_schema

    click.echo(json.dumps(json_schema(default_registry()), indent=2))


def _selected(paths: tuple[Path, ...], select: tuple[str, ...], exclude: tuple[str, ...]) -> list[Any]:
    from dbt_like_checks.grammar import load_project
    from dbt_like_checks.selection import select_tests

    return select_tests(load_project(*paths), select, exclude)


def _masked_traceback() -> str:
    import traceback

    from dbt_like_checks.secrets import masked, secrets_of
    from dbt_like_checks.shown import visible

    # Which option held the address is not known here; whatever may be one is read as one.
    secrets = [secrets_of(given) for given in (*sys.argv[1:], os.environ.get(URL_VARIABLE, ""))]
    return visible(masked(traceback.format_exc().rstrip(), frozenset[str]().union(*secrets)))


def main() -> NoReturn:
    """The entry point of the shell: `run`, and the process ends at once.

    Left to itself, Python would search all that was imported for garbage, while it is imported and at
    the end: more than a tenth of the time of a small run. By the end the connections are closed and
    nothing else is open.
    """
    gc.set_threshold(100_000)
    code: object = 0
    try:
        run()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


def run() -> None:
    """The command itself: every error of this package is said in plain lines, and exits with 2.

    So does what nobody foresaw, with its traceback, in which no secret is shown.
    """
    from dbt_like_checks.errors import DataTestError
    from dbt_like_checks.shown import visible

    try:
        commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except DataTestError as error:
        click.echo(visible(str(error)), err=True)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
    except Exception:  # noqa: BLE001  dbt tells a failed test from a failed command by the exit code
        click.echo(_masked_traceback(), err=True)
    else:
        return
    sys.exit(UNUSABLE)
