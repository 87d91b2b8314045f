"""Executions on a model of this machine, shaped as Qwen's: asked, recorded, and what cannot be asked is
given up at once."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from beacon_pipeline.catalog import SHIPPED as CATALOGS
from beacon_pipeline.catalog import Catalog, load_catalog
from beacon_pipeline.execution.providers import Providers
from beacon_pipeline.execution.run import Materializer
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Execution
from beacon_pipeline.ledger.status import Status
from inference.contract import FailureCode, text_digest
from inference.local.provider import LocalProvider
from inference.model_files import folder_revision
from tests.beacon_pipeline.asking import a_job
from tests.inference.families import FAMILIES, write_model

QWEN = next(family for family in FAMILIES if family.name == "qwen2.5")
TOUCHY = "{% if 'Hong Kong' in messages[-1].content %}{{ raise_exception('not this') }}{% endif %}"


def a_catalog(folder: Path) -> Catalog:
    """The demo's questions and regions, for one model whose template refuses one of them."""
    shutil.copytree(CATALOGS / "demo", folder)
    weights = write_model(replace(QWEN, template=TOUCHY + QWEN.template), folder / "qwen")
    model = {
        "id": "qwen",
        "name": "Qwen-shaped",
        "provider": "local",
        "folder": "qwen",
        "revision": folder_revision(weights),
        "dtype": "float32",
        "context_tokens": 512,
        "max_new_tokens": 4,
    }
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": [model]}))
    return load_catalog(str(folder))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_qwen_answers_and_a_template_that_raises_costs_one_attempt(
    ledger: Ledger, tmp_path: Path
) -> None:
    catalog = a_catalog(tmp_path / "catalog")
    cells = catalog.cells()
    job = a_job(ledger, cells)
    providers = Providers(catalog, {"local": lambda _: LocalProvider(tmp_path / "calls")})
    reported: list[Execution] = []
    try:
        await Materializer(ledger, catalog, providers, actor="test").materialize(
            job.id, cells, reported.extend
        )
    finally:
        await providers.close()
    assert len(reported) == 24
    executions = ledger.executions.of_job(job.id)
    refused = [e for e in executions if e.question == "hongkong_2019"]
    assert {(e.status, e.failure_code, len(e.attempts)) for e in refused} == {
        (Status.FAILED, FailureCode.GENERATION_ERROR, 1)
    }
    assert {e.failure_message for e in refused} == {"the chat template raised: not this"}
    answered = [e for e in executions if e.question != "hongkong_2019"]
    assert {e.status for e in answered} == {Status.COMPLETED}
    for execution in answered:
        assert execution.rendered_prompt is not None
        assert execution.provenance is not None
        assert execution.provenance.rendered_prompt_sha256 == text_digest(execution.rendered_prompt)
        assert execution.prompt in execution.rendered_prompt
        assert execution.parameters is not None
        assert execution.parameters["prompt_date"] == "2026-01-01"
