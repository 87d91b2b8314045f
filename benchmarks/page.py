"""How large the page of 30,000 answers is, when it is ready, and how fast its filters are.

`python -m benchmarks.page` writes `page.md`. Three regions, 20 models, 500 questions, 27 MB of text on
SQLite; headless Chromium on this machine. Times of the browser are medians of five, until the next frame is
drawn. The answers to one question are made of the same 40 sentences, each changed by a word: alike, and
never the same. Words drawn one by one, which no model writes, made a file of 14.5 MB.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from selenium.webdriver.support.ui import WebDriverWait

from beacon_pipeline.findings.page import page_of, write_page
from beacon_pipeline.findings.subject import Subject
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Cell
from benchmarks.report import keep, machine
from tests.beacon_pipeline.findings.asked import an_answered_job
from tests.browser import Page, open_page

REGIONS, MODELS, QUESTIONS = ("us", "eu", "apac"), 20, 500
SENTENCES, WORDS, SENTENCES_OF_AN_ANSWER = 40, 14, 10
VOCABULARY = Path(__file__).parents[1] / "docs"
TABLE = Path(__file__).with_suffix(".md")

CHOOSE = (
    "const s = document.getElementById('filter-{0}'); s.value = '{1}'; s.dispatchEvent(new Event('change'));"
)
TYPE = (
    "const s = document.getElementById('filter-text'); s.value = '{0}'; s.dispatchEvent(new Event('input'));"
)
FILTERS = {
    "one region": (CHOOSE.format("region", "eu"), CHOOSE.format("region", "")),
    "one model": (CHOOSE.format("model", "model-7"), CHOOSE.format("model", "")),
    "only different": ("document.getElementById('only-different').click();",) * 2,
    "only refusals": ("document.getElementById('only-refusals').click();",) * 2,
    "search in answers (80 ms of it: waiting for the next letter)": (
        TYPE.format("ledger of the model"),
        TYPE.format(""),
    ),
}
TIMED = """
const done = arguments[arguments.length - 1], begun = performance.now();
const look = () => (Number(document.documentElement.dataset.filtered) > begun
  ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun))) : setTimeout(look, 1));
%s look();
"""


def answers() -> dict[Cell, str]:
    """Texts of words as frequent as in this project's documents; a tenth are alike in all regions."""
    words = " ".join(path.read_text() for path in sorted(VOCABULARY.glob("*.md"))).split()
    chance = random.Random(13)

    def text(sentences: list[list[str]]) -> str:
        chosen = [list(one) for one in chance.sample(sentences, SENTENCES_OF_AN_ANSWER)]
        for sentence in chosen:
            sentence[chance.randrange(WORDS)] = chance.choice(words)
        return ". ".join(map(" ".join, chosen))

    found = {}
    for question in range(QUESTIONS):
        sentences = [chance.choices(words, k=WORDS) for _ in range(SENTENCES)]
        for model in range(MODELS):
            alike = text(sentences) if chance.random() < 0.1 else None
            for region in REGIONS:
                refused = "I'm sorry, but no. " if chance.random() < 0.2 else ""
                answer = refused + (alike or text(sentences))
                found[Cell(region, f"model-{model}", f"question-{question}")] = answer
    return found


def seconds_of_filter(page: Page, change: str) -> float:
    return float(page.driver.execute_async_script(TIMED % change)) / 1000


def ready_seconds(page: Page, path: Path) -> float:
    page.open("about:blank")
    page.open(path.as_uri())
    ready = "return document.documentElement.dataset.ready"
    return float(WebDriverWait(page.driver, 60).until(lambda driver: driver.execute_script(ready))) / 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = answers()
        characters = sum(map(len, texts.values()))
        with closing(Ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
            ledger.migrate()
            job = an_answered_job(ledger, texts, "thirty-thousand")
            begun = time.perf_counter()
            write_page(folder / "page.html", page_of(ledger, Subject((job,))))
            written = time.perf_counter() - begun
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows = [
            ("answers", f"{len(texts):,}"),
            ("their text", f"{characters / 1e6:.1f} MB"),
            ("written in", f"{written:.1f} s"),
            ("memory of the writing process, with the texts made for it", f"{memory:.0f} MB"),
            ("file", f"{(folder / 'page.html').stat().st_size / 1e6:.2f} MB"),
        ]
        with open_page(folder) as page:
            ready = median(ready_seconds(page, folder / "page.html") for _ in range(5))
            rows.append(("ready, from the start of navigation", f"{ready:.2f} s"))
            heap = page.driver.execute_script("return performance.memory.usedJSHeapSize") / 1e6
            rows.append(("memory of its script", f"{heap:.0f} MB"))
            for what, (change, back) in FILTERS.items():
                times = []
                for _ in range(5):
                    times.append(seconds_of_filter(page, change))
                    seconds_of_filter(page, back)
                rows.append((f"filter: {what}", f"{1000 * median(times):.0f} ms"))
    table = "\n".join(f"| {what} | {measured} |" for what, measured in rows)
    keep(TABLE, f"{machine()}\n\n| | |\n|---|---|\n{table}")


if __name__ == "__main__":
    main()
