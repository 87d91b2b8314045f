"""The commands of README and guides are run: `beacon` ones in `test_guides`, others by CI or another test."""

import re
from pathlib import Path

import pytest

from tests.beacon_pipeline.instances import ROOT

# In the order in which their commands are run.
GUIDES = [
    "asking",
    "looking",
    "page",
    "export",
    "labels",
    "studies",
    "healing",
    "alerts",
    "catalog",
    "data-tests",
    "modal",
    "endpoints",
    "production",
]
DOCUMENTS = [ROOT / "README.md", *(ROOT / f"docs/{name}.md" for name in GUIDES), ROOT / "CONTRIBUTING.md"]
SETTING_UP = {
    ". .venv/bin/activate",
    "export DAGSTER_HOME=$PWD/.beacon",
    "export BEACON_CATALOG=$PWD/my-catalog",
}
RUN_ELSEWHERE = {
    "make run": ".ci/run",
    "make check": ".ci/run",
    "make test": ".ci/run",
    "make setup": "Makefile",  # every other target begins with it
    "make format": "Makefile",
    "make test-vllm": "Makefile",  # by hand: an environment of its own, of some gigabytes
    "make test-long": "Makefile",  # by hand: minutes of real daemons
    "make mutation": "Makefile",  # by hand: minutes of each module's own tests
    "make chaos": "Makefile",  # its small form is in `make test-long`
    "make compare-dbt": "Makefile",  # its verdicts are recorded, and held in test_as_dbt_said.py
    "make incident": "Makefile",  # is tests/incident.py, which test_incident.py runs
    "make study": "Makefile",  # is examples/study_demo.py, which a long test runs
    "make dev": "Makefile",  # is `beacon dev`, which test_ui.py drives
    "make bench": "Makefile",  # benchmarks are run by hand; their tables are committed
    "make bench-data-tests": "Makefile",
}


def commands() -> list[str]:
    """The commands of all documents, in order, without their comments."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        found += re.findall(r"^    (make [\w-]+)", text, re.MULTILINE)
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            found += [line.split("#")[0].strip() for line in block.splitlines()]
    return [line for line in found if line]


def test_the_other_commands_are_run_by_ci() -> None:
    others = {line for line in commands() if not line.startswith("beacon ")}
    assert others - SETTING_UP == set(RUN_ELSEWHERE)
    for command, place in RUN_ELSEWHERE.items():
        target = command.removeprefix("make ")
        text = (ROOT / place).read_text(encoding="utf-8")
        assert command in text if place == ".ci/run" else re.search(rf"^{target}: ", text, re.MULTILINE)


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "docs" / "DESIGN.md"], ids=lambda path: path.stem)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8"))
    assert links
    for path, section in links:
        target = document.parent / path if path else document
        assert target.exists(), path
        if section:
            assert section in sections(target), f"{path}#{section}"


def sections(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.casefold()).replace(" ", "-") for heading in headings}


def test_the_readme_links_every_guide_and_fits_one_and_a_half_screens() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert [name for name in GUIDES if f"docs/{name}.md" not in text] == []
