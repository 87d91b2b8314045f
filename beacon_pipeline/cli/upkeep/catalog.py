"""The commands about the catalog."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from beacon_pipeline.cli.common import BadInput


@click.group()
def catalog() -> None:
    """What may be asked: regions, models and questions, in a folder of YAML files."""


@catalog.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--from", "shipped", default="demo", show_default=True, help="A catalog that ships.")
def init(folder: Path, shipped: str) -> None:
    """Make a catalog of your own in FOLDER: a copy of one that ships, which works as it is."""
    from beacon_pipeline.catalog import shipped_names
    from beacon_pipeline.catalog.new import make_catalog

    if shipped not in shipped_names():
        raise BadInput(f"no catalog {shipped!r} ships: choose one of {', '.join(shipped_names())}")
    made = make_catalog(folder, shipped)
    click.echo(
        f"made {made.folder}: {len(made.regions)} regions, {len(made.models)} models, "
        f"{len(made.questions)} questions\nuse it with: export BEACON_CATALOG={shlex.quote(str(made.folder))}"
    )
