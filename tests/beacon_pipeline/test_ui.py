"""The Dagster UI as a person uses it, in a real browser: launch one region, see it go green, read a check."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expect
from selenium.webdriver.support.ui import WebDriverWait
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.beacon_pipeline.instances import BEACON, environment, report

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="no browser here: `apt-get install chromium chromium-driver` brings one",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@retry(retry=retry_if_exception_type(httpx.TransportError), stop=stop_after_delay(60), wait=wait_fixed(0.3))
def wait_until_served(url: str) -> None:
    httpx.get(f"{url}/server_info").raise_for_status()


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp("ui"))


@pytest.fixture(scope="module")
def ui(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the UI that `beacon dev` serves."""
    port = free_port()
    log = tmp_path_factory.mktemp("dev") / "dev.log"
    with log.open("wb") as output:
        served = subprocess.Popen([BEACON, "dev", "--port", str(port)], env=env, stdout=output, stderr=output)
        try:
            wait_until_served(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            served.terminate()
            served.wait(60)


class Page:
    """A browser tab, driven by what a person reads on it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._wait = WebDriverWait(driver, PATIENCE_SECONDS)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def click(self, text: str, nth: int = 0) -> None:
        """Click the nth thing whose own text begins with this, as soon as it can be clicked."""

        def clicked(driver: webdriver.Chrome) -> bool:
            found = driver.find_elements(By.XPATH, f"//*[starts-with(normalize-space(text()), '{text}')]")
            [element for element in found if element.is_displayed() and element.is_enabled()][nth].click()
            return True

        passing = (IndexError, ElementClickInterceptedException, StaleElementReferenceException)
        WebDriverWait(self.driver, PATIENCE_SECONDS, ignored_exceptions=passing).until(clicked)

    def type(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def wait_for(self, text: str) -> WebElement:
        path = f"//*[contains(normalize-space(.), '{text}')]"
        return self._wait.until(expect.visibility_of_element_located((By.XPATH, path)))

    def reload_until(self, text: str) -> None:
        """Parts of the UI show what was there when the page was opened."""

        def shown(driver: webdriver.Chrome) -> bool:
            if text in self.text:
                return True
            driver.refresh()
            return False

        WebDriverWait(self.driver, PATIENCE_SECONDS, poll_frequency=3).until(shown)

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(CHROMEDRIVER)))
    try:
        yield Page(driver)
    finally:
        driver.save_screenshot(str(tmp_path / "last.png"))
        driver.quit()


def test_launch_one_region_see_it_green_and_read_a_check(ui: str, env: dict[str, str], page: Page) -> None:
    page.open(f"{ui}/assets/models")
    page.reload_until("catalog_digest")
    page.open(f"{ui}/assets/inference")
    page.click("Materialize")
    page.click("Select a partition")
    page.type("eu:")
    page.wait_for("Select all (3)")
    page.click("Select all")
    page.type(Keys.ESCAPE)
    page.click("All", nth=1)
    page.wait_for("24 partitions")
    page.click("Launch backfill")

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
