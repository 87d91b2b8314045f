"""The job of a study's look that a schedule asked for."""

from __future__ import annotations

from beacon_pipeline.catalog import Catalog
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.catalog.study_file import read_study
from beacon_pipeline.catalog.study_plan import look_job_name, plan_of, study_on_record
from beacon_pipeline.jobs.job_making import make_job
from beacon_pipeline.ledger import Ledger
from beacon_pipeline.ledger.records import Job


def scheduled_study(ledger: Ledger, catalog: Catalog, file: str) -> Study | None:
    """The study of a file in the catalog's folder, as it is registered; None while it is not.

    Raises StudyError.
    """
    planned = read_study(catalog.folder / file, catalog)
    record = ledger.studies.version(planned.id, planned.hash)
    return None if record is None else study_on_record(record)


def make_look(
    ledger: Ledger, catalog: Catalog, file: str, job_name: str, *, source: str, actor: str
) -> Job | None:
    """The job of the look that this name stands for, whole; None where the study has none of this name.

    Raises StudyError.
    """
    study = scheduled_study(ledger, catalog, file)
    for look in range(1, len(study.looks) + 1) if study else ():
        assert study is not None
        if look_job_name(study.id, study.version, look) == job_name:
            plan = plan_of(study, catalog, look)
            return make_job(ledger, catalog, job_name, study.cells, source=source, actor=actor, plan=plan)
    return None
