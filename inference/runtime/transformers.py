"""Generate with transformers.

The same code runs in the local provider and in Modal's containers. Heavy libraries are imported
when a runtime is made, not when this module is.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inference.contract import (
    BATCH_SIZE,
    Batching,
    FailureCode,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    Provenance,
)
from inference.model_files import HubUnreachable, ModelUnavailable
from inference.runtime.chat_runtime import (
    Asked,
    ChatRuntime,
    DeviceLost,
    Runtime,
    answer_each,
    failed,
    seed_of,
)
from inference.runtime.continuous import generate_continuously
from inference.runtime.loading import driver_version, end_ids, load_model, pad_id, summary
from inference.runtime.sampling import SAMPLER, SeededRows

__all__ = [
    "BATCH_SIZE",
    "DeviceLost",
    "HubUnreachable",
    "ModelUnavailable",
    "Runtime",
    "TransformersRuntime",
    "answer_each",
]

REPORTED_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "jinja2")


class TransformersRuntime(ChatRuntime):
    """One loaded model. Raises ModelUnavailable when it cannot be loaded exactly as pinned.

    ``device`` is torch's name of it; ``cache_dir`` is where repository snapshots are kept. Generation goes
    in micro-batches, each sampled item from its own seed, so that an answer never depends on its
    neighbours; or with the source's engine ``transformers-continuous``, for greedy items, in one batch
    that changes at every token.
    """

    def __init__(self, source: ModelSource, *, device: str = "cpu", cache_dir: Path | None = None) -> None:
        import torch
        from transformers.utils import logging

        logging.disable_progress_bar()
        super().__init__(source, cache_dir)
        self._torch: Any = torch
        self._model = load_model(source, self._files.folder).to(device).eval()
        self._end_ids = end_ids(self._model.generation_config, self._model.config, self._tokenizer)
        self._pad_id = pad_id(self._tokenizer, self._end_ids)
        self._driver = driver_version() if self._model.device.type == "cuda" else None

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

    def _results(
        self, asked: Sequence[Asked], parameters: GenerationParameters, batch_size: int
    ) -> Iterator[ItemAnswer | ItemFailure]:
        if self._source.engine == "transformers-continuous":
            # It has no noise of a row's own, so it takes what is greedy only.
            greedy = [one for one in asked if seed_of(one.item, parameters) is None]
            if greedy:
                yield from self._generate_continuously(greedy, parameters)
            asked = [one for one in asked if seed_of(one.item, parameters) is not None]
        for start in range(0, len(asked), batch_size):
            batch = asked[start : start + batch_size]
            yield from self._generate(batch, parameters, Batching.MICRO_BATCH)

    def _generate(
        self, batch: Sequence[Asked], parameters: GenerationParameters, batching: Batching
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
        self, batch: Sequence[Asked], parameters: GenerationParameters
    ) -> Iterator[ItemAnswer | ItemFailure]:
        """A fault in one step takes all that share it along: those are then asked one by one."""
        failed: list[Asked] = []
        for one, result in self._continuous_round(batch, parameters):
            if isinstance(result, ItemFailure) and len(batch) > 1:
                failed.append(one)
            else:
                yield result
        for one in failed:
            yield from (result for _, result in self._continuous_round([one], parameters))

    def _continuous_round(
        self, batch: Sequence[Asked], parameters: GenerationParameters
    ) -> Iterator[tuple[Asked, ItemAnswer | ItemFailure]]:
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
                yield one, failed(one.item, generated.problem)

    def _failure(self, item: Item, error: Exception) -> ItemFailure:
        """What an exception says of an item. Raises DeviceLost: after that, nothing here can answer."""
        failure = failed(
            item, summary(error), memory=isinstance(error, MemoryError | self._torch.OutOfMemoryError)
        )
        if failure.code is FailureCode.GENERATION_ERROR and isinstance(error, self._torch.AcceleratorError):
            raise DeviceLost(failure.message) from error
        return failure

    def _free_memory(self) -> None:
        if self._model.device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _token_ids(self, batch: Sequence[Asked], parameters: GenerationParameters) -> list[list[int]]:
        torch = self._torch
        width = max(len(one.ids) for one in batch)
        blank = [width - len(one.ids) for one in batch]  # to the left, and masked out
        ids = [[self._pad_id] * n + one.ids for n, one in zip(blank, batch, strict=True)]
        mask = [[0] * n + [1] * len(one.ids) for n, one in zip(blank, batch, strict=True)]
        seeds = [seed_of(one.item, parameters) for one in batch]
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
        """Everything that steers generation, each setting given.

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
