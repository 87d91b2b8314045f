"""How large the page of 30,000 answers is, when it is ready, and how fast its filters are.

`python -m benchmarks.page` writes `page.md`. Three regions, 20 models, 500 questions, 28 MB of text on
SQLite; headless Chromium on this machine. Times of the browser are medians of five, until the next frame is
drawn. Two kinds of texts. Alike: the answers to one question are made of the same 40 sentences, each changed
by a word, and no two are the same. Unlike: words drawn one by one, which no model writes, so that two texts
have nothing in common but words.
"""

from __future__ import annotations

import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
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
SENTENCES, WORDS, SENTENCES_OF_AN_ANSWER = 40, 14, 11
VOCABULARY = Path(__file__).parents[1] / "docs"
TABLE = Path(__file__).with_suffix(".md")
KINDS = {"alike": False, "unlike": True}

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


def answers(*, unlike: bool = False) -> dict[Cell, str]:
    """Texts of words as frequent as in this project's documents; a tenth are the same in all regions."""
    words = " ".join(path.read_text() for path in sorted(VOCABULARY.glob("*.md"))).split()
    chance = random.Random(13)

    def text(sentences: list[list[str]]) -> str:
        if unlike:
            return " ".join(chance.choices(words, k=SENTENCES_OF_AN_ANSWER * WORDS))
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
    columns = {name: dict(measured(answers(unlike=unlike))) for name, unlike in KINDS.items()}
    table = "\n".join(
        f"| {what} | {' | '.join(column[what] for column in columns.values())} |"
        for what in next(iter(columns.values()))
    )
    head = f"| texts | {' | '.join(columns)} |\n|---|---|---|"
    keep(TABLE, f"{machine()}; load {os.getloadavg()[0]:.0f}\n\n{head}\n{table}")


def measured(texts: dict[Cell, str]) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield "answers", f"{len(texts):,}"
        yield "their text", f"{sum(map(len, texts.values())) / 1e6:.1f} MB"
        with closing(Ledger(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
            ledger.migrate()
            subject = Subject((an_answered_job(ledger, texts, "thirty-thousand"),))
            begun = time.process_time()
            write_page(folder / "page.html", page_of(ledger, subject).html)
            yield "written with", f"{time.process_time() - begun:.1f} s of CPU"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield "memory of the writing process, with the texts made for it", f"{memory:.0f} MB"
        yield "file", f"{(folder / 'page.html').stat().st_size / 1e6:.2f} MB"
        with open_page(folder) as page:
            ready = median(ready_seconds(page, folder / "page.html") for _ in range(5))
            yield "ready, from the start of navigation", f"{ready:.2f} s"
            for what, (change, back) in FILTERS.items():
                times = []
                for _ in range(5):
                    times.append(seconds_of_filter(page, change))
                    seconds_of_filter(page, back)
                yield f"filter: {what}", f"{1000 * median(times):.0f} ms"
            heap = page.driver.execute_script("return performance.memory.usedJSHeapSize") / 1e6
            yield "memory of its script, all searched", f"{heap:.0f} MB"


if __name__ == "__main__":
    main()
