"""The code location on a scripted provider, run in this process on a Dagster instance of its own."""

import dagster as dg

from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.definitions import build_definitions
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.resources import ProvidersResource
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.names import INFERENCE, RANGE_END_TAG, RANGE_START_TAG
from tests.beacon_pipeline.scripted import Behaviour, ScriptedProvider

CATALOG = load_catalog("demo")
QUESTIONS = sorted(question.id for question in CATALOG.questions)
KEYS = {question: key_of(Cell("eu", "tiny-llama", question)) for question in QUESTIONS}


class Scripted(ProvidersResource):
    def __init__(self, provider: ScriptedProvider) -> None:
        self.provider = provider

    def open(self, catalog: Catalog) -> Providers:
        return Providers(catalog, {"local": lambda _: self.provider})


class Location:
    """The definitions on a scripted provider, with an instance of their own."""

    def __init__(self, instance: dg.DagsterInstance, *script: Behaviour) -> None:
        self.instance = instance
        self.provider = ScriptedProvider(script)
        self.definitions = build_definitions(CATALOG, providers=Scripted(self.provider))

    def run(self, job: str, first: str | None = None, last: str | None = None, **tags: str) -> dg.DagsterRun:
        definition = self.definitions.resolve_job_def(job)
        if first is None:
            result = definition.execute_in_process(instance=self.instance, tags=tags)
        else:
            ranged = {RANGE_START_TAG: first, RANGE_END_TAG: last or first}
            result = definition.execute_in_process(
                instance=self.instance, tags=ranged | tags, raise_on_error=False
            )
        if any(map(_is_of_a_signal, result.all_events)):
            raise KeyboardInterrupt("whoever ends the tests ended a run, and without it what follows fails")
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        return run

    def ask(self, **tags: str) -> dg.DagsterRun:
        """All questions of one deployment in one run."""
        keys = [KEYS[q] for q in (question.id for question in CATALOG.questions)]
        return self.run(INFERENCE_JOB, keys[0], keys[-1], **tags)

    def green(self) -> set[str]:
        return set(self.instance.get_materialized_partitions(INFERENCE))

    def checks(self, run_id: str) -> dict[tuple[str, str | None], dg.AssetCheckEvaluation]:
        events = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        found = [e.dagster_event.asset_check_evaluation_data for e in events if e.dagster_event]
        return {(e.check_name, e.partition): e for e in found}


def _is_of_a_signal(event: dg.DagsterEvent) -> bool:
    """Dagster makes a failure of the run of SIGINT and SIGTERM, which `timeout` sends to tests, too."""
    failure = event.step_failure_data if event.is_step_failure else None
    error = failure.error if failure else None
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__
