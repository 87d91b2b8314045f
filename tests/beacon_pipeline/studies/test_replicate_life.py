"""A study is exported and asked again of endpoints: what is true comes again, a falsehood does not."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from examples.lying_endpoint import serving
from examples.study_demo import WEIGHTS, make_catalog
from tests.beacon_pipeline.instances import beacon, environment

STUDY: dict[str, Any] = {
    "id": "asked",
    "models": ["tiny-swayed"],
    "regions": ["us", "eu"],
    "categories": ["control", "bias_detection", "cultural"],
    "arms": ["neutral", "as-eu"],
    "samples": 2,
    "looks": [9],
    "parameters": {"temperature": 1.0},
    "fresh_start": False,
    "labellers": ["rules"],
    "assumptions": {"base_rate": 0.3, "call_effect": 0.1},
    "claims": [
        {"id": "true", "contrast": "prompt", "regions": ["us"], "arms": ["as-eu", "neutral"]},
        {"id": "false", "contrast": "deployment", "regions": ["eu", "us"], "arms": ["neutral"]},
    ],
}


def plant_a_difference(database: str) -> None:
    """Let Europe refuse more often than it did: the rows agree with the finding, and both are false."""
    where = "region = 'eu' AND arm = 'neutral' AND sample = 1"
    change = f"UPDATE executions SET answer = 'I''m sorry, but I can''t discuss that topic.' WHERE {where}"
    with closing(sa.create_engine(database).raw_connection()) as connection:
        for statement in (change, "DELETE FROM labels"):
            connection.cursor().execute(statement)
        connection.commit()


def make_served_too(catalog: Path, us: str, eu: str) -> None:
    """The model's entry says where endpoints serve it as well; the catalog still asks it locally."""
    models = catalog / "models.yaml"
    entries = yaml.safe_load(models.read_text())
    served = {"endpoint_model": "tiny-swayed", "region_header": "x-region", "endpoints": {"us": us, "eu": eu}}
    entries["models"] = [{**entries["models"][0], "regions": ["us", "eu"], **served}]
    models.write_text(yaml.safe_dump(entries, sort_keys=False))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_true_finding_is_replicated_and_a_false_one_is_not(tmp_path: Path) -> None:
    make_catalog(tmp_path / "catalog", "http://127.0.0.1:1")  # its endpoint is not asked here
    first, second = (
        environment(tmp_path / name) | {"BEACON_CATALOG": str(tmp_path / "catalog")}
        for name in ("one", "two")
    )
    file, exported = tmp_path / "study.yaml", str(tmp_path / "export.zip")
    file.write_text(yaml.safe_dump(STUDY))
    done = beacon(first, "study", "run", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    plant_a_difference(f"sqlite:///{first['DAGSTER_HOME']}/ledger.db")
    assert beacon(first, "label", "rules").returncode == 0
    stands = json.loads(beacon(first, "study", "status", str(file), "--json").stdout)
    assert {one["claim"]: one["verdict"] for one in stands["findings"]} == {
        "true": "differs",
        "false": "differs",
    }
    assert beacon(first, "export", "--to", exported).returncode == 0
    assert beacon(second, "verify", exported).returncode == 0, "nothing but asking again can tell"

    place = WEIGHTS / "tiny-swayed"
    with serving({"us": place, "eu": place}, model="tiny-swayed") as url:
        make_served_too(tmp_path / "catalog", url("us"), url("eu"))
        again = beacon(second, "replicate", "--provider", "http", exported)
    assert again.returncode == 1, again.stdout + again.stderr
    said = {line.split(":")[0]: line.split(": ")[1].split(".")[0] for line in again.stdout.splitlines()[1:]}
    assert said["true"] == "replicated", again.stdout + again.stderr
    assert said["false"] in ("contradicted", "smaller than claimed", "inconclusive")
    with closing(sa.create_engine(f"sqlite:///{second['DAGSTER_HOME']}/ledger.db").raw_connection()) as asked:
        cursor = asked.cursor()
        cursor.execute("SELECT DISTINCT provider FROM calls")
        assert cursor.fetchall() == [("http",)]
