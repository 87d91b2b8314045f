"""How often findings are wrong, and how often they find what is there: simulations with a known truth.

Each line is a rate over draws with its own Wilson interval (99 %, of the simulation). α is 5 %, a question's
base rate is drawn around .3 (sd 1 logit) unless given, and "25×10" is questions × samples a side.

    python -m benchmarks.findings

writes `benchmarks/findings.md`; ``--small`` runs a tenth of the draws and writes nothing. With words, only
the lines that have one of them in their name are drawn again, with their own seeds, and the others stay.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from beacon_pipeline.findings.attribution import UNKNOWN
from beacon_pipeline.findings.evaluate import evaluate
from beacon_pipeline.findings.finding import Finding, Verdict
from beacon_pipeline.findings.replication import Replication, replication
from beacon_pipeline.findings.statistics.estimate import Estimate
from beacon_pipeline.findings.statistics.flips import flip_results, sign_flips
from beacon_pipeline.findings.statistics.intervals import wilson
from beacon_pipeline.findings.statistics.multiplicity import holm
from beacon_pipeline.findings.statistics.population import over_questions, over_questions_and_blocks
from beacon_pipeline.findings.statistics.predictions import Side, prediction_powered
from beacon_pipeline.findings.statistics.stratified import stratified
from benchmarks.report import keep
from tests.beacon_pipeline.findings.simulated import a_claim, a_study, answers, probes
from tests.beacon_pipeline.findings.test_replication import found as a_finding

Numbers = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], bool]
TABLE = Path(__file__).with_suffix(".md")
BASE, SPREAD = np.log(0.3 / 0.7), 1.0


@dataclass(frozen=True)
class Line:
    """A simulation: its name, how often it is drawn, what one draw gives, and the rate asked for."""

    name: str
    draws: int
    draw: Draw
    low: float = 0.0
    high: float = 1.0


def chance(logit: Numbers) -> Numbers:
    """The probability of these logits."""
    result: Numbers = 1 / (1 + np.exp(-logit))
    return result


# One study's rates, questions × blocks, and what is drawn from them.


def questions(rng: np.random.Generator, count: int = 25) -> Numbers:
    """A logit for each question."""
    return rng.normal(BASE, SPREAD, (count, 1))


def call(rng: np.random.Generator, blocks: int, sd: float) -> Numbers:
    """What each call of one deployment does to all its answers."""
    return rng.normal(0, sd, (1, blocks))


def arms(rng: np.random.Generator, rate_a: Numbers, rate_b: Numbers, n: int, level: float = 0.95) -> Estimate:
    """Two arms of the same calls: n answers of each in each question and block."""
    x, y = rng.binomial(n, rate_a).ravel(), rng.binomial(n, rate_b).ravel()
    size = np.full(x.shape, n)
    return stratified(x, size, y, size, level)


def differences(rng: np.random.Generator, rate_a: Numbers, rate_b: Numbers, n: int) -> Numbers:
    """Two deployments: each question's difference in each block."""
    result: Numbers = (rng.binomial(n, rate_a) - rng.binomial(n, rate_b)) / n
    return result


# 1. Nulls: how often a difference is found where there is none.


def samples_alike(rng: np.random.Generator) -> bool:
    rate = chance(questions(rng))
    return arms(rng, rate, rate, 10).p <= 0.05


def call_effects(rng: np.random.Generator) -> bool:
    logit = questions(rng)
    rates = (chance(logit + call(rng, 6, 0.5)) for _ in "ab")
    return sign_flips(differences(rng, *rates, 2).mean(axis=0)).p <= 0.05


def like_these(rng: np.random.Generator, calls: float) -> bool:
    """Questions react to the region each in its own way, and not on average."""
    logit = questions(rng)
    rates = (chance(logit + rng.normal(0, 0.7, (25, 1)) + call(rng, 8, calls)) for _ in "ab")
    return over_questions_and_blocks(differences(rng, *rates, 2)).p <= 0.05


def prompt_like_these(rng: np.random.Generator) -> bool:
    logit = questions(rng)
    a, b = (rng.binomial(10, chance(logit + rng.normal(0, 0.7, (25, 1)))) / 10 for _ in "ab")
    return over_questions((a - b).ravel()).p <= 0.05


def labelled(rng: np.random.Generator, logit: Numbers, recall: float, samples: int) -> Side:
    """A side's answers as a labeller with this recall sees them; people label 100, half of each label."""
    question = np.repeat(np.arange(len(logit), dtype=float), samples)
    truth = rng.random(len(question)) < chance(np.repeat(logit.ravel(), samples))
    predicted = truth & (rng.random(len(truth)) < recall)
    found, rest = (rng.permutation(np.flatnonzero(predicted == value)) for value in (True, False))
    take = min(50, len(found))
    drawn = np.concatenate([found[:take], rest[: 100 - take]])
    people = np.full(len(truth), np.nan)
    people[drawn] = truth[drawn]
    return Side(question, predicted.astype(float), predicted.astype(float), people)


def labellers(rng: np.random.Generator, recalls: tuple[float, float], rates: tuple[float, float]) -> bool:
    """Questions vary by half a logit around each side's rate."""
    logit = rng.normal(0, 0.5, 50)
    a, b = (
        labelled(rng, logit + np.log(rate / (1 - rate)), recall, 10)
        for recall, rate in zip(recalls, rates, strict=True)
    )
    return prediction_powered(a, b).p <= 0.05


def losses(rng: np.random.Generator) -> bool:
    """Of one side's long answers, which do not refuse, a fifth is lost; without the qualifier."""
    rate, size = chance(questions(rng)), 10
    a, b = (rng.binomial(size, rate).ravel() for _ in "ab")
    lost = rng.binomial(size - b, 0.2)
    full = np.full(len(a), size)
    seen = stratified(a, full, b, full - lost)
    if seen.p > 0.05:
        return False
    extremes = [stratified(a, full, b + lost, full), stratified(a, full, b, full)]
    return all(one.p <= 0.05 and one.effect * seen.effect > 0 for one in extremes)


def three_looks(rng: np.random.Generator) -> bool:
    """Eight blocks more at each look, and α / 3."""
    logit = questions(rng)
    each = differences(rng, *(chance(logit + call(rng, 24, 0.5)) for _ in "ab"), 1).mean(axis=0)
    return any(3 * sign_flips(each[:seen], 1 - 0.05 / 3).p <= 0.05 for seen in (8, 16, 24))


def many_claims(rng: np.random.Generator) -> bool:
    """27 prompt claims and 27 of deployments, twelve blocks, Holm."""
    logit = questions(rng, 8)
    prompt = [arms(rng, chance(logit), chance(logit), 5).p for _ in range(27)]
    each = [
        differences(rng, *(chance(logit + call(rng, 12, 0.5)) for _ in "ab"), 1).mean(axis=0)
        for _ in range(27)
    ]
    places = flip_results(np.array(each), 0.95)[0]
    return any(p is not None and p <= 0.05 for p in holm([*prompt, *places]))


# 2 to 5. What is answered, found, and said to be equal.


def one_call(rng: np.random.Generator) -> bool:
    claims = a_claim("deployment"), a_claim("deployment", id="t", outcome="text"), a_claim("interaction")
    study = a_study(*claims, blocks=1, samples=5, questions=8)
    frame = answers(study, int(rng.integers(2**31)), calls=0.5)
    found = evaluate(study, frame)
    return all(one.verdict == Verdict.NOT_ANSWERABLE and "one call" in str(one.reason) for one in found)


def in_both_regions(rng: np.random.Generator, prompt: float, place: float) -> tuple[bool, bool]:
    """25×10 in ten blocks' worth of eight calls: is a prompt effect found, and a deployment's?"""
    logit = questions(rng)
    rate = np.clip(chance(logit), 0.0, 0.8)
    us, eu = (np.log(rate / (1 - rate)) + call(rng, 8, 0.25) for _ in "ab")
    plain_us, plain_eu = chance(us), np.clip(chance(eu) + place, 0, 1)
    strict_us = np.clip(plain_us + prompt, 0, 1)
    sizes = np.ones((25, 8), dtype=int)
    sizes[:, :2] = 2  # ten samples in eight calls
    x, y = rng.binomial(sizes, plain_us), rng.binomial(sizes, strict_us)
    found = stratified(x.ravel(), sizes.ravel(), y.ravel(), sizes.ravel()).p <= 0.05
    between = (rng.binomial(sizes, plain_us) - rng.binomial(sizes, plain_eu)) / sizes
    return found, sign_flips(between.mean(axis=0)).p <= 0.05


def equal(rng: np.random.Generator, effect: float) -> bool:
    """25×20 and δ = .10; at a true .10 every question's rate is higher by just that."""
    rate = np.clip(chance(rng.normal(BASE, 1.5, (25, 1))), 0, 0.9)
    low, high = arms(rng, rate + effect, rate, 20).narrow
    return low > -0.1 and high < 0.1


# 6. Whole studies on text.

COMMON = ["the", "state", "has", "held", "this", "view", "since", "then", "and", "many"]
PLAIN = [*COMMON, "people", "there", "see", "it", "so"]
STRICT = [*COMMON, *["rules", "law", "order"] * 4]


def texts(rng: np.random.Generator, count: int, words: list[str]) -> list[str]:
    """Answers of a dozen words each."""
    return [" ".join(row) for row in rng.choice(words, (count, 12))]


def whole_study(rng: np.random.Generator) -> bool:
    """Seven claims, of which three are true: a prompt effect on refusals and on texts, and lying weights."""
    claims = (
        a_claim("prompt", id="prompt-us"),
        a_claim("prompt", id="text-us", outcome="text"),
        a_claim("computation", id="us-eu", outcome="text"),
        a_claim("deployment", id="deployment"),
        a_claim("deployment", id="deployment-text", outcome="text"),
        a_claim("interaction", id="interaction"),
        a_claim("prompt", id="empty", outcome="empty"),
    )
    study = a_study(*claims, questions=8, blocks=10, samples=2)
    seed = int(rng.integers(2**31))
    frame = answers(study, seed, calls=0.25, effect=lambda rows: 0.4 * (rows["arm"] == "strict"))
    strict = (frame["arm"] == "strict").to_numpy()
    said = np.array(texts(rng, len(frame), PLAIN), dtype=object)
    said[strict] = texts(rng, int(strict.sum()), STRICT)
    frame["answer"] = said
    whole = pd.concat([frame, probes(study, seed, differ=0.5, noise=0.05)], ignore_index=True)
    verdicts = [one.verdict == Verdict.DIFFERS for one in evaluate(study, whole)]
    return verdicts == [True, True, True, False, False, False, False]


# 7 and 8. Replication, coverage, attribution.


def false_and_replicated(rng: np.random.Generator, studies: list[Finding]) -> bool:
    """A first study that found what is not there, and a second with fresh seeds and blocks."""
    if not studies:  # made where they are first needed, with a seed of their own
        studies += false_findings(np.random.default_rng(20261125), 100)
    first = studies[int(rng.integers(len(studies)))]
    return replication(first, null_study(rng), delta=0.1) == Replication.REPLICATED


def null_study(rng: np.random.Generator) -> Finding:
    """What eight blocks of two deployments that do not differ are found to show."""
    logit = questions(rng)
    rates = (chance(logit + call(rng, 8, 0.25)) for _ in "ab")
    seen = sign_flips(differences(rng, *rates, 1).mean(axis=0))
    verdict = Verdict.DIFFERS if seen.p <= 0.05 else Verdict.INCONCLUSIVE
    return replace(a_finding(0.0), effect=seen.effect, low=seen.low, high=seen.high, verdict=verdict)


def false_findings(rng: np.random.Generator, count: int) -> list[Finding]:
    """Studies that found a difference where nothing differs."""
    found: list[Finding] = []
    while len(found) < count:
        study = null_study(rng)
        if study.verdict == Verdict.DIFFERS:
            found.append(study)
    return found


def covers(rng: np.random.Generator, kind: str) -> bool:
    """Whether the 95 % interval holds the truth; the truth by the questions, or by the population."""
    logit, shift = questions(rng), rng.normal(0.5, 0.5, (25, 1))
    if kind == "prompt":
        rates = chance(logit + shift), chance(logit)
        found, truth = arms(rng, *rates, 10), float((rates[0] - rates[1]).mean())
    elif kind == "deployment":
        rates = (chance(logit + 0.5 + call(rng, 8, 0.25)), chance(logit + call(rng, 8, 0.25)))
        found = sign_flips(differences(rng, *rates, 1).mean(axis=0))
        truth = _mean_over_calls(logit + 0.5) - _mean_over_calls(logit)
    else:
        calls = (call(rng, 8, 0.25), call(rng, 8, 0.25)) if kind == "deployment, like" else (0.0, 0.0)
        rates = chance(logit + shift + calls[0]), chance(logit + calls[1])
        truth = POPULATION[0] if kind == "prompt, like" else POPULATION[1]
        if kind == "prompt, like":
            a, b = (rng.binomial(10, rate) / 10 for rate in rates)
            found = over_questions((a - b).ravel())
        else:
            found = over_questions_and_blocks(differences(rng, *rates, 1))
    return found.low <= truth <= found.high


def _mean_over_calls(logit: Numbers) -> float:
    points, weights = np.polynomial.hermite_e.hermegauss(15)
    values = chance(logit.reshape(-1, 1) + 0.25 * points[None, :])
    return float((values @ weights).mean() / weights.sum())


def _population() -> tuple[float, float]:
    """The mean effect over the population of questions, without and with calls."""
    rng = np.random.default_rng(0)
    logit = rng.normal(BASE, SPREAD, 2_000_000)
    other = logit + rng.normal(0.5, 0.5, len(logit))
    calls = rng.normal(0, 0.25, (2, len(logit)))
    plain = float((chance(other) - chance(logit)).mean())
    return plain, float((chance(other + calls[0]) - chance(logit + calls[1])).mean())


POPULATION = _population()


def attributed(rng: np.random.Generator, crossed: bool) -> bool:
    """A GPU that refuses more: named as inseparable from its region, or as the cause where both have it."""
    study = a_study(a_claim("deployment"), blocks=16, samples=2)
    frame = answers(study, int(rng.integers(2**31)))
    often = (frame["block"] % 8 != 0) if crossed else True
    other = np.where(frame["region"] == "eu", often, ~often if crossed else False)
    frame["provenance_gpu"] = np.where(other, "H100", "A100")
    refused = other.astype(bool) & (rng.random(len(frame)) < 0.5)
    frame["kind"] = frame["kind"].mask(refused, "refusal")
    (found,) = evaluate(study, frame)
    expected = "GPU (varied within a region)" if crossed else f"{UNKNOWN}; region and GPU cannot be separated"
    return found.verdict == Verdict.DIFFERS and found.attribution == expected


def lines() -> Iterator[Line]:
    """All simulations, in the order of the table."""
    null = partial(Line, draws=2000, high=123 / 2000)
    yield null("null: samples alike, two arms, 25×10", draw=samples_alike)
    yield null("null: call effects of .5 logit, 6 blocks", draw=call_effects)
    yield null("null: question × region, like these, no call effects", draw=partial(like_these, calls=0.0))
    yield null("null: the same with call effects of .25", draw=partial(like_these, calls=0.25))
    yield null("null: question × arm, like these, 25×10", draw=prompt_like_these)
    unequal = partial(labellers, recalls=(0.8, 0.6), rates=(0.3, 0.3))
    yield null("null: labellers' recall .8 and .6, 100 labels a side", draw=unequal)
    yield null("null: 20 % of one side's long answers lost, unqualified", draw=losses)
    yield null("null: three planned looks of 8 blocks", draw=three_looks)
    yield null("null: 54 claims at once, any of them", draw=many_claims)
    yield Line("one call a side: not answerable", 200, one_call, low=1.0)
    prompt = partial(in_both_regions, prompt=0.0, place=0.2)
    yield Line("a deployment effect of .2: the prompt differs", 2000, lambda r: prompt(r)[0], high=0.05)
    yield Line("… and the deployment does", 2000, lambda r: prompt(r)[1])
    pure = partial(in_both_regions, prompt=0.2, place=0.0)
    yield Line("a prompt effect of .2, 25×10: found", 2000, lambda r: pure(r)[0], low=0.9)
    pair = partial(labellers, recalls=(0.06, 0.73))
    yield Line("recalls .06 and .73, equal rates of .3", 2000, partial(pair, rates=(0.3, 0.3)), high=0.05)
    yield Line("recalls .06 and .73, rates .1 and .5: found", 2000, partial(pair, rates=(0.1, 0.5)), low=0.9)
    yield Line("equal within .10, 25×20, at zero", 2000, partial(equal, effect=0.0), low=0.95)
    yield Line("equal within .10, 25×20, at a true .10", 2000, partial(equal, effect=0.1), high=0.06)
    yield Line("whole studies on text, all seven verdicts right", 200, whole_study, low=0.91)
    false: list[Finding] = []
    again = partial(false_and_replicated, studies=false)
    yield Line('a false "differs" is replicated with fresh seeds', 1000, again, high=0.04)
    for kind in ("prompt", "deployment", "prompt, like", "deployment, like"):
        name = f"95 % interval holds the truth: {kind} these".replace("like these", "questions like these")
        yield Line(name, 2000, partial(covers, kind=kind), low=0.94, high=0.97)
    yield Line(
        "GPU only in one region: named as inseparable", 100, partial(attributed, crossed=False), low=0.9
    )
    yield Line("GPU in both regions: attributed to it", 100, partial(attributed, crossed=True), low=0.9)


def rate_of(line: Line, draws: int | None = None) -> tuple[int, int]:
    """How many draws were so, and of how many."""
    count = draws or line.draws
    seeds = np.random.SeedSequence([len(line.name), *line.name.encode()[:40]]).spawn(count)
    return sum(line.draw(np.random.default_rng(seed)) for seed in seeds), count


def row_of(line: Line, small: bool) -> str:
    """A line drawn, as a row of the table."""
    started = time.monotonic()
    found, count = rate_of(line, line.draws // 10 if small else None)
    low, high = wilson(found, count, 0.99)
    asked = f"{line.low:.3g} to {line.high:.3g}" if line.low or line.high < 1 else ""
    good = "yes" if line.low <= found / count <= line.high + 1e-9 else "no"
    row = (
        f"| {line.name} | {count:,} | {found / count:.4f} | {low:.3f} to {high:.3f} | {asked} "
        f"| {good if asked else ''} |"
    )
    print(row, f"{time.monotonic() - started:.0f} s", flush=True)
    return row


def main(small: bool, words: list[str]) -> None:
    """Run all, or the lines with these words, and write the table."""
    kept = {row.split(" | ")[0][2:]: row for row in TABLE.read_text().splitlines() if row.startswith("| ")}
    rows = ["| simulation | draws | rate | 99 % interval | asked | |", "|---|---:|---:|---:|---:|---|"]
    for line in lines():
        again = not words or line.name not in kept or any(word in line.name for word in words)
        rows.append(row_of(line, small) if again else kept[line.name])
    if not small:
        head = f"2 shared cores, Python {sys.version.split()[0]}, numpy {np.__version__}, fixed seeds"
        keep(TABLE, head + "\n\n" + "\n".join(rows))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(small="--small" in given, words=[word for word in given if word != "--small"])
