"""Load a model from its folder, and find out what generation needs to know of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inference.contract import ModelSource
from inference.model_files import ModelUnavailable, first_line

DRIVER_SECONDS = 10.0  # for nvidia-smi to name the driver


def load_tokenizer(source: ModelSource, folder: Path) -> Any:
    """The tokenizer of a folder, never code of its own. Raises ModelUnavailable."""
    from transformers import AutoTokenizer

    with _unavailable(source):
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, padding_side="left"
        )


def load_model(source: ModelSource, folder: Path) -> Any:
    """The model of a folder: never code of its own, never pickles.

    Raises ModelUnavailable, and what says that memory ran out.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with _unavailable(source):
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, source.dtype),
            attn_implementation=source.attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    _check_context(source, model.config)
    return model


def load_configurations(source: ModelSource, folder: Path) -> tuple[Any, Any]:
    """The configurations of a folder's model and of its generation, where an engine loads the weights.

    Raises ModelUnavailable.
    """
    from transformers import AutoConfig, GenerationConfig

    with _unavailable(source):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        try:
            generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
        except OSError:  # it has none of its own
            generation = GenerationConfig.from_model_config(config)
    _check_context(source, config)
    return config, generation


@contextmanager
def _unavailable(source: ModelSource) -> Iterator[None]:
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        # Files that are cut off, of another architecture, or not what their names say.
        way_out = ": write `attention: eager` into models.yaml" if "attn_implementation" in str(error) else ""
        raise ModelUnavailable(f"{source.id}: {summary(error)}{way_out}") from error


def _check_context(source: ModelSource, config: Any) -> None:
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and source.context_tokens > longest:
        raise ModelUnavailable(
            f"{source.id}: context_tokens {source.context_tokens} is beyond the model's own {longest}: "
            f"write {longest} or less into models.yaml"
        )


def driver_version() -> str | None:
    """The version of the GPU's driver, None where ``nvidia-smi`` does not tell it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        result = subprocess.run(command, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=True)
        return next(iter(result.stdout.split()), None)
    return None


def end_ids(*owners: Any) -> list[int]:
    """Every token that ends an answer, as its configurations and its tokenizer say; there may be several."""
    found: set[int] = set()
    for owner in owners:
        ids = getattr(owner, "eos_token_id", None)
        found.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
    return sorted(found)


def pad_id(tokenizer: Any, end_ids: Sequence[int]) -> int:
    """A token for padding: the tokenizer's own, else any. Masked out, it never reaches the model's
    attention, and an answer is cut at its first end token, so it may be one of those."""
    if tokenizer.pad_token_id is not None:
        return int(tokenizer.pad_token_id)
    return end_ids[0] if end_ids else 0


def summary(error: BaseException) -> str:
    """The class of an exception and the first line of what it says."""
    line = first_line(error)
    return line if line == type(error).__name__ else f"{type(error).__name__}: {line}"
