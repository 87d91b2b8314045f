"""A runtime that is slow and says so, for tests of what happens meanwhile."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from inference.contract import (
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    Provenance,
    token_digest,
)
from inference.model_files import ModelUnavailable
from tests.inference.provenance import made_up_provenance


class SlowRuntime:
    """Answers every item with its own prompt, after ``seconds``, or when the file ``gate`` exists."""

    def __init__(self, seconds: float = 0.0, gate: Path | None = None) -> None:
        self.seconds = seconds
        self.gate = gate

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        time.sleep(self.seconds * len(items))
        while self.gate is not None and not self.gate.exists():
            time.sleep(0.02)
        return [
            ItemAnswer(
                id=item.id,
                text=f"you asked: {item.prompt}",
                finish_reason=FinishReason.STOP,
                prompt_tokens=1,
                output_tokens=1,
                output_token_sha256=token_digest([1]),
                seconds=self.seconds,
            )
            for item in items
        ]

    def provenance(self, batch_size: int) -> Provenance:
        return made_up_provenance("slow", batch_size)


def load_slow(_source: ModelSource) -> SlowRuntime:
    """As `LocalProvider` loads a model: quick to answer."""
    return SlowRuntime()


def load_gated(source: ModelSource) -> SlowRuntime:
    """Waits for a file where the model's folder should be; for a process that a test cannot reach into."""
    return SlowRuntime(gate=Path(source.folder or ""))


class WhereRuntime(SlowRuntime):
    """Answers with its process and whether Dagster was imported there."""

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        text = f"{os.getpid()} {'dagster' in sys.modules}"
        answers = super().answer(items, parameters)
        return [one.model_copy(update={"text": text}) for one in answers]


def load_where(_source: ModelSource) -> WhereRuntime:
    """As `LocalProvider` loads a model: says where it runs."""
    return WhereRuntime()


def load_nothing(source: ModelSource) -> SlowRuntime:
    """As `LocalProvider` loads a model that is not there."""
    raise ModelUnavailable(f"{source.id}: no folder")
