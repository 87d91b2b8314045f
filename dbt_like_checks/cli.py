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
    "--select", "-s", multiple=True, metavar="CRITERIA", help="Only tests by tag:…, path:…, model or name."
)
exclude_option = click.option("--exclude", multiple=True, metavar="CRITERIA", help="All tests but these.")
url_option = click.option(
    "--url",
    envvar=URL_VARIABLE,
    show_envvar=True,
    required=True,
    help="The database, as sqlite:///file.db or postgresql://…",
)
strict_option = click.option("--strict", is_flag=True, help="Tests that are not supported here are an error.")
vars_option = click.option("--vars", "variables", metavar="YAML", help="Values of var('…'): '{name: value}'.")
target_option = click.option("--target", "-t", metavar="NAME", help="What target.name is.")
warn_error_option = click.option("--warn-error", is_flag=True, help="Warnings are errors.")
schema_option = click.option("--schema", help="The schema of tables that name none.")
project_options = (
    *(paths_argument, select_option, exclude_option, strict_option, vars_option, target_option),
    warn_error_option,
)
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
@click.version_option(package_name="beacon-pipeline", prog_name="dbt-like-checks")
def commands() -> None:
    """Data tests declared in YAML as for dbt, run on any SQLite, PostgreSQL or DuckDB database."""


@commands.command()
@with_options(*project_options, url_option, schema_option, timeout_option)
@click.option("--fail-fast", "-x", is_flag=True, help="Begin no test after the first failure.")
@click.option("--quiet", "-q", is_flag=True, help="Print only what is not well.")
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
    url: str,
    schema: str | None,
    timeout: float,
    fail_fast: bool,
    threads: int,
    output: str,
    store_failures: bool,
    sample: int,
    quiet: bool,
    warn_error: bool,
    **project: Any,
) -> None:
    """Run the tests of files and folders, or of a dbt project by its topmost folder."""
    from dbt_like_checks.output.terminal import Progress, junit, summary, unwell
    from dbt_like_checks.run.results import Status
    from dbt_like_checks.run.runner import RunOptions, run_tests

    tests = _selected(**project, warn_error=warn_error)
    options = RunOptions(
        schema=schema,
        threads=threads,
        fail_fast=fail_fast,
        timeout=timeout,
        sample=sample,
        store_failures=store_failures,
    )
    results = run_tests(tests, url, options, report=Progress() if output == "text" and not quiet else None)
    match output:
        case "json":
            click.echo(json.dumps(results.to_json(), indent=2))
        case "junit":
            click.echo(junit(results))
        case _ if quiet:
            click.echo("".join(f"{line}\n" for line in unwell(results)), nl=False)
        case _:
            click.echo("\n".join(summary(results)))
    warned = warn_error and results.count(Status.WARN)
    sys.exit(0 if results.success and not warned else FAILED)


@commands.command("compile")
@with_options(*project_options, url_option, schema_option, timeout_option)
def compile_command(url: str, schema: str | None, timeout: float, **project: Any) -> None:
    """Print the SQL of the tests, their values written out."""
    from dbt_like_checks.database.access import Reader, open_engine
    from dbt_like_checks.database.tables import Tables
    from dbt_like_checks.errors import CannotCompile
    from dbt_like_checks.output.shown import visible
    from dbt_like_checks.run.compile import compile_test
    from dbt_like_checks.tests.registry import default_registry

    tests, registry = _selected(**project), default_registry()
    reader = Reader(open_engine(url, timeout=timeout), timeout)
    failed = False
    try:
        tables = Tables(reader, schema)
        for each in tests:
            click.echo(f"-- {visible(each.name)} ({visible(str(each.place))})")
            if each.unsupported:
                click.echo(f"-- {visible(each.unsupported)}\n")
                continue
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
@with_options(*project_options)
@click.option("--output", type=click.Choice(["name", "json"]), default="name", show_default=True)
def list_command(output: str, **project: Any) -> None:
    """List the tests; needs no database."""
    from dbt_like_checks.output.shown import visible

    for each in _selected(**project):
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
            **({"unsupported": each.unsupported} if each.unsupported else {}),
        }
        click.echo(json.dumps(described))


@commands.command("schema")
def schema_command() -> None:
    """Print a JSON Schema of the YAML files, for editors."""
    from dbt_like_checks.parse.schema import json_schema
    from dbt_like_checks.tests.registry import default_registry

    click.echo(json.dumps(json_schema(default_registry()), indent=2))


def _selected(
    paths: tuple[Path, ...],
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    strict: bool,
    variables: str | None,
    target: str | None,
    warn_error: bool,
) -> list[Any]:
    """The tests that are meant; what is passed over is printed on the error output. Raises ProjectError."""
    from dbt_like_checks.errors import Problem, ProjectError
    from dbt_like_checks.output.terminal import warnings
    from dbt_like_checks.parse.grammar import load_project
    from dbt_like_checks.parse.selection import select_tests

    project = load_project(*paths, variables=_variables(variables), target=target)
    if warn_error and project.warnings:
        raise ProjectError(project.warnings)
    for line in warnings(project.warnings):
        click.echo(line, err=True)
    tests = select_tests(project, select, exclude)
    refused = [Problem(test.place, test.unsupported) for test in tests if test.unsupported]
    if strict and refused:
        raise ProjectError(refused)
    return tests


def _variables(given: str | None) -> dict[str, object]:
    """The values of ``--vars``: YAML, as for dbt."""
    from dbt_like_checks.parse.document import plain_yaml

    try:
        read = plain_yaml(given or "{}")
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise click.BadParameter("write a mapping, such as '{name: value}'", param_hint="--vars")
    return {str(name): value for name, value in read.items()}


def _masked_traceback() -> str:
    import traceback

    from dbt_like_checks.database.secrets import masked, secrets_of
    from dbt_like_checks.output.shown import visible

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
    """The command itself: every error of this package is printed in plain lines, and exits with 2.

    So does an error that is a defect, with its traceback, in which no secret is shown.
    """
    from dbt_like_checks.errors import DataTestError
    from dbt_like_checks.output.shown import visible

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
