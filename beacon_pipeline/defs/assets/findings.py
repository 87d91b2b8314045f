"""What the answers say, as assets with lineage: inference → comparisons → findings → page, scorecard.

No model is asked. numpy, pandas and what tests are imported by the run that needs them, and by nothing else.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.partitions import DEPLOYMENT, QUESTION, question_key
from beacon_pipeline.defs.where import code_and_guide
from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.findings.page import write_page_of
from beacon_pipeline.findings.rows import Row, answer_rows
from beacon_pipeline.findings.shown import of_comparison, of_findings, of_scorecard
from beacon_pipeline.findings.subject import findings_of, subject_named
from beacon_pipeline.jobs.dagster_api import COMPARISONS_JOB, FINDINGS_JOB
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.names import (
    COMPARED_TAG,
    COMPARISONS,
    FINDINGS,
    GROUP,
    INFERENCE,
    OWNER,
    PAGE,
    SCORECARD,
    STUDIES,
)

MODEL = "model"
PARTITIONS_PER_RUN = 500

studies_partitions = dg.DynamicPartitionsDefinition(name=STUDIES)


def study_key(study: str, version: int | None) -> str:
    """The partition of a version of a study."""
    return f"{study}@{version}"


def comparison_partitions(catalog: Catalog) -> dg.MultiPartitionsDefinition:
    """Every model × every question of the catalog."""
    return dg.MultiPartitionsDefinition(
        {
            MODEL: dg.StaticPartitionsDefinition([model.id for model in catalog.models]),
            QUESTION: dg.StaticPartitionsDefinition([question.id for question in catalog.questions]),
        }
    )


def comparisons_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The asset ``comparisons``: a partition holds one model's answers to one question, of all regions."""
    partitions, mapping = comparison_partitions(catalog), _mapping(catalog)

    @dg.multi_asset(
        name="comparisons",
        specs=[
            dg.AssetSpec(
                COMPARISONS,
                deps=[dg.AssetDep(INFERENCE, partition_mapping=mapping)],
                partitions_def=partitions,
                skippable=True,  # a partition that was not asked is not materialized
                group_name=GROUP,
                owners=[OWNER],
                description="The answers of all regions to one question of one model, set side by side. "
                "It describes; only a study's findings test.",
                metadata=code_and_guide(comparisons_asset, "looking.md"),
            )
        ],
        partitions_def=partitions,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(PARTITIONS_PER_RUN),
    )
    def compare(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[LedgerResource]
    ) -> Iterator[dg.AssetMaterialization]:
        from beacon_pipeline.findings.compare import comparisons

        wanted = {(key.partition("|")[0], key.partition("|")[2]) for key in context.partition_keys}
        with ledger.open() as opened:
            job, rows = _rows(opened, catalog, context.run.tags.get(COMPARED_TAG), wanted)
            found = comparisons(rows)
        context.log.info(f"{len(found)} of {len(wanted)} partitions have answers")
        for one in found:
            yield dg.AssetMaterialization(
                COMPARISONS,
                partition=question_key(one.model, one.question),
                metadata=_shown(of_comparison(one)) | ({"job": job} if job else {}),
            )

    return compare


def _mapping(catalog: Catalog) -> dg.MultiPartitionMapping:
    """A question of a model is compared when any of its deployments has answered it."""
    of_deployment = dg.StaticPartitionMapping({str(one): one.model for one in catalog.deployments()})
    with warnings.catch_warnings():
        # In beta for years, and pinned to a minor version here: no news for who starts Beacon.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.MultiPartitionMapping(
            {
                DEPLOYMENT: dg.DimensionPartitionMapping(MODEL, of_deployment),
                QUESTION: dg.DimensionPartitionMapping(QUESTION, dg.IdentityPartitionMapping()),
            }
        )


def _rows(
    ledger: Ledger, catalog: Catalog, job: str | None, wanted: set[tuple[str, str]]
) -> tuple[str | None, Iterator[Row]]:
    """The answers to compare: of the job given, else each cell's newest."""
    if job is not None:
        rows = answer_rows(ledger, [job])
        return job, (row for row in rows if (row["model"], row["question"]) in wanted)
    cells = [
        Cell(deployment.region, deployment.model, question)
        for deployment in catalog.deployments()
        for model, question in wanted
        if deployment.model == model
    ]
    newest = {execution.cell: execution.job_id for execution in ledger.executions.newest(cells)}
    names = ledger.jobs.names(newest.values())
    of_cell = {cell: names[job_id] for cell, job_id in newest.items()}
    rows = answer_rows(ledger, sorted(set(names.values())))
    return None, (
        row for row in rows if of_cell.get(Cell(row["region"], row["model"], row["question"])) == row["job"]
    )


@dg.multi_asset(
    name="findings_and_page",  # of one evaluation: it is most of what either costs
    specs=[
        dg.AssetSpec(
            FINDINGS,
            deps=[COMPARISONS],
            group_name=GROUP,
            owners=[OWNER],
            kinds={"pandas"},
            skippable=True,
            description="What a version of a study found of each of its claims: effect, interval, verdict, "
            "qualifiers. A partition is a study and its version, such as `demo@1`.",
            metadata=code_and_guide(of_findings, "studies.md"),
        ),
        dg.AssetSpec(
            PAGE,
            deps=[FINDINGS],
            group_name=GROUP,
            owners=[OWNER],
            skippable=True,
            description="One HTML file that people read: answers side by side, figures, findings. It lies in "
            "the folder `pages` of the instance; `beacon page` writes it too.",
            metadata=code_and_guide(write_page_of, "page.md"),
        ),
    ],
    partitions_def=studies_partitions,
    can_subset=True,
)
def findings_and_page(
    context: dg.AssetExecutionContext, ledger: dg.ResourceParam[LedgerResource]
) -> Iterator[dg.MaterializeResult[None]]:
    from beacon_pipeline.monitoring.alerts.tick import reported  # with all that sends messages

    study, _, version = context.partition_key.rpartition("@")
    with ledger.open() as opened:
        subject = subject_named(opened, study)
        found = findings_of(opened, subject, int(version))
        if FINDINGS in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=FINDINGS, metadata=_shown(of_findings(found)))
        if PAGE in context.selected_asset_keys:
            path = write_page_of(opened, subject, findings=found, alerts=reported(context.instance)).path
            # A path and no link: a browser opens no file from a page that came by HTTP.
            size = path.stat().st_size
            yield dg.MaterializeResult(
                asset_key=PAGE, metadata={"page": dg.MetadataValue.path(path), "bytes": size}
            )


@dg.asset(
    key=SCORECARD,
    deps=[FINDINGS],
    group_name=GROUP,
    owners=[OWNER],
    description="All studies at a glance: how many findings of which verdict, by study and model.",
    metadata=code_and_guide(of_scorecard, "studies.md"),
)
def scorecard_asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    found = {
        study: findings
        for study in context.instance.get_dynamic_partitions(STUDIES)
        if (findings := _newest_findings(context.instance, study)) is not None
    }
    return dg.MaterializeResult(metadata=_shown(of_scorecard(found)))


def _newest_findings(instance: dg.DagsterInstance, study: str) -> Sequence[Mapping[str, Any]] | None:
    wanted = dg.AssetRecordsFilter(asset_key=FINDINGS, asset_partitions=[study])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        if record.asset_materialization is not None:
            kept: Any = record.asset_materialization.metadata["findings"].value
            return list(kept)
    return None


def _shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Text as markdown, lists as JSON, numbers as they are, so that Dagster plots them."""
    return {
        name: dg.MetadataValue.md(value)
        if isinstance(value, str)
        else dg.MetadataValue.json(value)
        if isinstance(value, list)
        else value
        for name, value in metadata.items()
    }


def findings_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """All that follows the answers."""
    return [comparisons_asset(catalog), findings_and_page, scorecard_asset]


def findings_jobs() -> list[Any]:  # what `dg.define_asset_job` returns has no public type
    """The jobs that the sensor requests runs of, and a person may."""
    return [
        dg.define_asset_job(
            COMPARISONS_JOB,
            selection=dg.AssetSelection.assets(COMPARISONS),
            description="Set the newest answers of chosen models and questions side by side.",
        ),
        dg.define_asset_job(
            FINDINGS_JOB,
            selection=dg.AssetSelection.assets(FINDINGS, PAGE, SCORECARD),
            description="Evaluate the claims of a version of a study, write its page, count all findings.",
        ),
    ]
