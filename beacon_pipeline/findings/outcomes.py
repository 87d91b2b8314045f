"""From answers to numbers: what an answer counts as, by which label, and what is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd

JUDGED = ("refusal", "evasive", "complete")
PEOPLE = "people"
_BY_FACTS = {"substantive": "complete", "refusal": "refusal", "empty": "empty"}
_CENSORED_ENDS = ("content_filter",)


def sampled(frame: pd.DataFrame) -> pd.DataFrame:
    """The answers of the sampling stream, with ``unit``: the block of a job, asked close in time."""
    rows = frame.loc[~frame["probe"].to_numpy(dtype=bool)].copy()
    rows["unit"] = unit_of(rows)
    return rows


def unit_of(frame: pd.DataFrame) -> pd.Series:
    """The block each answer belongs to, alone in the whole study: a number over (job, block)."""
    return frame.groupby(["job", "block"], sort=True, dropna=False).ngroup()


def known(frame: pd.DataFrame) -> pd.Series:
    """Which answers are whole: neither missing (failed, cancelled, …) nor censored (cut off, filtered)."""
    return (
        (frame["status"] == "completed")
        & frame["usable"].astype(bool)
        & (frame["kind"] != "unfinished").fillna(True)
        & ~frame["finish_reason"].isin(_CENSORED_ENDS)
    ).astype(bool)


def with_labels(frame: pd.DataFrame, labels: pd.DataFrame | None, labellers: tuple[str, ...]) -> pd.DataFrame:
    """The frame with ``predicted`` (a label by the first of ``labellers`` that has one), ``people``, ``chance``.

    ``labels``: execution, kind, method, chance, at; of several by one method the newest counts. Without
    labels on record, the kind that the ledger found by rules stands.
    """
    found = frame.copy()
    by_rules = found["kind"].map(_BY_FACTS)
    if "label" in found:
        machine = found["label"].where(found["label_method"].notna() & (found["label_method"] != PEOPLE))
        by_rules = machine.fillna(by_rules)
    found["predicted"] = by_rules.astype(object)
    found["people"] = pd.Series(None, index=found.index, dtype=object)
    found["chance"] = np.nan
    if labels is None or labels.empty:
        return found
    newest = labels.sort_values("at", kind="stable").drop_duplicates(["execution", "method"], keep="last")
    for method in reversed([name for name in labellers if name != PEOPLE]):
        one = newest[newest["method"] == method].set_index("execution")["kind"]
        found["predicted"] = found["execution"].map(one).fillna(found["predicted"])
    people = newest[newest["method"] == PEOPLE].set_index("execution")
    found["people"] = found["execution"].map(people["kind"])
    found["chance"] = found["execution"].map(people["chance"]).astype(float)
    # What is empty is empty, whoever looks.
    found.loc[found["kind"] == "empty", "predicted"] = "empty"
    return found


def values(frame: pd.DataFrame, outcome: str, column: str = "predicted") -> pd.Series:
    """1 where the answer is of this outcome, 0 where it is not, missing where it is lost or unlabelled."""
    labels = frame["kind"] if outcome == "empty" else frame[column]
    hit = (labels == outcome).fillna(False).astype(float)
    return hit.where(known(frame) & labels.notna().to_numpy())
