"""Is everything there that asking needs? What was found, as values; nothing is changed, no model is asked."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog, CatalogError, Model, ProviderName, load_catalog
from beacon_pipeline.catalog.modal_specs import modal_deployments, secrets_of
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.instance.daemon import is_alive
from beacon_pipeline.instance.dagster_yaml import (
    FILE,
    InstanceError,
    check_kind,
    check_name,
    kind_of_environment,
)
from beacon_pipeline.instance.dead_runs import AT_WORK, dead_runs
from beacon_pipeline.instance.making import opened_instance
from beacon_pipeline.instance.run_launcher import BeaconRunLauncher
from beacon_pipeline.instance.storage import storage_problems
from beacon_pipeline.ledger import Ledger, LedgerUnavailable
from beacon_pipeline.monitoring.data_tests.project import own_checks
from beacon_pipeline.reconciliation.view import shown_without_record
from dbt_like_checks import ProjectError
from inference.contract import Deployment, NotConfigured, Provider
from inference.inspection import DeploymentState, Inspectable, Remote
from inference.modal.spec import settings_of

VERSIONS = ("beacon-pipeline", "dagster", "modal", "torch", "transformers", "sqlalchemy")


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at. ``detail`` says what was found, and the way out where it is bad."""

    subject: str
    ok: bool
    detail: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def versions() -> Diagnosis:
    """What is installed."""
    installed = [f"python {platform.python_version()}"]
    installed += [f"{name} {importlib.metadata.version(name)}" for name in VERSIONS]
    return Diagnosis("versions", ok=True, detail=", ".join(installed))


def examine_catalog() -> tuple[Catalog | None, list[Diagnosis]]:
    """The catalog that the environment names, or every problem that it has."""
    try:
        catalog = load_catalog()
    except CatalogError as error:
        return None, [Diagnosis("catalog", ok=False, detail=problem) for problem in error.problems]
    counts = (
        f"{len(catalog.regions)} regions, {len(catalog.models)} models, {len(catalog.questions)} questions"
    )
    return catalog, [
        Diagnosis("catalog", ok=True, detail=f"{catalog.name} ({catalog.digest[:12]}): {counts}")
    ]


def examine_weights(catalog: Catalog) -> list[Diagnosis]:
    """Which folders of weights on this machine lack what loading them needs; nothing when all is well."""
    found = []
    for model in catalog.models:
        if model.provider is not ProviderName.LOCAL:
            continue
        for region, source in model.all_sources().items():
            if source.folder is None:
                continue
            folder = catalog.folder / source.folder
            if missing := _missing_files(folder):
                detail = f"{folder.resolve()} holds no {', no '.join(missing)}"
                found.append(Diagnosis(_weights_of(model, region), ok=False, detail=detail))
    return found


def examine_other_weights(catalog: Catalog) -> list[Diagnosis]:
    """Which deployments have other weights than their model has elsewhere: so it is on record."""
    return [
        Diagnosis(
            _weights_of(model, region), ok=True, detail=f"other than elsewhere: revision {source.revision}"
        )
        for model in catalog.models
        for region, source in model.sources.items()
    ]


def _weights_of(model: Model, region: str) -> str:
    return f"weights {region}:{model.id}" if region else f"weights {model.id}"


def _missing_files(folder: Path) -> list[str]:
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    return missing if any(folder.glob("*.safetensors")) else [*missing, "model.safetensors"]


def examine_own_checks(catalog: Catalog) -> list[Diagnosis]:
    """Whether the data tests in the catalog's folder, if there are any, can be read."""
    try:
        found = own_checks(catalog)
    except ProjectError as error:
        return [Diagnosis("own checks", ok=False, detail=str(problem)) for problem in error.problems]
    return [Diagnosis("own checks", ok=True, detail=f"{len(found)} data tests")] if found else []


def examine_database(url: str) -> Diagnosis:
    """Whether the ledger's database answers, and whether this code can use its schema."""
    try:
        ledger = Ledger(url)
        try:
            current, newest = ledger.schema_versions()
        finally:
            ledger.close()
    except LedgerUnavailable as error:
        return Diagnosis("database", ok=False, detail=str(error))
    if current == newest:
        return Diagnosis("database", ok=True, detail=f"{ledger.place}: schema {current}")
    if current is None:
        return Diagnosis(
            "database", ok=True, detail=f"{ledger.place}: empty; the first command makes schema {newest}"
        )
    return Diagnosis(
        "database", ok=True, detail=f"{ledger.place}: schema {current}; the next command brings {newest}"
    )


def examine_environment() -> list[Diagnosis]:
    """What of the environment and of Dagster's files keeps a run from starting; nothing when all is well."""
    found = []
    try:
        environment.check_launchable()
    except (environment.SettingsError, OSError) as error:
        found.append(Diagnosis("environment", ok=False, detail=str(error)))
    try:
        check_name(environment.home(), kind_of_environment())
        problems = list(storage_problems(environment.home()))
    except (InstanceError, OSError) as error:
        problems = [str(error)]
    return found + [Diagnosis("instance", ok=False, detail=problem) for problem in problems]


def examine_instance(folder: Path) -> list[Diagnosis]:
    """Whether Dagster's storage can be used, and whether every run that it shows at work lives.

    Nothing for a folder that has no instance yet: the first command makes it.
    """
    if not (folder / FILE).exists():
        return []
    try:
        check_kind(folder, kind_of_environment())
        with opened_instance(folder) as instance:
            return [*_examine_runs(instance), *_examine_record(instance)]
    except InstanceError as error:
        return [Diagnosis("instance", ok=False, detail=str(error))]


def _examine_runs(instance: dg.DagsterInstance) -> list[Diagnosis]:
    if not isinstance(instance.run_launcher, BeaconRunLauncher):
        detail = (
            f"its {FILE} has no `run_launcher` of Beacon: a run that dies holds its place in the queue for "
            "ever; delete the file, or take the entry from beacon_pipeline/instance/local.yaml"
        )
        return [Diagnosis("instance", ok=False, detail=detail)]
    if dead := dead_runs(instance):
        way_out = "`beacon reconcile` ends it and goes on with what it left"
        return [
            Diagnosis(f"run {run_id[:8]}", ok=False, detail=f"dead: {why}; {way_out}")
            for run_id, why in dead.items()
        ]
    at_work = instance.get_runs_count(dg.RunsFilter(statuses=AT_WORK))
    runs = "1 run" if at_work == 1 else f"{at_work} runs"
    daemon = "a daemon runs" if is_alive(instance) else "no daemon runs"
    return [Diagnosis("instance", ok=True, detail=f"{runs} at work, none is dead; {daemon}")]


def _examine_record(instance: dg.DagsterInstance) -> list[Diagnosis]:
    """Whether a ledger without a job is beside a Dagster that shows answers."""
    try:
        with closing(Ledger(environment.database_url())) as ledger:
            version, _ = ledger.schema_versions()
            if version is not None and ledger.jobs.latest() is not None:
                return []
            lacks = shown_without_record(ledger, instance)
    except LedgerUnavailable:
        return []  # `examine_database` says so
    return [Diagnosis("ledger", ok=False, detail=lacks)] if lacks else []


def examine_providers(catalog: Catalog, providers: Providers) -> list[Diagnosis]:
    """Whether each provider is configured, and each deployment is there as the catalog says.

    What one deployment lacks, the key of its endpoint say, is reported for that one.
    """

    async def examine() -> list[Diagnosis]:
        async with providers:
            return await _examine_providers(catalog, providers)

    return asyncio.run(examine())


async def _examine_providers(catalog: Catalog, providers: Providers) -> list[Diagnosis]:
    by_provider: dict[str, list[Deployment]] = {}
    for deployment in catalog.deployments():
        name = catalog.model(deployment.model).provider.value
        by_provider.setdefault(name, []).append(deployment)
    diagnoses: list[Diagnosis] = []
    for name, deployments in by_provider.items():
        try:
            diagnoses += await _examine_provider(providers.named(name), deployments, catalog)
        except NotConfigured as missing:
            diagnoses.append(Diagnosis(f"provider {name}", ok=False, detail=str(missing)))
    return diagnoses


async def _examine_provider(
    provider: Provider, deployments: Sequence[Deployment], catalog: Catalog
) -> list[Diagnosis]:
    """What is wrong with a provider itself is reported once, and not for each of its deployments.

    Raises NotConfigured.
    """
    subject = f"provider {provider.name}"
    provider.check_configured()
    remote = provider if isinstance(provider, Remote) else None
    if remote and (why := await remote.why_unreachable()):
        return [
            Diagnosis(subject, ok=False, detail=f"{why}; {len(deployments)} deployments were not looked at")
        ]
    states = await _inspect(provider, deployments)
    unasked = {state.detail for state in states.values() if state.found is None}
    if remote and len(unasked) == 1 and all(state.found is None for state in states.values()):
        left = f"{len(states)} deployments were not looked at"
        return [Diagnosis(subject, ok=False, detail=f"{unasked.pop()}; {left}")]
    specs = modal_deployments(catalog)
    expected = {spec.deployment: settings_of(spec) for spec in specs}
    missing = await remote.missing_secrets(secrets_of(specs)) if remote else []
    return [
        Diagnosis(subject, ok=True, detail="configured"),
        *(Diagnosis(subject, ok=False, detail=line) for line in missing),
        *(judge_deployment(one, state, expected.get(one, {})) for one, state in states.items()),
    ]


async def _inspect(
    provider: Provider, deployments: Sequence[Deployment]
) -> dict[Deployment, DeploymentState]:
    """What each deployment is like. Raises NotConfigured where all of them lack one and the same."""
    if not isinstance(provider, Inspectable):
        return {}
    inspections = [provider.inspect(deployment) for deployment in deployments]
    found = await asyncio.gather(*inspections, return_exceptions=True)
    if all(isinstance(state, NotConfigured) for state in found) and len(set(map(str, found))) == 1:
        raise NotConfigured(str(found[0]))
    states = {}
    for deployment, state in zip(deployments, found, strict=True):
        if isinstance(state, NotConfigured):
            states[deployment] = DeploymentState(found=None, detail=str(state))
        elif isinstance(state, BaseException):
            raise state
        else:
            states[deployment] = state
    return states


def judge_deployment(
    deployment: Deployment, state: DeploymentState, expected: Mapping[str, str]
) -> Diagnosis:
    """Whether a deployment is there, and deployed as the catalog says."""
    subject = f"deployment {deployment}"
    if not state.found or state.detail:
        return Diagnosis(subject, ok=False, detail=state.detail)
    different = [
        f"{name} {state.settings[name]} where the catalog says {value}"
        for name, value in expected.items()
        if state.settings.get(name, value) != value
    ]
    if different:
        return Diagnosis(subject, ok=False, detail=f"{', '.join(different)}: run `beacon deploy`")
    settings = ", ".join(f"{name} {value}" for name, value in state.settings.items())
    return Diagnosis(subject, ok=True, detail=settings or "answers")
