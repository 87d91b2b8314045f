"""The page in a real browser: by keyboard alone, for everyone, and deaf to what models write."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axe_selenium_python import Axe
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from beacon_pipeline.findings.page import page_of, write_page
from beacon_pipeline.findings.page.words import Beside
from beacon_pipeline.findings.subject import Subject, subject_named
from beacon_pipeline.labels.sheets import read
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell
from beacon_pipeline.monitoring.alerts.past import AlertSpan
from tests.beacon_pipeline.findings.asked import an_answered_job, an_answered_study
from tests.beacon_pipeline.findings.hostile import corpus
from tests.beacon_pipeline.findings.simulated import a_claim, a_study
from tests.browser import Page, listening, needs_browser, open_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[str, list[Any]]]:
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, outside: tuple[str, list[Any]]) -> Iterator[Page]:
    """Two jobs beside each other, with a hostile answer to every question of the last region."""
    folder = tmp_path_factory.mktemp("page")
    texts = corpus(outside[0])
    plain = {Cell(region, "m", name): "Paris is it." for region in ("eu", "us") for name in texts}
    first = plain | {Cell("eu", "m", "bidi"): "I'm sorry, no.", Cell("us", "m", "at"): "Paris was it."}
    second = plain | {Cell("us", "m", name): text for name, text in texts.items()}
    with closing(Ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
        ledger.migrate()
        jobs = [an_answered_job(ledger, first, "old"), an_answered_job(ledger, second, "new")]
        write_page(
            folder / "page.html",
            page_of(ledger, Subject((jobs[1],)), beside=Beside(Subject((jobs[0],)))).html,
        )
    with open_page(folder) as page:
        page.driver.execute_cdp_cmd(
            "Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
        )
        page.open((folder / "page.html").as_uri())
        until(page, "return document.documentElement.dataset.ready")
        yield page


def until(page: Page, script: str) -> Any:
    return WebDriverWait(page.driver, 30).until(lambda driver: driver.execute_script(script))


def focused(page: Page) -> str:
    return str(
        page.driver.execute_script("return document.activeElement.id || document.activeElement.textContent")
    )


def counted(page: Page, text: str) -> None:
    until(page, f"return document.getElementById('count').textContent === '{text}'")


def test_everything_is_done_by_keyboard(shown: Page, tmp_path_factory: pytest.TempPathFactory) -> None:
    page, size = shown, len(corpus(""))
    counted(page, f"{size} of {size} rows")
    page.type("/", "was it")
    counted(page, f"1 of {size} rows")
    page.type(Keys.ENTER)
    assert focused(page) == "at", "the first row that was found"
    page.driver.execute_script("document.getElementById('filter-text').focus()")
    page.type(Keys.ESCAPE)  # clears a search field
    counted(page, f"{size} of {size} rows")
    for box, left in (("only-refusals", 1), ("only-different", size), ("only-changed", size)):
        page.driver.execute_script(f"document.getElementById('{box}').focus()")
        page.type(Keys.SPACE)
        counted(page, f"{left} of {size} rows")
        if box == "only-refusals":
            table = page.driver.find_element(By.ID, "matrix").text
            assert "filtered out" in table
            assert "not asked" not in table, "all were asked"
        page.type(Keys.SPACE)
    page.driver.execute_script("document.querySelector('button.open').focus()")
    first = focused(page)
    page.type(Keys.ARROW_DOWN)
    assert focused(page) != first
    page.type(Keys.ENTER)
    until(page, "return document.getElementById('cell').open && location.hash.startsWith('#cell=')")
    before = page.driver.find_element(By.ID, "cell-title").text
    page.type(Keys.ARROW_RIGHT)
    until(page, f"return document.getElementById('cell-title').textContent !== {before!r}")
    page.type(Keys.ARROW_LEFT, "d")
    assert page.driver.find_element(By.ID, "cell-marks").get_attribute("aria-pressed") == "false"
    page.type(Keys.ESCAPE)
    until(page, "return !document.getElementById('cell').open")
    page.type("t", "t")
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"


def test_marks_are_made_blind_kept_and_saved(shown: Page) -> None:
    page = shown
    page.type("l")
    until(page, "return document.getElementById('labelling').open")
    assert "hidden" in page.driver.find_element(By.ID, "label-where").text
    page.type("3", "1", "s")
    assert "name" in page.driver.find_element(By.CSS_SELECTOR, "#labelling [data-says]").text
    page.type("Ada", Keys.ESCAPE)
    until(page, "return !document.getElementById('labelling').open")
    page.type("l", "s")
    folder = Path(page.driver.current_url.removeprefix("file://").partition("#")[0]).parent
    file = folder / "labels-old.csv"
    WebDriverWait(page.driver, 30).until(lambda _: file.is_file())
    given = read(file.read_bytes())  # as `beacon label import` does
    assert sorted((one.kind.value, one.labeller) for one in given) == [
        ("complete", "Ada"),
        ("refusal", "Ada"),
    ]
    page.type(Keys.ESCAPE)
    page.driver.refresh()
    until(page, "return document.documentElement.dataset.ready")
    assert "2 marked" in page.driver.execute_script(
        "return document.getElementById('label-count').textContent"
    )


def test_no_answer_is_obeyed_and_nothing_is_requested(shown: Page, outside: tuple[str, list[Any]]) -> None:
    page, (url, heard) = shown, outside
    for name, text in corpus(url).items():
        page.driver.execute_script("location.hash = arguments[0]", f"#cell=m%7C{name}%7Cregional")
        until(page, f"return document.getElementById('cell-title').textContent.startsWith('{name} ')")
        side = page.driver.find_elements(By.CSS_SELECTOR, "#cell-sides .side")[-1]
        assert not side.find_elements(By.CSS_SELECTOR, "a, img, script, iframe, style, svg, link, object")
        found = page.driver.execute_script("return arguments[0].querySelector('.text').textContent", side)
        assert len(found) <= 60_000
        if text.strip():
            assert "by rules, version not on record" in side.find_element(By.CSS_SELECTOR, ".group-head").text
        if name == "bidi":
            assert "admin\\u{202e}\\u{2066} // dna" in found
        if len(text) > 100_000:
            side.find_element(By.CSS_SELECTOR, "button.more").send_keys(Keys.ENTER)
            whole = page.driver.execute_script("return arguments[0].querySelector('.text').textContent", side)
            assert len(whole) == len(text)
        wide = "const cell = document.getElementById('cell'); return cell.scrollWidth <= cell.clientWidth"
        assert page.driver.execute_script(wide), name
    assert page.driver.execute_script("return window.obeyed") is None
    page.type(Keys.ESCAPE)
    assert heard == []
    assert [line for line in page.driver.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_no_serious_fault_for_people_with_other_needs(shown: Page, width: int, theme: str) -> None:
    page = shown
    device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    page.driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    axe = Axe(page.driver)
    axe.inject()
    assert serious(axe) == []
    page.driver.execute_script("location.hash = '#cell=m%7Cat%7Cregional'")
    until(page, "return document.getElementById('cell').open")
    assert serious(axe) == []
    page.type(Keys.ESCAPE)
    until(page, "return !document.getElementById('cell').open")
    page.type("l")
    until(page, "return document.getElementById('labelling').open")
    assert serious(axe) == []
    page.type(Keys.ESCAPE)
    until(page, "return !document.getElementById('labelling').open")
    wide = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.driver.execute_script(wide)


def serious(axe: Axe) -> list[tuple[str, list[str]]]:
    return [
        (fault["id"], [node["html"][:200] for node in fault["nodes"][:3]])
        for fault in axe.run()["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def test_prompts_that_differ_are_marked_found_and_shown_side_by_side(shown: Page, tmp_path: Path) -> None:
    """Both regions answer alike under each prompt, and one question otherwise under the other prompt."""
    page = shown
    study = a_study(a_claim("prompt"), questions=3, blocks=6)
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        ledger.migrate()
        job = an_answered_study(
            ledger, study, lambda e: "No." if (e.arm, e.question) == ("strict", "q01") else "Yes."
        )
        spans = [AlertSpan("timed_out", job.job_name, "eu:m|q01", job.created_at)]
        write_page(tmp_path / "page.html", page_of(ledger, subject_named(ledger, "s"), alerts=spans).html)
    page.open((tmp_path / "page.html").as_uri())
    until(page, "return document.documentElement.dataset.ready")
    counted(page, "6 of 6 rows")
    for box in ("only-different", "only-prompts"):
        page.driver.execute_script(f"document.getElementById('{box}').focus()")
        page.type(Keys.SPACE)
        counted(page, "2 of 6 rows")
        marks = page.driver.find_elements(By.CSS_SELECTOR, "#matrix td .differs")
        assert [mark.text for mark in marks] == ["≠ prompts"] * 2
        page.type(Keys.SPACE)
    page.driver.execute_script("location.hash = '#cell=m%7Cq01%7Cplain'")
    until(page, "return document.getElementById('cell').open")
    headings = page.driver.find_elements(By.CSS_SELECTOR, "#cell-sides h3")
    assert [heading.text for heading in headings] == ["eu · plain", "eu · strict"]
    page.driver.find_element(By.ID, "cell-across").send_keys("regions")
    until(page, "return document.querySelector('#cell-sides h3').textContent === 'eu'")
    page.driver.execute_script("document.querySelector('#cell-paths summary').focus()")
    page.type(Keys.ENTER)
    until(page, "return document.getElementById('cell-paths').textContent.includes('time limit, since')")
    page.type(Keys.ESCAPE)
