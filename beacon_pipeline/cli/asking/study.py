"""`beacon study`: a plan written down before anyone is asked, and asked as it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beacon_pipeline.cli.asking.following import launch_and_follow
from beacon_pipeline.cli.common import BadInput, open_instance, open_ledger

if TYPE_CHECKING:
    from beacon_pipeline.catalog import Catalog
    from beacon_pipeline.catalog.study import Study
    from beacon_pipeline.findings.finding import Finding
    from beacon_pipeline.ledger import Ledger
    from beacon_pipeline.studies.check import Check
    from beacon_pipeline.studies.looks import Look
    from beacon_pipeline.studies.register import Registration

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
MOMENT = "%Y-%m-%d %H:%M:%S UTC"
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group()
def study() -> None:
    """A plan with its claims: check, register, run, top up, and see what stands.

    docs/studies.md is the guide.
    """


@study.command()
@FILE
@AS_JSON
def check(file: Path, as_json: bool) -> None:
    """What the plan in FILE asks, costs, and can show; nothing is asked or recorded.

    Exit code 1 where a claim can never be found under the plan.
    """
    from beacon_pipeline.studies.check import check as check_study

    planned, catalog = _read(file)
    found = check_study(planned, catalog)
    if as_json:
        click.echo(json.dumps(_check_json(found), indent=2))
    else:
        for line in _check_lines(found):
            click.echo(line)
    sys.exit(1 if found.unreachable else 0)


@study.command()
@FILE
@click.option("--public-value", help="What was published after the registration: the seed is made of it.")
@click.option(
    "--timestamp",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that proves when the hash was there: an RFC 3161 token, an OpenTimestamps proof.",
)
def register(file: Path, public_value: str | None, timestamp: Path | None) -> None:
    """Put the plan in FILE on record, before anything is asked.

    A changed plan is a new version with new seeds. A public value or a timestamp can be added later, the
    value only until the first look is taken.
    """
    from beacon_pipeline.studies.register import register as register_study

    planned, _ = _read(file)
    proof = None if timestamp is None else timestamp.read_bytes()
    with open_ledger() as ledger:
        done = register_study(ledger, planned, public_value=public_value, timestamp=proof)
        for line in _registration_lines(done):
            click.echo(line)


@study.command()
@FILE
def run(file: Path) -> None:
    """Take the first look of the plan in FILE, or go on with the newest one after whatever stopped it.

    A plan that is not on record is registered first, by itself.
    """
    from beacon_pipeline.studies.looks import look_to_run, looks_of
    from beacon_pipeline.studies.register import find
    from beacon_pipeline.studies.register import register as register_study

    planned, catalog = _read(file)
    with open_ledger() as ledger:
        done = find(ledger, planned)
        if done is None:
            _check_can_ask(ledger, catalog, planned)  # before a plan is on record that cannot be asked
            done = register_study(ledger, planned)
            click.echo("not on record yet: registered now, by itself", err=True)
            for line in _registration_lines(done):
                click.echo(line, err=True)
        _take(file, ledger, catalog, done, look_to_run(looks_of(ledger, done.study)), "beacon study run")


@study.command("top-up")
@FILE
def top_up(file: Path) -> None:
    """Take the next look that the plan in FILE has."""
    from beacon_pipeline.studies.looks import look_to_take, looks_of

    planned, catalog = _read(file)
    with open_ledger() as ledger:
        done = _registered(ledger, planned)
        _take(file, ledger, catalog, done, look_to_take(looks_of(ledger, done.study)), "beacon study top-up")


@study.command()
@click.argument("named", metavar="FILE|STUDY")
@AS_JSON
def status(named: str, as_json: bool) -> None:
    """What stands: the registration, the looks, and the findings over those that have ended.

    Of the plan in FILE, or of the newest version of STUDY on record.
    """
    from beacon_pipeline.studies.findings import what_stands
    from beacon_pipeline.studies.looks import looks_of

    with open_ledger() as ledger:
        done = _on_record(ledger, named) or _registered(ledger, _read(Path(named))[0])
        looks = looks_of(ledger, done.study)
        found = what_stands(ledger, done.study)
        versions = [record.version for record in ledger.studies.versions(done.study.id)]
    if as_json:
        click.echo(json.dumps(_status_json(done, looks, found), indent=2))
        return
    for line in (*_registration_lines(done), *_look_lines(looks), "", *_finding_lines(found)):
        click.echo(line)
    if older := [version for version in versions if version != done.record.version]:
        click.echo(
            f"other versions on record: {', '.join(map(str, older))}; their answers are exploration here"
        )


def _read(file: Path) -> tuple[Study, Catalog]:
    from beacon_pipeline.catalog import load_catalog
    from beacon_pipeline.catalog.study_file import read_study

    catalog = load_catalog()
    return read_study(file, catalog), catalog


def _on_record(ledger: Ledger, name: str) -> Registration | None:
    """The newest version of a study of this name, unless a file has it. Raises BadInput where neither is."""
    from beacon_pipeline.catalog.study_plan import study_on_record
    from beacon_pipeline.studies.register import Registration

    records = [] if Path(name).exists() else ledger.studies.versions(name)
    newest = max(records, key=lambda record: record.version, default=None)
    if newest is None and Path(name).name == name and not Path(name).suffix and not Path(name).exists():
        raise BadInput(f"no file is called {name}, and no study on record")
    return None if newest is None else Registration(newest, study_on_record(newest), new=False)


def _registered(ledger: Ledger, planned: Study) -> Registration:
    from beacon_pipeline.studies.register import RegistrationError, find

    done = find(ledger, planned)
    if done is None:
        versions = len(ledger.studies.versions(planned.id))
        known = f", which differs from the {versions} on record" if versions else ""
        raise RegistrationError(
            f"study {planned.id!r} is not registered as it is now{known}: `beacon study register` or "
            "`beacon study run` puts it on record"
        )
    return done


def _take(file: Path, ledger: Ledger, catalog: Catalog, done: Registration, look: Look, actor: str) -> None:
    """Ask a look where something of it is not answered, and say what stands."""
    from beacon_pipeline.findings.page import write_page_of
    from beacon_pipeline.findings.subject import subject_named
    from beacon_pipeline.monitoring.alerts.tick import reported
    from beacon_pipeline.studies.findings import what_stands
    from beacon_pipeline.studies.looks import looks_of

    if look.is_answered:
        click.echo(f"look {look.number} is answered: nothing is left to ask in it", err=True)
    else:
        _ask(file, ledger, catalog, done, look, actor)
    looks = looks_of(ledger, done.study)
    found = what_stands(ledger, done.study)
    for line in (*_look_lines(looks), "", *_finding_lines(found)):
        click.echo(line)
    subject = subject_named(ledger, done.study.id)
    with open_instance() as instance:
        page = write_page_of(ledger, subject, findings=found, alerts=reported(instance))
    click.echo(f"page: {page.path}")
    taken = looks[look.number - 1]
    sys.exit(0 if taken.is_answered else 1)


def _ask(file: Path, ledger: Ledger, catalog: Catalog, done: Registration, look: Look, actor: str) -> None:
    planned = done.study
    from beacon_pipeline.defs.assets.status_metrics import report_metrics
    from beacon_pipeline.studies.run import ask_look

    if not done.new:
        _check_can_ask(ledger, catalog, planned)
    with open_instance() as instance:
        launch = partial(ask_look, ledger, instance, catalog, planned, look, actor=actor)
        goes_on = f"`beacon study run {file}`"
        launch_and_follow(launch, ledger, instance, catalog, goes_on=goes_on)
        report_metrics(ledger, instance, catalog)


def _check_can_ask(ledger: Ledger, catalog: Catalog, planned: Study) -> None:
    from beacon_pipeline.execution.resources import ProvidersResource
    from beacon_pipeline.jobs.launch import check_can_ask

    with open_instance():
        check_can_ask(ledger, catalog, ProvidersResource().open(catalog), planned.cells, new_job=True)


def _registration_lines(done: Registration) -> Iterator[str]:
    verb = "registered" if done.new else "on record since"
    yield f"study {done.study.id}, version {done.record.version}: {verb} {done.at:{MOMENT}}"
    yield f"hash {done.record.hash}"
    yield f"seed {done.study.seed}"
    for evidence in done.record.evidence:
        kind = evidence.kind.value.replace("_", " ")
        yield f"{kind} since {evidence.at:{MOMENT}}, sha256 {evidence.sha256}"
    if not done.record.evidence:
        yield "self-registered: nothing from outside says when, or that the seed was not chosen"


def _look_lines(looks: list[Look]) -> Iterator[str]:
    for look in looks:
        first, last = look.blocks[0], look.blocks[-1]
        blocks = f"block {first}" if first == last else f"blocks {first} to {last}"
        if look.job is None:
            yield f"look {look.number}: {blocks}, not taken"
        else:
            counts = ", ".join(f"{count} {word}" for word, count in sorted(look.by_status.items()))
            yield f"look {look.number}: {blocks}, job {look.job.job_name}: {counts}"


def _finding_lines(found: Sequence[Finding]) -> Iterator[str]:
    from beacon_pipeline.escaping import visible

    if not found:
        yield "no look has ended: there is no finding yet"
    for finding in found:
        yield visible(f"{finding.claim}: {finding.sentence()}")


def _check_lines(found: Check) -> Iterator[str]:
    from beacon_pipeline.studies.check import assumptions_of

    planned, cost = found.study, found.cost
    yield f"study {planned.id}, hash {planned.hash}"
    yield (
        f"{cost.executions:,} executions in {cost.calls:,} calls: {planned.blocks} blocks in "
        f"{len(planned.looks)} looks, {len(planned.arms)} arms, {planned.samples} samples"
    )
    unpriced = f"; no price for the GPU of {', '.join(cost.unpriced)}" if cost.unpriced else ""
    yield f"about {cost.gpu_minutes:,.0f} GPU minutes, ${cost.dollars:,.2f}{unpriced}"
    yield from (
        f"a call of {model} may take {seconds:,.0f} s, longer than its timeout_seconds: ask fewer samples in "
        "more blocks, or raise it in models.yaml"
        for model, seconds in cost.too_long.items()
    )
    yield from (f"  assumed for the {what}: {how}" for what, how in assumptions_of(planned).items())
    for claim in found.claims:
        if claim.why_not is not None:
            yield f"{claim.claim}: can never be found: {claim.why_not}"
            continue
        power = ", ".join(f"{power:.0%} where it is {effect:g}" for effect, power in claim.power.items())
        found_in = f"; a difference between the rates is found in {power}" if power else ""
        yield f"{claim.claim}: smallest p {claim.smallest_p:.2g}{found_in}"


def _check_json(found: Check) -> dict[str, Any]:
    from dataclasses import asdict

    from beacon_pipeline.studies.check import assumptions_of

    return {
        "study": found.study.id,
        "hash": found.study.hash,
        **asdict(found.cost),
        "assumptions": assumptions_of(found.study),
        "claims": [asdict(claim) for claim in found.claims],
    }


def _status_json(done: Registration, looks: list[Look], found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "study": done.study.id,
        "version": done.record.version,
        "hash": done.record.hash,
        "seed": done.study.seed,
        "registered": done.study.registered,
        "registered_at": done.at.isoformat(),
        "looks": [
            {
                "look": look.number,
                "blocks": list(look.blocks),
                "job": look.job.job_name if look.job else None,
                "by_status": look.by_status,
            }
            for look in looks
        ],
        "findings": [finding.as_dict() for finding in found],
    }
