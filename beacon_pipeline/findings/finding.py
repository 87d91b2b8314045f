"""A finding: what a study's answers say of one claim, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    DIFFERS = "differs"
    NO_DIFFERENCE = "no difference larger than δ"
    INCONCLUSIVE = "inconclusive"
    NOT_ANSWERABLE = "not answerable"


class Qualifier(StrEnum):
    THESE_QUESTIONS = "these questions"
    LIKE_THESE = "questions like these"
    PLANNED = "planned"
    EXPLORATORY = "exploratory"
    OLDER_ANSWERS = "answers of an older version"
    REGISTERED_OUTSIDE = "registered outside"
    SELF_REGISTERED = "self-registered"
    LABEL_RATE = "label rate, not refusal rate"
    ERRORS_MAY_DIFFER = "the labeller may err differently under the two prompts"
    DEPENDS_ON_LOST_ANSWERS = "depends on lost answers"
    WITHIN_DELTA = "smaller than δ"
    TEXTS_CUT = "texts compared up to a cap"
    DEPENDS_ON_ERRORS = "depends on the labeller's errors as measured elsewhere"
    LENGTH_LIMIT = "some answers ended at the length limit"
    OUT_OF_BLOCK = "some answers came after their block"


@dataclass(frozen=True)
class Finding:
    """``effect`` is side a less side b, of texts: similarity within sides less between them.

    ``claim`` is its id, with ``@`` and a version where the answers are an older version's. ``sides`` names a
    and b. ``units`` says what carried the test, and how many of it. ``n_*`` are answers
    that count, ``missing_*`` those that were planned and are lost or were cut short. ``low`` to ``high`` is
    the interval at ``interval_level``. ``p_adjusted`` is over all claims of the study and all looks. What was
    not computed is None; ``reason`` says why, or what would decide. ``seed`` is that of random draws.
    ``labels`` says by whom the labels are that it counts, ``decoding`` how the answers were sampled, and
    ``elsewhere`` what the labeller's error rates that were measured on other answers would make of it, where
    the study has some.
    """

    study: str
    version: int
    claim: str
    contrast: str
    outcome: str
    model: str
    sides: tuple[str, str]
    population: str
    units: str
    n_a: int
    n_b: int
    missing_a: int
    missing_b: int
    rate_a: float | None
    rate_b: float | None
    effect: float | None
    low: float | None
    high: float | None
    interval_level: float
    p: float | None
    p_adjusted: float | None
    verdict: Verdict
    qualifiers: tuple[Qualifier, ...]
    attribution: str | None
    reason: str | None
    test: str | None
    seed: int
    decoding: str = ""
    labels: str = ""
    elsewhere: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def sentence(self) -> str:
        """The finding in plain English: verdict, effect, interval, p, qualifiers, cause."""
        parts = [f"{self._subject()}: {self.verdict}{self._numbers()}"]
        if self.reason:
            parts.append(self.reason[:1].upper() + self.reason[1:])
        if self.attribution and self.verdict == Verdict.DIFFERS:
            parts.append(f"Attributed to: {self.attribution}")
        if self.elsewhere:
            parts.append(self.elsewhere[:1].upper() + self.elsewhere[1:])
        parts.append(", ".join(self.qualifiers).capitalize())
        if self.labels:
            parts.append(f"Labels by {self.labels}")
        if self.decoding:
            parts.append(f"Answers at {self.decoding}")
        return ". ".join(part for part in parts if part) + "."

    def _subject(self) -> str:
        a, b = self.sides
        return f"{a} against {b}, {self._measured()}"

    def _measured(self) -> str:
        if self.contrast == "computation":
            return "outputs of equal probes"
        if self.outcome == "text":
            return "similarity of texts"
        rate = "label rate" if Qualifier.LABEL_RATE in self.qualifiers else "rate"
        return f"{rate} of {self.outcome}"

    def _numbers(self) -> str:
        if self.effect is None or self.low is None or self.high is None:
            return ""
        rates = "" if self.rate_a is None else f"{self.rate_a:.2f} against {self.rate_b:.2f}, "
        p = "" if self.p_adjusted is None else f", adjusted p {_p(self.p_adjusted)}"
        share = f"{self.interval_level * 100:.3g} %"
        ends = f"{self.low:+.2f} to {self.high:+.2f}"
        return f" ({rates}difference {self.effect:+.2f}, {share} interval {ends}{p}; {self.units})"


def decoding(settings: Iterable[tuple[float, float, int]]) -> str:
    """How answers were sampled, from (temperature, top-p, most tokens) of each: `greedy, at most 64 tokens`.

    Empty where nothing is known of any.
    """
    return "; ".join(
        f"{'greedy' if t == 0 else f'temperature {t:g}, top-p {p:g}'}, at most {n:g} tokens"
        for t, p, n in sorted(set(settings))
    )


def _p(value: float) -> str:
    return f"{value:.1e}" if 0 < value < 0.001 else f"{value:.3f}"
