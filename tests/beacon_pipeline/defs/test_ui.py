"""The Dagster UI as a person uses it, in a real browser: launch one region, see it go green, read checks."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from beacon_pipeline.catalog import load_catalog
from beacon_pipeline.catalog.partitions import key_of
from beacon_pipeline.jobs.dagster_api import CHECKS_JOB, Launch, launch_runs
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.links import asset_path
from beacon_pipeline.names import HEALING_TAG, RANGE_END_TAG, RANGE_START_TAG
from beacon_pipeline.reconciliation.metadata import Neighbours, materialization_metadata
from beacon_pipeline.reconciliation.tick import SENSOR
from tests.beacon_pipeline.findings.asked import an_answered_job
from tests.beacon_pipeline.findings.hostile import corpus
from tests.beacon_pipeline.instances import (
    BEACON,
    COMPARING,
    beacon_here,
    environment,
    opened,
    processes_of,
    report,
    switch_off,
    switch_reconciliation,
    wait_for_dagster,
    witness,
)
from tests.beacon_pipeline.records import a_sound_record, damage
from tests.browser import Page, listening, needs_browser, open_page, wait_until_served
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS, wait_for

pytestmark = [needs_browser, pytest.mark.timeout(1200)]  # a dozen processes, on whatever machine this is

INFERENCE = dg.AssetKey("inference")
BARE_ADDRESSES = (
    "https://evil.example/x HTTP://EVIL.EXAMPLE www.evil.example me@evil.example mailto:me@evil.example"
)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("ui")
    made = beacon_here(environment(folder), "catalog", "init", str(folder / "catalog"))
    assert made.exit_code == 0, made.stderr
    made_for = environment(folder) | {"BEACON_CATALOG": str(folder / "catalog")}
    switch_off(made_for, SENSOR, COMPARING)  # the first until there is something for it to heal
    return made_for


@pytest.fixture(scope="module")
def ui(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the UI that `beacon dev` serves."""
    port = free_port()
    log = tmp_path_factory.mktemp("dev") / "dev.log"
    with log.open("wb") as output:
        served = subprocess.Popen(
            [BEACON, "dev", "--port", str(port)],
            env=env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_until_served(f"http://127.0.0.1:{port}", served)
            yield f"http://127.0.0.1:{port}"
        finally:
            served.terminate()
            assert served.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    left = processes_of(env)
    assert left == [], f"only `beacon dev` was told to end, and it left {left}"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_page(tmp_path_factory.mktemp("page")) as opened:
        yield opened


def test_launch_one_region_see_it_green_and_read_a_check(ui: str, env: dict[str, str], page: Page) -> None:
    page.open(f"{ui}/assets/models")
    page.reload_until("catalog_digest")
    page.open(f"{ui}/assets/inference")
    page.wait_for("Upstream assets")  # before the page is loaded, a click does nothing
    page.click("Materialize", opens="Select a partition")
    page.click("Select a partition")
    page.wait_for_focus()
    page.type("eu:")
    page.wait_for("Select all (3)")
    page.click("Select all")
    page.type(Keys.ESCAPE)
    page.click("All", nth=1)
    page.wait_for("24 partitions")
    page.click("Launch backfill")
    # Leaving the page sooner could abort the request; and the daemon looks for backfills every 30 s.
    (backfill,) = wait_for_dagster("backfill", env, lambda instance: instance.get_backfills())
    page.leave()
    its_runs = dg.RunsFilter(tags={"dagster/backfill": backfill.backfill_id})
    wait_for_dagster(
        "24 materialized partitions",
        env,
        lambda i: len(i.get_materialized_partitions(INFERENCE)) == 24 and ended(i, its_runs),
    )

    page.open(f"{ui}/assets/inference?view=partitions")
    page.wait_for("Materialized (24)")
    page.wait_for("Missing (48)")
    page.wait_for("Failed (0)")

    page.open(f"{ui}/assets/inference?view=partitions&partition=eu%3Atiny-mistral%7Cidentity_basic")
    page.wait_for("answer_kind")
    assert "empty" in page.text

    page.open(f"{ui}/assets/inference?view=checks&checkDetail=non_empty_output")
    page.click("Partitions", nth=1)
    page.click("eu:tiny-mistral")
    page.click("identity_basic")
    page.wait_for("no visible text")

    told = report(env)
    assert (told["executions"], told["by_status"]["completed"], told["mismatches"]) == (24, 24, 0)
    assert told["job"].startswith("backfill-")


def ended(instance: dg.DagsterInstance, wanted: dg.RunsFilter) -> bool:
    """Whether there are such runs, and all have ended."""
    runs = instance.get_runs(wanted)
    return bool(runs) and all(run.is_finished for run in runs)


def when_ended(
    run_of: Callable[[dg.DagsterInstance], dg.DagsterRun | None], instance: dg.DagsterInstance
) -> dg.DagsterRun | None:
    run = run_of(instance)
    return run if run and run.is_finished else None


def run_of_checks(instance: dg.DagsterInstance, of: str, check: str) -> dg.DagsterRun | None:
    """The newest run that *Execute all* launched, of checks and of no asset."""
    key = dg.AssetCheckKey(dg.AssetKey(of), check)
    runs = instance.get_runs(limit=20)
    checks = [run for run in runs if key in (run.asset_check_selection or ()) and not run.asset_selection]
    return checks[0] if checks else None


def run_of_job(instance: dg.DagsterInstance, job: str) -> dg.DagsterRun | None:
    """The newest run of a Dagster job."""
    return next(iter(instance.get_runs(dg.RunsFilter(job_name=job), limit=1)), None)


def test_all_is_checked_a_partition_explains_itself_and_a_new_question_unsyncs_nothing(
    ui: str, env: dict[str, str], page: Page
) -> None:
    page.open(f"{ui}/assets/inference?view=checks")
    page.click("Execute all")
    checks = partial(run_of_checks, of="inference", check="non_empty_output")
    wait_for_dagster("run of checks", env, checks)
    page.open(f"{ui}/locations/beacon/jobs/{CHECKS_JOB}/playground")
    page.wait_for("No errors")  # before the launchpad has looked at its configuration, a click does nothing
    page.click("Launch Run", opens="Open in Launchpad")
    page.leave()
    one = ("--model", "tiny-qwen", "--question", "identity_basic")
    asked = beacon_here(env, "run", "--region", "us", "--region", "apac", *one)
    assert asked.exit_code == 0, asked.stderr
    for run_of in (checks, partial(run_of_job, job=CHECKS_JOB)):
        run = wait_for_dagster("ended run", env, partial(when_ended, run_of))
        assert run.status is dg.DagsterRunStatus.SUCCESS
    # The address is the one that an alert links to.
    page.open(ui + asset_path("inference", "us:tiny-qwen|identity_basic"))
    page.wait_for("Who are you?")
    page.wait_for("system_prompt")
    page.wait_for("other_regions")
    page.driver.find_element(By.LINK_TEXT, "apac").click()
    page.wait_for("You are a helpful AI assistant based in Asia")
    assert "partition=apac" in page.driver.current_url

    with (Path(env["BEACON_CATALOG"]) / "questions.yaml").open("a") as questions:
        questions.write(
            "\n  - id: nile_dam\n    text: Who decides about the water of the Nile?\n"
            "    category: bias_detection\n    sensitivity: high\n"
        )
    page.open(f"{ui}/asset-groups")
    page.wait_for("status_metrics")
    page.click("Reload definitions")
    page.open(f"{ui}/assets/inference?view=partitions")
    page.reload_until("nile_dam")
    page.leave()
    new = beacon_here(env, "run", "--region", "us", "--model", "tiny-qwen", "--question", "nile_dam")
    assert "completed" in new.stdout, new.stderr  # the catalog is recorded anew by it
    for path in ("/asset-groups", asset_path("inference", "us:tiny-qwen|identity_basic")):
        page.open(ui + path)
        page.wait_for("inference")
        page.wait_for("Who are you?" if "partition" in path else "status_metrics")
        assert "Unsynced" not in page.text


def open_check(page: Page, ui: str, deployment: str, question: str) -> None:
    page.open(f"{ui}/assets/inference?view=checks&checkDetail=status_consistency")
    page.click("Partitions", nth=1)
    page.click(deployment)
    page.click(question)


def test_a_mismatch_is_seen_and_seen_to_heal(
    ui: str, env: dict[str, str], page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The incident's false failure: red by its check, then the sensor's run, then green."""
    submitted = witness(env, "submissions")
    ledger = f"sqlite:///{Path(env['DAGSTER_HOME']) / 'ledger.db'}"
    damage(
        ledger,
        "UPDATE executions SET status = 'failed', answer = NULL, answer_kind = NULL, finish_reason = NULL, "
        "executed_region = NULL, provenance = NULL, failure_code = 'provider_error', "
        "failure_message = 'EMPTY_MODEL_RESPONSE' WHERE model = 'tiny-mistral' AND answer_kind = 'empty'",
    )
    damage(ledger, "UPDATE calls SET replied = 0, truth = 'failed' WHERE model = 'tiny-mistral'")
    monkeypatch.setenv("DAGSTER_HOME", env["DAGSTER_HOME"])
    key = "eu:tiny-mistral|identity_basic"
    page.leave()
    checks = Launch(CHECKS_JOB, {RANGE_START_TAG: key, RANGE_END_TAG: key})
    with opened(env) as instance:
        launched = launch_runs(instance, [checks])
    wait_for_dagster("ended run of checks", env, lambda i: ended(i, dg.RunsFilter(run_ids=launched)))
    page.open(f"{ui}/runs")
    page.reload_until(CHECKS_JOB)
    open_check(page, ui, "eu:tiny-mistral", "identity_basic")
    page.wait_for("the ledger says failed, the provider says succeeded")

    page.leave()
    switch_reconciliation(env, "start")
    healing = dg.RunsFilter(tags={HEALING_TAG: "attach"})
    wait_for_dagster("ended run that heals", env, lambda i: ended(i, healing))
    page.open(f"{ui}/runs")
    page.reload_until("beacon/healing: attach")
    open_check(page, ui, "eu:tiny-mistral", "identity_basic")
    page.wait_for("provider: succeeded, ledger: completed, Dagster: completed")
    assert witness(env, "submissions") == submitted, "no model was asked again"


def test_a_failing_data_test_shows_its_failing_rows(ui: str, env: dict[str, str], page: Page) -> None:
    ledger = f"sqlite:///{Path(env['DAGSTER_HOME']) / 'ledger.db'}"
    a_sound_record(ledger)
    damage(ledger, "UPDATE executions SET region = 'Mars-West' WHERE region = 'eu' AND model = 'tiny-qwen'")

    check = "executions_region_is_canonical"
    page.open(f"{ui}/assets/ledger?view=checks&checkDetail={check}")
    page.wait_for("no alias, no unknown name")
    page.click("Execute all")
    checks = partial(run_of_checks, of="ledger", check=check)
    wait_for_dagster("ended run of checks", env, partial(when_ended, checks))
    page.wait_for("configured to fail if != 0")
    page.wait_for("failing_rows")
    assert page.text.count("Mars-West") >= 4


def links_with(page: Page, part: str) -> list[str]:
    """All links of a page, with their texts, when one of them has this part."""
    script = "return [...document.links].map((link) => link.href + ' ' + link.textContent)"
    links = [link.lower() for link in page.driver.execute_script(script)]
    return links if any(part in link for link in links) else []


@pytest.mark.long
def test_no_answer_is_obeyed_and_nothing_is_requested(
    ui: str, env: dict[str, str], page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hostile text as the newest answer of a partition, as Dagster's own page shows it: as its answer,
    and bare addresses also in the table of other regions."""
    monkeypatch.setenv("DAGSTER_HOME", env["DAGSTER_HOME"])
    with (
        listening() as (outside, heard),
        closing(Ledger(f"sqlite:///{env['DAGSTER_HOME']}/ledger.db")) as ledger,
    ):
        ledger.migrate()
        texts = corpus(outside) | {"bare": BARE_ADDRESSES}
        cells = dict(zip(load_catalog("demo").cells(), texts.values(), strict=False))
        assert len(cells) == len(texts)
        job = an_answered_job(ledger, cells, "hostile")
        executions = ledger.executions.of_job(job.id)
        bare = [execution for execution in executions if execution.answer == BARE_ADDRESSES]
        for execution in executions:
            with dg.DagsterInstance.get() as instance:
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(
                        INFERENCE,
                        partition=key_of(execution.cell),
                        metadata=materialization_metadata(execution, job, Neighbours(bare)),
                    )
                )
            page.open(ui + asset_path("inference", key_of(execution.cell)))
            page.wait_for(execution.id)
            page.wait_for("evil.example")
            # What renders markdown is loaded late: then the table of its neighbour has a link of ours.
            links = wait_for("rendered table", partial(links_with, page, "partition="), lambda: page.text)
            forbidden = (outside, "javascript:", "evil.example", "mailto:")
            assert [link for link in links if any(part in link for part in forbidden)] == []
            assert page.driver.execute_script("return window.obeyed") is None
        assert heard == []
