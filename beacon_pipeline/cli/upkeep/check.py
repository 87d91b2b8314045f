"""The command that runs the data tests on the ledger."""

from __future__ import annotations

import json
import sys

import click

from beacon_pipeline.cli.common import BadInput, open_ledger


@click.command()
@click.option(
    "--select",
    "-s",
    multiple=True,
    metavar="CRITERIA",
    help="Only tests by tag:…, table or name; * is a wildcard.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as dbt's run_results.json.")
def check(select: tuple[str, ...], as_json: bool) -> None:
    """Run the data tests on the ledger: the ones that ship, and those in the catalog's checks folder.

    Exits with 0 when none failed (warnings included), 1 when some did, 2 when they could not be run.
    """
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.monitoring.data_tests.project import ledger_checks, ledger_target
    from dbt_like_checks import DataTestError, run_tests
    from dbt_like_checks.output.terminal import Progress, summary
    from dbt_like_checks.parse.selection import select_tests

    try:
        tests = select_tests(ledger_checks(load_catalog()), select)
        with open_ledger():
            url, options = ledger_target()
            results = run_tests(tests, url, options, report=None if as_json else Progress())
    except DataTestError as error:
        raise BadInput(str(error)) from error
    click.echo(json.dumps(results.to_json(), indent=2) if as_json else "\n".join(summary(results)))
    sys.exit(0 if results.success else 1)
