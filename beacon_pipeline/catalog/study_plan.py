"""From a study to the plans of its jobs, and from the record to a study. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from beacon_pipeline.catalog.entries import Catalog
from beacon_pipeline.catalog.plan import Plan, planned
from beacon_pipeline.catalog.study import Study
from beacon_pipeline.ledger.records import StudyRecord
from beacon_pipeline.ledger.status import Evidence

UNREGISTERED = "0" * 64  # the seed of a plan that is only looked at


def seed_of(record: StudyRecord) -> str:
    """The seed that all of a registered study's others are derived from.

    sha256 of a JSON list: a purpose, study, version, hash, and the public value in hexadecimal where one
    was given, as published after the registration; so that no seed can have been chosen.
    """
    public = record.of_kind(Evidence.PUBLIC_VALUE)
    parts: list[Any] = ["beacon study", record.study, record.version, record.hash]
    parts += [public.content.hex()] if public else []
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def study_on_record(record: StudyRecord) -> Study:
    """A study as it was registered, with version, seed, and whether anything from outside vouches for it."""
    registered = "outside" if record.evidence else "self"
    return Study.on_record(record.content, record.version, seed_of(record), registered)


def plan_of(study: Study, catalog: Catalog, look: int) -> Plan:
    """What the job of a look asks. Raises PlanError, for what a model's parameters do not allow too."""
    return planned(
        catalog,
        [catalog.model(model) for model in study.models],
        arms=study.arms,
        named=study.prompts,
        blocks=study.blocks_of(look),
        samples=study.samples,
        greedy_probes=study.probes.greedy,
        shared_probes=study.probes.shared,
        temperature=study.parameters.temperature,
        top_p=study.parameters.top_p,
        max_new_tokens=study.parameters.max_new_tokens,
        seed=study.seed or UNREGISTERED,
        study=study.id,
        version=study.version,
        fresh_start=study.fresh_start,
    )


def look_job_name(study: str, version: int, look: int) -> str:
    """The name of the job of a look: the same for whoever goes on with it."""
    return f"study-{study}-v{version}-look{look}"
