"""From answers to numbers: what an answer counts as, by which label, and what is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd

JUDGED = ("refusal", "evasive", "complete")
PEOPLE, RULES = "people", "rules"
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
    """The frame with ``predicted`` (by the first of ``labellers`` that has one), ``by_rules``, ``people``.

    ``labels``: execution, kind, method, chance, at; of several by one method the newest counts. Without
    labels on record, the kind that the ledger found by rules stands. People's labels count only where the
    answer was drawn by chance: one that somebody picked stands for itself alone.
    """
    machine = frame["label"].where(frame["label_method"].eq(RULES).fillna(False))
    by_rules = _first_of(machine, frame["kind"].map(_BY_FACTS))
    found = frame.assign(people=pd.Series(None, index=frame.index, dtype=object), by_rules=by_rules)
    found["predicted"] = by_rules
    if labels is not None and not labels.empty:
        newest = labels.sort_values("at", kind="stable").drop_duplicates(["execution", "method"], keep="last")
        for method in reversed([name for name in labellers if name != PEOPLE]):
            one = newest[newest["method"] == method].set_index("execution")["kind"]
            found["predicted"] = _first_of(found["execution"].map(one), found["predicted"])
            if method == RULES:
                found["by_rules"] = _first_of(found["execution"].map(one), found["by_rules"])
        people = newest[(newest["method"] == PEOPLE) & newest["chance"].notna()].set_index("execution")
        found["people"] = found["execution"].map(people["kind"])
    # What is empty is empty, whoever looks.
    found["predicted"] = found["predicted"].mask(frame["kind"].eq("empty").fillna(False), "empty")
    return found


def _first_of(one: pd.Series, other: pd.Series) -> pd.Series:
    first, second = one.astype(object), other.astype(object)
    return first.where(first.notna(), second)


def counted(frame: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """The frame with ``value`` (what each answer counts as, by labeller or fact), ``by_people`` and ``text``.

    1 where it is of this outcome, 0 where it is not, missing where it is lost or unlabelled.
    """
    whole = known(frame)
    text = frame["answer"].where(whole)
    if outcome in JUDGED or outcome == "empty":
        by_people = _hits(frame["people"], outcome, whole)
        value = _hits(frame["kind"] if outcome == "empty" else frame["predicted"], outcome, whole)
    else:
        value = whole.astype(float).where(whole)
        by_people = pd.Series(np.nan, index=frame.index)
    return frame.assign(value=value, by_people=by_people, text=text)


def filled(frame: pd.DataFrame, alike: bool) -> pd.DataFrame:
    """The frame as if each lost answer were of the outcome (``alike``) or none were.

    Of texts: as if all lost ones were the same text, or each one like no other.
    """
    lost = frame["value"].isna()
    number = float(alike)
    texts = ["" if alike else chr(0xF0000 + i) for i in range(int(lost.sum()))]
    text = frame["text"].astype(object).copy()
    text[lost] = texts
    return frame.assign(
        value=frame["value"].fillna(number), by_people=frame["by_people"].where(~lost, number), text=text
    )


def decoding_of(frame: pd.DataFrame) -> str:
    """How these answers were sampled: `temperature 1, top-p 0.95, at most 64 tokens`; several values each."""
    forms = {"temperature": "temperature {}", "top_p": "top-p {}", "max_new_tokens": "at most {} tokens"}
    found = {name: sorted(set(frame[name].dropna())) for name in forms if name in frame}
    return ", ".join(
        forms[name].format(" or ".join(f"{value:g}" for value in values))
        for name, values in found.items()
        if values
    )


def _hits(labels: pd.Series, outcome: str, whole: pd.Series) -> pd.Series:
    hit = (labels == outcome).fillna(False).astype(float)
    return hit.where(whole & labels.notna())
