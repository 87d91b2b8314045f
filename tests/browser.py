"""A real browser, driven by what a person reads."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expect
from selenium.webdriver.support.ui import WebDriverWait
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE_SECONDS = 60

needs_browser = pytest.mark.skipif(
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
        """For what the page does not bring up to date by itself."""

        def shown(driver: webdriver.Chrome) -> bool:
            if text in self.text:
                return True
            driver.refresh()
            return False

        ignored = (StaleElementReferenceException,)
        WebDriverWait(self.driver, PATIENCE_SECONDS, poll_frequency=3, ignored_exceptions=ignored).until(
            shown
        )

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text


@contextmanager
def open_page(folder: Path) -> Iterator[Page]:
    """A headless browser; what it showed last is left in the folder as ``last.png``."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,1000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(CHROMEDRIVER)))
    try:
        yield Page(driver)
    finally:
        driver.save_screenshot(str(folder / "last.png"))
        driver.quit()
