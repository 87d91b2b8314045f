"""Every command of the README is run: `beacon` ones in `test_cli`, `make` ones by CI or another test."""

import re

from tests.beacon_pipeline.instances import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_ELSEWHERE = {
    "make run": ".ci/run",
    "make check": ".ci/run",
    "make test": ".ci/run",
    "make test-long": "Makefile",  # by hand: minutes of real daemons
    "make chaos": "Makefile",  # its small form is in `make test`
    "make compare-dbt": "Makefile",  # its verdicts are recorded, and held in test_as_dbt_said.py
    "make incident": "Makefile",  # is tests/incident.py, which test_incident.py runs
    "make dev": "Makefile",  # is `beacon dev`, which test_ui.py drives
    "make bench": "Makefile",  # benchmarks are run by hand; their tables are committed
    "make bench-data-tests": "Makefile",
}


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    indented = re.findall(r"^    (make [\w-]+)", README, re.MULTILINE)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [*indented, *(line for line in lines if line)]


def test_the_other_commands_are_run_by_ci() -> None:
    others = {line for line in commands() if not line.startswith("beacon ")}
    setting_up = {". .venv/bin/activate", "export DAGSTER_HOME=$PWD/.beacon"}
    assert others - setting_up == set(RUN_ELSEWHERE)
    for command, place in RUN_ELSEWHERE.items():
        target = command.removeprefix("make ")
        text = (ROOT / place).read_text(encoding="utf-8")
        assert command in text if place == ".ci/run" else f"\n{target}: setup" in text
