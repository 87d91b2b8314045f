"""The catalog as assets: what was asked, and of whom, with a code version that follows the content."""

import hashlib
from collections.abc import Sequence

import dagster as dg

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.entries import Entry
from beacon_pipeline.names import CATALOG_DIGEST, MODELS, OWNER, QUESTIONS

GROUP = "catalog"


def catalog_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """The assets ``questions`` and ``models``."""

    @dg.asset(
        key=QUESTIONS,
        group_name=GROUP,
        owners=[OWNER],
        code_version=_version(catalog.questions),
        kinds={"yaml"},
        description="The questions of the catalog, asked word for word.",
    )
    def questions() -> dg.MaterializeResult[None]:
        rows = [
            {"id": q.id, "category": q.category.value, "sensitivity": q.sensitivity, "text": q.text}
            for q in catalog.questions
        ]
        return _result(catalog, rows)

    @dg.asset(
        key=MODELS,
        group_name=GROUP,
        owners=[OWNER],
        code_version=_version(catalog.models),
        kinds={"yaml"},
        description="The models of the catalog, their pinned weights and the regions that serve them.",
    )
    def models() -> dg.MaterializeResult[None]:
        rows = [
            {
                "id": model.id,
                "weights": model.repository or f"local folder {model.folder}",
                "revision": model.revision,
                "dtype": model.dtype,
                "provider": model.provider.value,
                "regions": ", ".join(catalog.regions_of(model)),
            }
            for model in catalog.models
        ]
        return _result(catalog, rows)

    return [questions, models]


def _result(catalog: Catalog, rows: Sequence[dict[str, str]]) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        metadata={
            "catalog": catalog.name,
            CATALOG_DIGEST: catalog.digest,
            "entries": len(rows),
            "table": dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows]),
        }
    )


def _version(entries: Sequence[Entry]) -> str:
    content = "\n".join(entry.model_dump_json() for entry in entries)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
