"""A real browser, driven by what a person reads."""

import shutil
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.waiting import PATIENCE_SECONDS, wait_for

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# A click on a page that is not ready does nothing; long enough not to click twice in vain.
CLICK_AGAIN_SECONDS = 20.0
REFRESH_SECONDS = 4.0

Seen = TypeVar("Seen")
Errors = tuple[type[Exception], ...]
PASSING: Errors = (StaleElementReferenceException,)  # the page was drawn anew

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="no browser here: `apt-get install chromium chromium-driver` brings one",
)


def wait_until_served(url: str, by: subprocess.Popen[bytes]) -> None:
    """Wait for Dagster's web server, that a process starts."""

    def served() -> bool:
        assert by.poll() is None, f"it ended by itself: {by.returncode}"
        try:
            return httpx.get(f"{url}/server_info", trust_env=False).is_success
        except httpx.TransportError:
            return False

    wait_for(f"web server at {url}", served, every=0.3)


class Page:
    """A browser tab, driven by what a person reads on it; each failure says what it showed."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def click(self, text: str, nth: int = 0, *, opens: str | None = None) -> None:
        """Click the nth thing whose own text begins with this, as soon as it can be clicked.

        ``opens``: what is to be read after it, and clicked for until it is.
        """

        def clicked(driver: webdriver.Chrome) -> bool:
            found = driver.find_elements(By.XPATH, f"//*[starts-with(normalize-space(text()), '{text}')]")
            [element for element in found if element.is_displayed() and element.is_enabled()][nth].click()
            return True

        def opened(driver: webdriver.Chrome) -> bool:
            clicked(driver)
            return self._comes(lambda _: opens in self.text, CLICK_AGAIN_SECONDS)

        passing = (*PASSING, IndexError, ElementClickInterceptedException)
        self._until(f"{text!r} to click", opened if opens else clicked, passing)

    def type(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def wait_for(self, text: str) -> None:
        self._until(repr(text), lambda _: text in self.text)

    def leave(self) -> None:
        """Show nothing while something else goes on: Dagster's pages ask its server all the time."""
        self.open("about:blank")

    def wait_for_focus(self, tag: str = "input") -> None:
        """Wait until what is typed goes into a field."""
        self._until(f"focused {tag}", lambda driver: driver.switch_to.active_element.tag_name == tag)

    def reload_until(self, text: str) -> None:
        """For what the page does not bring up to date by itself; it has longer each time to show it."""
        patience = REFRESH_SECONDS

        def shown(driver: webdriver.Chrome) -> bool:
            nonlocal patience
            if self._comes(lambda _: text in self.text, patience):
                return True
            patience *= 1.5
            driver.refresh()
            return False

        self._until(repr(text), shown)

    @property
    def text(self) -> str:
        """What can be read on it, each run of white space as one space."""
        # The driver's own way looks at the style of every element, from outside of the browser.
        return " ".join(self.driver.execute_script("return document.body?.innerText ?? ''").split())

    def _until(
        self,
        what: str,
        seen: Callable[[webdriver.Chrome], Seen],
        passing: Errors = PASSING,
    ) -> Seen:
        try:
            return WebDriverWait(self.driver, PATIENCE_SECONDS, ignored_exceptions=passing).until(seen)
        except TimeoutException:
            shows = f"{self.driver.current_url} shows:\n{self.text[-3000:]}"
            raise AssertionError(f"no {what} within {PATIENCE_SECONDS:.0f} seconds; {shows}") from None

    def _comes(self, seen: Callable[[webdriver.Chrome], bool], seconds: float) -> bool:
        try:
            return WebDriverWait(self.driver, seconds, ignored_exceptions=PASSING).until(seen)
        except TimeoutException:
            return False


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that must hear nothing, and what it heard."""
    heard: list[bytes] = []

    class Listening(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(1000))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listening) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


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
