"""Which answers a version of a study is judged by: its own, and as exploration those of older versions."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from beacon_pipeline.catalog.study import Study
from beacon_pipeline.ledger.records import REGIONAL_ARM

UNDER_WAY = ("pending", "dispatched")


def of_ended_looks(frame: pd.DataFrame) -> pd.DataFrame:
    """The answers of jobs in which nothing is under way: to judge while answers come in is to peek."""
    open_jobs = frame.loc[frame["status"].isin(UNDER_WAY), "job"].unique()
    return frame[~frame["job"].isin(open_jobs)]


def own_answers(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """The answers that were asked for this version; all, where none was asked for a study."""
    if frame["study"].isna().all():
        return frame
    return frame[(frame["study"] == study.id) & (frame["version"] == study.version)]


def older_answers(study: Study, frame: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Each older version with those of its answers that were asked as this version asks, newest first.

    The same question, word for word, under the system prompt that the arm has now: what was asked in other
    words is of another claim.
    """
    older = frame[(frame["study"] == study.id) & (frame["version"] < study.version).fillna(False)]
    same = older[_asked_alike(study, older)]
    for version in sorted(same["version"].unique(), reverse=True):
        yield int(version), same[same["version"] == version]


def _asked_alike(study: Study, frame: pd.DataFrame) -> pd.Series:
    question = frame["question"].map(study.asked.questions)
    prompt = frame["arm"].map(study.prompts)
    prompt = prompt.where(frame["arm"] != REGIONAL_ARM, frame["region"].map(study.asked.system_prompts))
    return ~_differ(frame["prompt"], question) & ~_differ(frame["system_prompt"], prompt)


def _differ(one: pd.Series, other: pd.Series) -> pd.Series:
    """Where both are known and not the same."""
    return one.notna() & other.notna() & (one.astype(object) != other.astype(object))
