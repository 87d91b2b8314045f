"""Generate with transformers: the one place where a prompt becomes an answer.

The same code runs in the local provider and in Modal's containers. Heavy libraries are imported
when a runtime is made, not when this module is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from inference.continuous import generate_continuously
from inference.contract import (
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

REPORTED_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors")
REPOSITORY_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer*")  # never code, never pickles
BATCH_SIZE = 8

OnResult = Callable[[ItemAnswer | ItemFailure], None]


class ModelUnavailable(Exception):
    """The model cannot be loaded as asked for: missing, not the pinned weights, or unfit to chat."""


class HubUnreachable(ModelUnavailable):
    """The repository's host did not answer, or not now: a later try may load the model."""


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


class TransformersRuntime:
    """One loaded model. Raises ModelUnavailable when it cannot be loaded exactly as pinned.

    ``device`` is torch's name of it; ``cache_dir`` is where repository snapshots are kept.
    """

    def __init__(self, source: ModelSource, *, device: str = "cpu", cache_dir: Path | None = None) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._torch: Any = torch
        self._source = source
        folder = _folder_of(source, cache_dir)
        self._weights_sha256 = _weights_digest(folder)
        if source.folder is not None and self._weights_sha256 != source.revision:
            raise ModelUnavailable(
                f"{source.id}: the weights in {folder} have sha256 {self._weights_sha256}, "
                f"not the pinned {source.revision}"
            )
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, padding_side="left"
            )
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, source.dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelUnavailable(f"{source.id}: {_first_line(error)}") from error
        if not self._tokenizer.chat_template:
            raise ModelUnavailable(f"{source.id}: its tokenizer has no chat template")
        self._model = model.to(device).eval()
        self._tokenizer_sha256 = _digest_of([folder / "tokenizer.json"])
        self._end_ids = _end_ids(self._model, self._tokenizer)
        self._tokenizer.pad_token = _pad_token(self._tokenizer, self._end_ids)

    def answer(
        self,
        items: Sequence[Item],
        parameters: GenerationParameters,
        *,
        batch_size: int | None = None,
        on_result: OnResult | None = None,
    ) -> list[ItemAnswer | ItemFailure]:
        """One result for each item, in order; a failing item leaves its batch mates alone.

        Greedy generation goes in micro-batches of ``batch_size``, or with the source's engine
        ``transformers-continuous`` in one batch that changes at every token. Sampling goes one by
        one, each from the same seed, so that an answer never depends on its neighbours.
        ``on_result`` gets every result as soon as it is there.
        """
        results: dict[str, ItemAnswer | ItemFailure] = {}

        def keep(result: ItemAnswer | ItemFailure) -> None:
            results[result.id] = result
            if on_result is not None:
                on_result(result)

        fitting = []
        for item in items:
            prompt = self._render(item)
            length = len(self._tokenizer(prompt, add_special_tokens=False)["input_ids"])
            if length + parameters.max_new_tokens > self._source.context_tokens:
                keep(_too_long(item, length, parameters, self._source))
            else:
                fitting.append((item, prompt))
        if self._source.engine == "transformers-continuous" and parameters.temperature == 0:
            for result in self._generate_continuously(fitting, parameters):
                keep(result)
            return [results[item.id] for item in items]
        size = 1 if parameters.temperature > 0 else batch_size or BATCH_SIZE
        for start in range(0, len(fitting), size):
            for result in self._generate(fitting[start : start + size], parameters):
                keep(result)
        return [results[item.id] for item in items]

    def provenance(self, batch_size: int) -> Provenance:
        """What makes the answers of this runtime, for a call of so many items at once.

        Continuous batching has no batch size to report: it changes at every token.
        """
        return Provenance(
            model_revision=self._source.revision,
            weights_sha256=self._weights_sha256,
            tokenizer_sha256=self._tokenizer_sha256,
            dtype=self._source.dtype,
            device=self._device_name(),
            engine=self._source.engine,
            libraries={name: importlib.metadata.version(name) for name in REPORTED_LIBRARIES},
            batch_size=batch_size if self._source.engine == "transformers" else None,
        )

    def _device_name(self) -> str:
        device = self._model.device
        return str(self._torch.cuda.get_device_name(device)) if device.type == "cuda" else str(device.type)

    def _render(self, item: Item) -> str:
        """The prompt as the model's own chat template writes it."""
        from jinja2.exceptions import TemplateError

        user = {"role": "user", "content": item.prompt}
        system = [{"role": "system", "content": item.system_prompt}] if item.system_prompt else []
        try:
            return self._apply_template([*system, user])
        except TemplateError:
            # Templates without a system role raise; the usual place for it is before the question.
            return self._apply_template(
                [{"role": "user", "content": f"{item.system_prompt}\n\n{item.prompt}"}]
            )

    def _apply_template(self, messages: list[dict[str, str]]) -> str:
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _generate(
        self, batch: Sequence[tuple[Item, str]], parameters: GenerationParameters
    ) -> list[ItemAnswer | ItemFailure]:
        started = time.monotonic()
        try:
            rows, prompt_lengths = self._token_ids([prompt for _, prompt in batch], parameters)
        except RuntimeError as error:  # torch's own, out of memory included
            if len(batch) > 1:
                middle = len(batch) // 2
                return [
                    *self._generate(batch[:middle], parameters),
                    *self._generate(batch[middle:], parameters),
                ]
            out_of_memory = isinstance(error, self._torch.OutOfMemoryError | MemoryError)
            code = FailureCode.OUT_OF_MEMORY if out_of_memory else FailureCode.GENERATION_ERROR
            return [ItemFailure(id=batch[0][0].id, code=code, message=_first_line(error))]
        seconds = time.monotonic() - started
        return [
            self._read(item, row, length, seconds)
            for (item, _), row, length in zip(batch, rows, prompt_lengths, strict=True)
        ]

    def _generate_continuously(
        self, batch: Sequence[tuple[Item, str]], parameters: GenerationParameters
    ) -> Iterator[ItemAnswer | ItemFailure]:
        prompts = [self._tokenizer(text, add_special_tokens=False)["input_ids"] for _, text in batch]
        started = time.monotonic()
        configuration = self._configuration(parameters)
        for generated in generate_continuously(
            self._model, prompts, configuration, context_tokens=self._source.context_tokens
        ):
            item, prompt = batch[generated.position][0], prompts[generated.position]
            if generated.problem is None:
                yield self._read(item, generated.ids, len(prompt), time.monotonic() - started)
            else:
                out_of_memory = "out of memory" in generated.problem
                code = FailureCode.OUT_OF_MEMORY if out_of_memory else FailureCode.GENERATION_ERROR
                yield ItemFailure(id=item.id, code=code, message=generated.problem)

    def _token_ids(
        self, prompts: list[str], parameters: GenerationParameters
    ) -> tuple[list[list[int]], list[int]]:
        torch = self._torch
        # The template wrote every special token already.
        encoded = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        encoded = encoded.to(self._model.device)
        torch.manual_seed(parameters.seed)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                generation_config=self._configuration(parameters),
            )
        width = encoded["input_ids"].shape[1]
        return output[:, width:].tolist(), encoded["attention_mask"].sum(dim=1).tolist()

    def _configuration(self, parameters: GenerationParameters) -> Any:
        """Everything that steers generation, said out loud.

        ``generate`` fills what is unset from the model's own ``generation_config``, where a
        repository may have put sampling, penalties or suppressed tokens: so that one is replaced.
        """
        from transformers import GenerationConfig

        sampling = (
            {"temperature": parameters.temperature, "top_p": parameters.top_p, "top_k": 0}
            if parameters.temperature > 0
            else {}
        )
        configuration = GenerationConfig(
            max_new_tokens=parameters.max_new_tokens,
            do_sample=bool(sampling),
            num_beams=1,
            eos_token_id=self._end_ids,
            pad_token_id=self._tokenizer.pad_token_id,
            **(
                {"temperature": parameters.temperature, "top_p": parameters.top_p, "top_k": 0}
                if sampling
                else {}
            ),
        )
        self._model.generation_config = configuration
        return configuration

    def _read(self, item: Item, row: list[int], prompt_length: int, seconds: float) -> ItemAnswer:
        """The answer in a row of generated ids: all before the first end token, which is not counted."""
        ends = [position for position, token in enumerate(row) if token in self._end_ids]
        ids = row[: ends[0]] if ends else row
        return ItemAnswer(
            id=item.id,
            text=self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            finish_reason=FinishReason.STOP if ends else FinishReason.LENGTH,
            prompt_tokens=prompt_length,
            output_tokens=len(ids),
            output_token_sha256=token_digest(ids),
            seconds=seconds,
        )


def _folder_of(source: ModelSource, cache_dir: Path | None) -> Path:
    if source.folder is not None:
        folder = Path(source.folder)
        if not folder.is_dir():
            raise ModelUnavailable(f"{source.id}: no folder {folder}")
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = snapshot_download(
            str(source.repository),
            revision=source.revision,
            cache_dir=cache_dir,
            allow_patterns=list(REPOSITORY_FILES),
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        # Without a copy in the cache, a failed connection is told as a missing local entry.
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        passing = isinstance(error, LocalEntryNotFoundError) or (status is not None and _may_pass(status))
        raise (HubUnreachable if passing else ModelUnavailable)(
            f"{source.id}: {source.repository} at {source.revision}: {_first_line(error)}"
        ) from error
    return Path(path)


def _may_pass(http_status: int) -> bool:
    return http_status == 429 or http_status >= 500


def _weights_digest(folder: Path) -> str:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelUnavailable(f"no safetensors weights in {folder}; other formats are not loaded")
    return _digest_of(files)


def _digest_of(files: Sequence[Path]) -> str:
    """sha256 of a file; of several, of the list of their digests and names, in order."""
    digests = []
    for file in files:
        try:
            with file.open("rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            raise ModelUnavailable(f"cannot read {file}: {error.strerror}") from error
    if len(files) == 1:
        return digests[0]
    listing = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends an answer, as the model's files say; there may be several."""
    found: set[int] = set()
    for owner in (model.generation_config, model.config, tokenizer):
        ids = getattr(owner, "eos_token_id", None)
        found.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
    return sorted(found)


def _pad_token(tokenizer: Any, end_ids: Sequence[int]) -> str:
    """A token for padding that ends no answer; masked out, it never reaches the model's attention."""
    known = tokenizer.get_vocab()
    candidates = (tokenizer.pad_token, "<|finetune_right_pad_id|>", "<pad>", "[PAD]", tokenizer.unk_token)
    for token in (*candidates, tokenizer.bos_token):
        if token in known and known[token] not in end_ids:
            return str(token)
    raise ModelUnavailable("the tokenizer has no token that could pad without ending an answer")


def _too_long(item: Item, length: int, parameters: GenerationParameters, source: ModelSource) -> ItemFailure:
    message = (
        f"prompt of {length} tokens and {parameters.max_new_tokens} to generate "
        f"exceed the context of {source.context_tokens}"
    )
    return ItemFailure(id=item.id, code=FailureCode.PROMPT_TOO_LONG, message=message)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
