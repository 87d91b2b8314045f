"""What every runtime of ours does around generation: write the prompt, read the answer, keep the order.

A runtime with another engine only says how tokens come about (`ChatRuntime._results`). Heavy libraries
are imported when a runtime is made, not when this module is.
"""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from inference.contract import (
    Batching,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    Provenance,
    token_digest,
)
from inference.model_files import ModelUnavailable, files_of
from inference.reasoning import separate
from inference.runtime.chat_template import ChatTemplate, NotRendered, Rendered
from inference.runtime.loading import load_tokenizer, summary

OnResult = Callable[[ItemAnswer | ItemFailure], None]


class DeviceLost(RuntimeError):
    """The GPU failed, and with it this process's use of it: another process may well answer."""


class Runtime(Protocol):
    """What generates: a `ChatRuntime`, or a smaller one in a test."""

    def answer(
        self,
        items: Sequence[Item],
        parameters: GenerationParameters,
        *,
        batch_size: int | None = None,
    ) -> list[ItemAnswer | ItemFailure]: ...

    def provenance(self, batch_size: int) -> Provenance: ...


def answer_each(
    runtime: Runtime, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int
) -> list[ItemAnswer | ItemFailure]:
    """One result for each item, whatever the runtime raises. Raises DeviceLost only."""
    try:
        return runtime.answer(items, parameters, batch_size=batch_size)
    except DeviceLost:
        raise
    except Exception as error:  # noqa: BLE001 - each item fails for itself, with its reason
        failures = [failed(item, summary(error)) for item in items]
    if len(items) == 1:
        return [*failures]
    one_by_one = (answer_each(runtime, [item], parameters, batch_size=batch_size) for item in items)
    return [result for results in one_by_one for result in results]


@dataclass(frozen=True)
class Asked:
    """An item on its way into the model: its prompt, and that prompt's tokens."""

    item: Item
    prompt: Rendered
    ids: list[int]


class ChatRuntime(ABC):
    """One model as pinned, and how it is talked to. Raises ModelUnavailable."""

    def __init__(self, source: ModelSource, cache_dir: Path | None) -> None:
        self._source = source
        self._files = files_of(source, cache_dir)
        self._tokenizer: Any = load_tokenizer(source, self._files.folder)
        self._end_ids: list[int] = []
        try:
            self._template = ChatTemplate(self._tokenizer)
        except ValueError as error:
            raise ModelUnavailable(f"{source.id}: its tokenizer has no chat template") from error

    @abstractmethod
    def provenance(self, batch_size: int) -> Provenance:
        """What makes the answers of this runtime, for a call of so many items at once."""

    @abstractmethod
    def _results(
        self, asked: Sequence[Asked], parameters: GenerationParameters, batch_size: int
    ) -> Iterable[ItemAnswer | ItemFailure]:
        """Generate: one result for each, in any order. Raises DeviceLost."""

    def answer(
        self,
        items: Sequence[Item],
        parameters: GenerationParameters,
        *,
        batch_size: int | None = None,
        on_result: OnResult | None = None,
    ) -> list[ItemAnswer | ItemFailure]:
        """One result for each item, in order; a failing item leaves its batch mates alone.

        ``batch_size`` None is the source's. ``on_result`` gets every result as soon as it is there.
        Raises DeviceLost.
        """
        results: dict[str, ItemAnswer | ItemFailure] = {}

        def keep(result: ItemAnswer | ItemFailure) -> None:
            results[result.id] = result
            if on_result is not None:
                on_result(result)

        fitting = []
        for item in items:
            prepared = self._prepare(item, parameters)
            if isinstance(prepared, ItemFailure):
                keep(prepared)
            else:
                fitting.append(prepared)
        for result in self._results(fitting, parameters, batch_size or self._source.batch_size):
            keep(result)
        return [results[item.id] for item in items]

    def _prepare(self, item: Item, parameters: GenerationParameters) -> Asked | ItemFailure:
        """The item's prompt, or why it cannot be asked."""
        try:
            prompt = self._template.render(item, parameters)
            # The template wrote every special token already.
            ids = self._tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
        except NotRendered as problem:
            return ItemFailure(id=item.id, code=problem.code, message=problem.message)
        except Exception as error:  # noqa: BLE001 - a tokenizer's code; the other items go on
            return ItemFailure(id=item.id, code=FailureCode.GENERATION_ERROR, message=summary(error))
        if len(ids) + parameters.max_new_tokens > self._source.context_tokens:
            return _too_long(item, len(ids), parameters, self._source)
        return Asked(item, prompt, ids)

    def _read(
        self,
        asked: Asked,
        row: list[int],
        seconds: float,
        parameters: GenerationParameters,
        batching: Batching,
        *,
        batch_size: int | None = None,
    ) -> ItemAnswer:
        """The answer in a row of generated ids: what comes before the first end token, or before the
        first stop text, whichever is first."""
        ids, stopped = self._until_the_end(row, parameters.stop)
        finish_reason = FinishReason.STOP if stopped else FinishReason.LENGTH
        raw = _before_stop(self._decode(ids, skip_special_tokens=False), parameters.stop)
        thoughts = separate(raw, finish_reason, prompt=asked.prompt.text)
        if thoughts.reasoning is None and not thoughts.unfinished and thoughts.answer == raw:
            text = _before_stop(self._decode(ids, skip_special_tokens=True), parameters.stop)
        else:
            text = self._without_special_tokens(thoughts.answer)
        return ItemAnswer(
            id=asked.item.id,
            text=text,
            finish_reason=finish_reason,
            prompt_tokens=len(asked.ids),
            output_tokens=len(ids),
            output_token_sha256=token_digest(ids),
            seconds=seconds,
            reasoning=thoughts.reasoning and self._without_special_tokens(thoughts.reasoning),
            reasoning_unfinished=thoughts.unfinished,
            rendered_prompt=asked.prompt.text,
            rendering=asked.prompt.rendering,
            batch_size=batch_size,
            batching=batching,
        )

    def _until_the_end(self, row: list[int], stop: Sequence[str]) -> tuple[list[int], bool]:
        """The ids before the first end token, and up to where the first stop text is complete."""
        end = next((place for place, token in enumerate(row) if token in self._end_ids), None)
        ids = row[:end]

        def has_stop(length: int) -> bool:
            text = self._decode(ids[:length], skip_special_tokens=True)
            return any(wanted in text for wanted in stop)

        if not stop or not has_stop(len(ids)):
            return ids, end is not None
        length = bisect.bisect_left(range(len(ids) + 1), True, key=has_stop)
        return ids[:length], True

    def _decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
            )
        )

    def _without_special_tokens(self, text: str) -> str:
        for token in self._tokenizer.all_special_tokens:
            text = text.replace(token, "")
        return text


def seed_of(item: Item, parameters: GenerationParameters) -> int | None:
    """The seed of an item's sampling, None where it is greedy."""
    own = item.parameters(parameters)
    return own.seed if own.temperature > 0 else None


def _too_long(item: Item, length: int, parameters: GenerationParameters, source: ModelSource) -> ItemFailure:
    message = (
        f"prompt of {length} tokens and {parameters.max_new_tokens} to generate "
        f"exceed the context of {source.context_tokens}"
    )
    return ItemFailure(id=item.id, code=FailureCode.PROMPT_TOO_LONG, message=message)


def failed(item: Item, message: str, *, memory: bool = False) -> ItemFailure:
    code = FailureCode.OUT_OF_MEMORY if memory or "out of memory" in message else FailureCode.GENERATION_ERROR
    return ItemFailure(id=item.id, code=code, message=message)


def _before_stop(text: str, stop: Sequence[str]) -> str:
    return text[: min((place for wanted in stop if (place := text.find(wanted)) >= 0), default=len(text))]
