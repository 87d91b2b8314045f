"""Generate with transformers: the one place where a prompt becomes an answer.

The same code runs in the local provider and in Modal's containers. Heavy libraries are imported
when a runtime is made, not when this module is.
"""

from __future__ import annotations

import bisect
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from inference.contract import (
    BATCH_SIZE,
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
from inference.model_files import HubUnreachable, ModelUnavailable, files_of
from inference.reasoning import separate
from inference.runtime.chat_template import ChatTemplate, NotRendered, Rendered
from inference.runtime.continuous import generate_continuously
from inference.runtime.loading import driver_version, end_ids, load, pad_id, summary
from inference.runtime.sampling import SAMPLER, SeededRows

__all__ = ["BATCH_SIZE", "DeviceLost", "HubUnreachable", "ModelUnavailable", "Runtime", "TransformersRuntime"]

REPORTED_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "jinja2")

OnResult = Callable[[ItemAnswer | ItemFailure], None]


class DeviceLost(RuntimeError):
    """The GPU failed, and with it this process's use of it: another process may well answer."""


class Runtime(Protocol):
    """What generates: `TransformersRuntime`, or a smaller one in a test."""

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
        failures = [_failed(item, summary(error)) for item in items]
    if len(items) == 1:
        return [*failures]
    one_by_one = (answer_each(runtime, [item], parameters, batch_size=batch_size) for item in items)
    return [result for results in one_by_one for result in results]


@dataclass(frozen=True)
class _Asked:
    """An item on its way into the model: its prompt, and that prompt's tokens."""

    item: Item
    prompt: Rendered
    ids: list[int]


class TransformersRuntime:
    """One loaded model. Raises ModelUnavailable when it cannot be loaded exactly as pinned.

    ``device`` is torch's name of it; ``cache_dir`` is where repository snapshots are kept.
    """

    def __init__(self, source: ModelSource, *, device: str = "cpu", cache_dir: Path | None = None) -> None:
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._torch: Any = torch
        self._source = source
        self._files = files_of(source, cache_dir)
        self._tokenizer, model = load(source, self._files.folder)
        try:
            self._template = ChatTemplate(self._tokenizer)
        except ValueError as error:
            raise ModelUnavailable(f"{source.id}: its tokenizer has no chat template") from error
        self._model = model.to(device).eval()
        self._end_ids = end_ids(self._model, self._tokenizer)
        self._pad_id = pad_id(self._tokenizer, self._end_ids)
        self._driver = driver_version() if self._model.device.type == "cuda" else None

    def answer(
        self,
        items: Sequence[Item],
        parameters: GenerationParameters,
        *,
        batch_size: int | None = None,
        on_result: OnResult | None = None,
    ) -> list[ItemAnswer | ItemFailure]:
        """One result for each item, in order; a failing item leaves its batch mates alone.

        Generation goes in micro-batches of ``batch_size`` (None: the source's), each sampled item from its
        own seed, so that an answer never depends on its neighbours; or with the source's engine
        ``transformers-continuous``, for greedy items, in one batch that changes at every token.
        ``on_result`` gets every result as soon as it is there. Raises DeviceLost.
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

    def provenance(self, batch_size: int) -> Provenance:
        """What makes the answers of this runtime, for a call of so many items at once.

        Continuous batching has no batch size to report: it changes at every token.
        """
        return Provenance(
            model_revision=self._source.revision,
            weights_sha256=self._files.weights_sha256,
            tokenizer_sha256=self._files.tokenizer_sha256,
            dtype=self._source.dtype,
            device=self._device_name(),
            engine=self._source.engine,
            libraries={name: importlib.metadata.version(name) for name in REPORTED_LIBRARIES},
            batch_size=batch_size if self._source.engine == "transformers" else None,
            # Private, and the only place that tells which implementation was taken.
            attention=self._model.config._attn_implementation,
            cuda=self._torch.version.cuda if self._model.device.type == "cuda" else None,
            driver=self._driver,
            end_token_ids=tuple(self._end_ids),
            chat_template_sha256=self._template.sha256,
            sampler=SAMPLER,
        )

    def _device_name(self) -> str:
        device = self._model.device
        return str(self._torch.cuda.get_device_name(device)) if device.type == "cuda" else str(device.type)

    def _prepare(self, item: Item, parameters: GenerationParameters) -> _Asked | ItemFailure:
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
        return _Asked(item, prompt, ids)

    def _results(
        self, asked: Sequence[_Asked], parameters: GenerationParameters, batch_size: int
    ) -> Iterator[ItemAnswer | ItemFailure]:
        if self._source.engine == "transformers-continuous":
            # It has no noise of a row's own, so it takes what is greedy only.
            greedy = [one for one in asked if _seed(one.item, parameters) is None]
            if greedy:
                yield from self._generate_continuously(greedy, parameters)
            asked = [one for one in asked if _seed(one.item, parameters) is not None]
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            yield from self._generate(batch, parameters, Batching.MICRO_BATCH)

    def _generate(
        self, batch: Sequence[_Asked], parameters: GenerationParameters, batching: Batching
    ) -> list[ItemAnswer | ItemFailure]:
        started = time.monotonic()
        try:
            rows = self._token_ids(batch, parameters)
        except Exception as error:  # noqa: BLE001 - whatever the model's code raises, see `_failure`
            failure = self._failure(batch[0].item, error)
            if len(batch) == 1:
                return [failure]
        else:
            seconds = time.monotonic() - started
            return [
                self._read(one, row, seconds, parameters, batching, batch_size=len(batch))
                for one, row in zip(batch, rows, strict=True)
            ]
        self._free_memory()
        middle = len(batch) // 2
        return [
            *self._generate(batch[:middle], parameters, Batching.DIVIDED),
            *self._generate(batch[middle:], parameters, Batching.DIVIDED),
        ]

    def _generate_continuously(
        self, batch: Sequence[_Asked], parameters: GenerationParameters
    ) -> Iterator[ItemAnswer | ItemFailure]:
        """A fault in one step takes all that share it along: those are then asked one by one."""
        failed: list[_Asked] = []
        for one, result in self._continuous_round(batch, parameters):
            if isinstance(result, ItemFailure) and len(batch) > 1:
                failed.append(one)
            else:
                yield result
        for one in failed:
            yield from (result for _, result in self._continuous_round([one], parameters))

    def _continuous_round(
        self, batch: Sequence[_Asked], parameters: GenerationParameters
    ) -> Iterator[tuple[_Asked, ItemAnswer | ItemFailure]]:
        started = time.monotonic()
        for generated in generate_continuously(
            self._model,
            [one.ids for one in batch],
            self._configuration(parameters),
            context_tokens=self._source.context_tokens,
        ):
            one, seconds = batch[generated.position], time.monotonic() - started
            if generated.problem is None:
                yield one, self._read(one, generated.ids, seconds, parameters, Batching.CONTINUOUS)
            else:
                yield one, _failed(one.item, generated.problem)

    def _failure(self, item: Item, error: Exception) -> ItemFailure:
        """What an exception says of an item. Raises DeviceLost: after that, nothing here can answer."""
        failure = _failed(
            item, summary(error), memory=isinstance(error, MemoryError | self._torch.OutOfMemoryError)
        )
        if failure.code is FailureCode.GENERATION_ERROR and isinstance(error, self._torch.AcceleratorError):
            raise DeviceLost(failure.message) from error
        return failure

    def _free_memory(self) -> None:
        if self._model.device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _token_ids(self, batch: Sequence[_Asked], parameters: GenerationParameters) -> list[list[int]]:
        torch = self._torch
        width = max(len(one.ids) for one in batch)
        blank = [width - len(one.ids) for one in batch]  # to the left, and masked out
        ids = [[self._pad_id] * n + one.ids for n, one in zip(blank, batch, strict=True)]
        mask = [[0] * n + [1] * len(one.ids) for n, one in zip(blank, batch, strict=True)]
        seeds = [_seed(one.item, parameters) for one in batch]
        sampled = any(seed is not None for seed in seeds)
        own = [SeededRows(seeds, parameters.temperature, parameters.top_p)] if sampled else []
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=torch.tensor(ids, device=self._model.device),
                attention_mask=torch.tensor(mask, device=self._model.device),
                generation_config=self._configuration(parameters),
                logits_processor=own,
                **({"tokenizer": self._tokenizer} if parameters.stop else {}),
            )
        rows: list[list[int]] = output[:, width:].tolist()
        return rows

    def _configuration(self, parameters: GenerationParameters) -> Any:
        """Everything that steers generation, said out loud.

        ``generate`` fills what is unset from the model's own ``generation_config``, where a
        repository may have put sampling, penalties or suppressed tokens: so that one is replaced.
        """
        from transformers import GenerationConfig

        configuration = GenerationConfig(
            max_new_tokens=parameters.max_new_tokens,
            do_sample=False,  # what is sampled has its noise from `SeededRows`
            num_beams=1,
            eos_token_id=self._end_ids or None,
            pad_token_id=self._pad_id,
            **({"stop_strings": list(parameters.stop)} if parameters.stop else {}),
        )
        self._model.generation_config = configuration
        return configuration

    def _read(
        self,
        asked: _Asked,
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


def _seed(item: Item, parameters: GenerationParameters) -> int | None:
    """The seed of an item's sampling, None where it is greedy."""
    own = item.parameters(parameters)
    return own.seed if own.temperature > 0 else None


def _too_long(item: Item, length: int, parameters: GenerationParameters, source: ModelSource) -> ItemFailure:
    message = (
        f"prompt of {length} tokens and {parameters.max_new_tokens} to generate "
        f"exceed the context of {source.context_tokens}"
    )
    return ItemFailure(id=item.id, code=FailureCode.PROMPT_TOO_LONG, message=message)


def _failed(item: Item, message: str, *, memory: bool = False) -> ItemFailure:
    code = FailureCode.OUT_OF_MEMORY if memory or "out of memory" in message else FailureCode.GENERATION_ERROR
    return ItemFailure(id=item.id, code=code, message=message)


def _before_stop(text: str, stop: Sequence[str]) -> str:
    return text[: min((place for wanted in stop if (place := text.find(wanted)) >= 0), default=len(text))]
