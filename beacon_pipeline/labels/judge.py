"""What a judge model is asked, blind to region, model and arm, and how its one word is read. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict

from beacon_pipeline.labels.sheets import Asked
from beacon_pipeline.labels.text import outside_thoughts
from beacon_pipeline.ledger.status import LabelKind
from inference.contract import Item

_WORD = re.compile(r"\W*(complete|evasive|refusal)\b\W*", re.IGNORECASE)
_LETTERS = re.compile(r"[a-z]+")


class Rubric(BaseModel):
    """The prompt of a version."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: str
    families: dict[str, list[str]]
    system_prompt: str
    prompt: str


@functools.cache
def rubric() -> Rubric:
    text = resources.files(__package__).joinpath("judge.yaml").read_text(encoding="utf-8")
    return Rubric.model_validate(yaml.safe_load(text))


def items(asked: Iterable[Asked]) -> list[Item]:
    """One item for each answer, in an order that mixes jobs, regions, models and arms."""
    chosen = rubric()
    shuffled = sorted(asked, key=lambda one: hashlib.sha256(f"judge|{one.execution_id}".encode()).digest())
    return [
        Item(
            id=one.execution_id,
            system_prompt=chosen.system_prompt,
            prompt=_filled(chosen.prompt, one),
        )
        for one in shuffled
    ]


def _filled(prompt: str, one: Asked) -> str:
    """The prompt with its two places filled at once: either text may hold the other's place."""
    texts = {"{question}": one.question, "{answer}": one.answer}
    return re.sub(r"\{question\}|\{answer\}", lambda place: texts[place[0]], prompt)


def read(text: str) -> LabelKind | None:
    """The label in a judge's answer; None where it is not exactly one of the three words."""
    found = _WORD.fullmatch(outside_thoughts(text)[0].strip())
    return LabelKind(found[1].lower()) if found else None


def families(*names: str | None) -> set[str]:
    """The families that a model's names speak of; a distilled model may have two."""
    words = {word for name in names if name for word in _LETTERS.findall(name.lower())}
    return {family for family, shown in rubric().families.items() if words & set(shown)}


def why_no_judge(judge: str, names: Iterable[str], judged: Mapping[str, Iterable[str]]) -> str | None:
    """Why a model of these names cannot judge those of these names, if it cannot."""
    own = families(*names)
    if not own:
        return f"the family of {judge} is not known by its names: no judge can be chosen by it"
    for model, its_names in judged.items():
        theirs = families(*its_names)
        if not theirs:
            return f"the family of {model} is not known by its names: who may judge it is not either"
        if shared := own & theirs:
            return (
                f"{judge} cannot judge {model}: both are of the family {', '.join(sorted(shared))}; "
                "choose a judge of another family"
            )
    return None
