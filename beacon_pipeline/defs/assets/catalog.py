"""The catalog as assets: what is asked, and which models are asked.

They are external assets, which are recorded and not computed. With upstream assets that Dagster
computes, the UI calls every answer "Unsynced" as soon as the catalog gets one more question or is
recorded again, and offers to ask everything anew; each question is a partition of `inference`
already, so a new one shows as missing there.
"""

from collections.abc import Callable, Sequence

import dagster as dg

from beacon_pipeline.catalog import Catalog, Model, Source
from beacon_pipeline.defs.where import code_and_guide
from beacon_pipeline.jobs.dagster_api import CATALOG_JOB
from beacon_pipeline.names import CATALOG_DIGEST, GROUP, MODELS, OWNER, QUESTIONS

ROWS = "entries"  # metadata of the definition and of each record alike


def catalog_assets(catalog: Catalog) -> list[dg.AssetSpec]:
    """The assets ``questions`` and ``models``."""
    return [
        dg.AssetSpec(
            QUESTIONS,
            group_name=GROUP,
            owners=[OWNER],
            kinds={"yaml"},
            description="The questions of the catalog, asked word for word. Recorded whenever they changed "
            "before something is asked.",
            metadata={ROWS: len(catalog.questions)} | code_and_guide(catalog_assets, "catalog.md"),
        ),
        dg.AssetSpec(
            MODELS,
            group_name=GROUP,
            owners=[OWNER],
            kinds={"yaml"},
            description="The models of the catalog, their pinned weights and the regions that serve them. "
            "Recorded whenever they changed before something is asked.",
            metadata={ROWS: len(catalog.models)} | code_and_guide(catalog_assets, "catalog.md"),
        ),
    ]


def catalog_job(catalog: Catalog) -> dg.JobDefinition:
    """The job that records what the catalog holds as materializations of its assets."""

    @dg.op(description="Record the questions and models of the catalog.")
    def record_catalog(context: dg.OpExecutionContext) -> None:
        context.log_event(_record(QUESTIONS, catalog, _questions(catalog)))
        context.log_event(_record(MODELS, catalog, _models(catalog)))

    @dg.job(name=CATALOG_JOB, description="Record what the catalog holds.")
    def record() -> None:
        record_catalog()

    return record


def _questions(catalog: Catalog) -> list[dict[str, str]]:
    return [
        {"id": q.id, "category": q.category.value, "sensitivity": q.sensitivity, "text": q.text}
        for q in catalog.questions
    ]


def _models(catalog: Catalog) -> list[dict[str, str]]:
    return [
        {
            "id": model.id,
            "weights": _each(model, lambda source: source.repository or f"local folder {source.folder}"),
            "revision": _each(model, lambda source: source.revision),
            "dtype": model.dtype,
            "provider": model.provider.value,
            "regions": ", ".join(catalog.regions_of(model)),
        }
        for model in catalog.models
    ]


def _each(model: Model, shown: Callable[[Source], str]) -> str:
    """Of the model, and of the regions that have other weights."""
    return ", ".join(
        f"in {region}: {shown(source)}" if region else shown(source)
        for region, source in model.all_sources().items()
    )


def _record(asset: dg.AssetKey, catalog: Catalog, rows: Sequence[dict[str, str]]) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset,
        metadata={
            "catalog": catalog.name,
            CATALOG_DIGEST: catalog.digest,
            ROWS: len(rows),
            "table": dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows]),
        },
    )
