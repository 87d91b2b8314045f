"""From answers to numbers: what an answer counts as, by which label, and what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from beacon_pipeline.catalog.study import Labeller
from beacon_pipeline.findings.finding import decoding
from beacon_pipeline.labels.naming import versions_of, with_versions

JUDGED = ("refusal", "evasive", "complete")
PEOPLE: Final = "people"
RULES: Final = "rules"
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


def with_labels(
    frame: pd.DataFrame, labels: pd.DataFrame | None, labellers: Sequence[Labeller]
) -> pd.DataFrame:
    """The frame with ``predicted`` (by the labeller that counts), ``by_version`` (of what predicted it),
    ``by_rules``, and ``people``.

    ``labels`` are as `frames.labels` gives them; of several by one labeller the newest counts. Where rules
    count and no version of them is pinned, the kind that the ledger found by rules stands for a label.
    ``people``: the kinds that people gave, of answers that were drawn by chance: one that somebody picked
    stands for itself alone.
    """
    counting = counting_labeller(labellers)
    of_rules = _by_rules(frame, labels)
    pinned = counting.method != RULES or counting.version is not None
    counted = _newest_of(frame, labels, counting) if pinned else of_rules
    # Empty is a fact, not a judgement.
    predicted = counted["kind"].mask(frame["kind"].eq("empty").fillna(False), "empty")
    guide = next((one for one in labellers if one.method == PEOPLE), Labeller(method=PEOPLE))
    people = _by_people(frame, labels, guide)
    return frame.assign(
        by_rules=of_rules["kind"], predicted=predicted, by_version=counted["version"], people=people
    )


def labelled_by(rows: pd.DataFrame, labellers: Sequence[Labeller]) -> str:
    """By whom the labels are that count of these rows of `counted`: ``rules, version 6``."""
    judged = rows["value"].notna() & rows["predicted"].ne("empty")
    found = (one if isinstance(one, str) else None for one in rows.loc[judged, "by_version"].unique())
    return with_versions(named(counting_labeller(labellers)), versions_of(found))


def named(labeller: Labeller) -> str:
    return f"{labeller.method} {labeller.model}" if labeller.model else labeller.method


def _by_rules(frame: pd.DataFrame, labels: pd.DataFrame | None) -> pd.DataFrame:
    """``kind`` and ``version`` of each answer's label by rules: the newest on record, else the one that
    stands for the answer, else the kind that was found as it came."""
    newest = _newest_of(frame, labels, Labeller(method=RULES))
    kept = frame.reindex(columns=["label_version", "kind_version"])
    stands = frame["label_method"].eq(RULES).fillna(False)
    kind = _first_of(frame["label"].where(stands), frame["kind"].map(_BY_FACTS))
    version = _first_of(kept["label_version"].where(stands), kept["kind_version"])
    return pd.DataFrame(
        {"kind": _first_of(newest["kind"], kind), "version": _first_of(newest["version"], version)}
    )


def counting_labeller(labellers: Sequence[Labeller]) -> Labeller:
    """Whose labels a study's claims count: its first labeller but people, and rules where there is none.

    One alone: where another stood in for what it did not label, a difference between the sides could be
    one between labellers.
    """
    return next((one for one in labellers if one.method != PEOPLE), Labeller(method=RULES))


def _of(labels: pd.DataFrame | None, labeller: Labeller) -> pd.DataFrame:
    """The labels by a labeller, by the judge and version that the study names, oldest first."""
    if labels is None or labels.empty:
        return pd.DataFrame(columns=["execution", "kind", "labeller", "version", "chance"], dtype=object)
    chosen = labels["method"] == labeller.method
    if labeller.model is not None:
        chosen &= labels["labeller"] == labeller.model
    if labeller.version is not None:
        chosen &= labels["version"] == labeller.version
    return labels[chosen].sort_values("at", kind="stable")


def _newest_of(frame: pd.DataFrame, labels: pd.DataFrame | None, labeller: Labeller) -> pd.DataFrame:
    """``kind`` and ``version`` of each answer's newest label by a labeller, missing where it has none."""
    newest = _of(labels, labeller).drop_duplicates("execution", keep="last").set_index("execution")
    columns = {name: frame["execution"].map(newest[name]).astype(object) for name in ("kind", "version")}
    return pd.DataFrame(columns)


def _by_people(frame: pd.DataFrame, labels: pd.DataFrame | None, guide: Labeller) -> pd.Series:
    """The kinds by people for each answer: one where they agree or a third one decided, else both."""
    given = _of(labels, guide)
    given = given[given["chance"].notna()].drop_duplicates(["execution", "labeller"], keep="last")
    kinds = {execution: _settled(tuple(mine)) for execution, mine in given.groupby("execution")["kind"]}
    return frame["execution"].map(kinds).astype(object)


def _settled(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return kinds[-1:] if len(set(kinds)) == 1 or len(kinds) > 2 else kinds


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
        by_people = _share_of_people(frame["people"], outcome).where(whole)
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
    """How these answers were sampled, as `finding.decoding` writes it."""
    settings = frame.reindex(columns=["temperature", "top_p", "max_new_tokens"]).dropna().drop_duplicates()
    return decoding(settings.itertuples(index=False, name=None))


def _share_of_people(people: pd.Series, outcome: str) -> pd.Series:
    """Of those who labelled an answer the share that gave it this outcome: two who differ make a half."""
    shares = (np.nan if isinstance(kinds, float) else kinds.count(outcome) / len(kinds) for kinds in people)
    return pd.Series(list(shares), index=people.index, dtype=float)


def _hits(labels: pd.Series, outcome: str, whole: pd.Series) -> pd.Series:
    hit = (labels == outcome).fillna(False).astype(float)
    return hit.where(whole & labels.notna())
