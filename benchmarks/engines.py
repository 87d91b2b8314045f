"""Tokens per second of the engines, on one GPU: one by one, batched, continuous batching, and vLLM.

Models of the shapes that production serves, with random weights: speed does not depend on what the
weights say, and nothing has to be downloaded. All ways answer the same prompts in one run; vLLM is
measured where it is installed.

    python -m benchmarks.engines           writes benchmarks/engines.md; needs CUDA and 20 GB of disk
    python -m benchmarks.engines --tiny    the same code on a small model and the CPU: shows that it
                                           works, and is no result

No GPU was at hand when this was written: the shapes were tried small and on a CPU, vLLM not at all.
"""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import inference.tiny
from inference.contract import Engine, GenerationParameters, Item, ItemAnswer, ModelSource
from inference.model_files import folder_revision
from inference.runtime.transformers import BATCH_SIZE, TransformersRuntime

TABLE = Path(__file__).with_suffix(".md")
TINY = Path(inference.tiny.__file__).parent / "weights" / "tiny-llama"
CONTEXT_TOKENS = 2048
WARM_UP_ITEMS = 2

# The configurations of meta-llama/Llama-3.2-1B-Instruct and mistralai/Mistral-7B-Instruct-v0.3.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "llama3.2-1b": {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "mistral-7b": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 32768,
        "tie_word_embeddings": False,
        "sliding_window": None,
    },
}


@dataclass(frozen=True)
class Load:
    """How much is asked of each engine."""

    prompts: int
    new_tokens: int
    device: str
    dtype: str

    @property
    def parameters(self) -> GenerationParameters:
        return GenerationParameters(max_new_tokens=self.new_tokens)

    def items(self) -> list[Item]:
        """Prompts of unequal length."""
        return [
            Item(id=str(n), system_prompt="Be brief.", prompt=f"Question {n}: " + "and then? " * (n % 16 + 1))
            for n in range(self.prompts)
        ]


GPU = Load(prompts=64, new_tokens=256, device="cuda", dtype="bfloat16")
CPU = Load(prompts=6, new_tokens=12, device="cpu", dtype="float32")


@dataclass(frozen=True)
class Measured:
    model: str
    way: str
    tokens: int
    seconds: float


def a_random_model(name: str, folder: Path, load: Load) -> Path:
    """A model folder of this shape, with the tokenizer of a small one."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    shape = dict(SHAPES[name])
    configuration = AutoConfig.for_model(
        shape.pop("model_type"), max_position_embeddings=CONTEXT_TOKENS, **shape
    )
    torch.manual_seed(1)
    with torch.device(load.device):
        model = AutoModelForCausalLM.from_config(configuration, dtype=getattr(torch, load.dtype))
    model.save_pretrained(folder, max_shard_size="100GB")
    return folder


def the_source(folder: Path, dtype: str, engine: Engine) -> ModelSource:
    own = json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    return ModelSource.model_validate(
        {
            "id": folder.name,
            "folder": str(folder),
            "revision": folder_revision(folder),
            "dtype": dtype,
            "context_tokens": min(CONTEXT_TOKENS, own),
            "engine": engine,
        }
    )


def measure(model: str, folder: Path, load: Load) -> Iterator[Measured]:
    """Every way on one model, each warmed up first, each with the memory to itself."""

    def with_engine(engine: Engine) -> TransformersRuntime:
        return TransformersRuntime(the_source(folder, load.dtype, engine), device=load.device)

    runtime = with_engine("transformers")
    for way, size in (
        ("one by one", 1),
        (f"batches of {BATCH_SIZE}", BATCH_SIZE),
        (f"one batch of {load.prompts}", load.prompts),
    ):
        yield Measured(model, way, *timed(runtime, load, size))
    del runtime
    give_memory_back()
    runtime = with_engine("transformers-continuous")
    yield Measured(model, "continuous batching", *timed(runtime, load, load.prompts))
    del runtime
    give_memory_back()
    if importlib.util.find_spec("vllm") is not None:
        yield Measured(model, f"vLLM {importlib.metadata.version('vllm')}", *timed_vllm(folder, load))
        give_memory_back()


def timed(runtime: TransformersRuntime, load: Load, batch_size: int) -> tuple[int, float]:
    """Tokens generated, and the seconds that it took."""
    items = load.items()
    runtime.answer(items[:WARM_UP_ITEMS], load.parameters, batch_size=batch_size)
    start = time.perf_counter()
    results = runtime.answer(items, load.parameters, batch_size=batch_size)
    seconds = time.perf_counter() - start
    answers = [result for result in results if isinstance(result, ItemAnswer)]
    if len(answers) != len(items):
        sys.exit(
            f"{len(items) - len(answers)} prompts failed: {next(r for r in results if r not in answers)}"
        )
    return sum(answer.output_tokens or 0 for answer in answers), seconds


def timed_vllm(folder: Path, load: Load) -> tuple[int, float]:
    """The same by vLLM, in this process; ids in, ids out."""
    from transformers import AutoTokenizer
    from vllm import LLM, SamplingParams

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    prompts = [
        {"prompt_token_ids": tokenizer(f"{item.system_prompt}\n{item.prompt}")["input_ids"]}
        for item in load.items()
    ]
    engine = LLM(
        model=str(folder), dtype=load.dtype, max_model_len=CONTEXT_TOKENS, skip_tokenizer_init=True, seed=0
    )
    wanted = SamplingParams(temperature=0.0, max_tokens=load.new_tokens, detokenize=False)
    engine.generate(prompts[:WARM_UP_ITEMS], wanted, use_tqdm=False)
    start = time.perf_counter()
    outputs = engine.generate(prompts, wanted, use_tqdm=False)
    seconds = time.perf_counter() - start
    return sum(len(output.outputs[0].token_ids) for output in outputs), seconds


def give_memory_back() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def table(rows: Sequence[Measured]) -> str:
    lines = ["| model | way | tokens | seconds | tokens per second | × one by one |"]
    lines += ["|---|---|---:|---:|---:|---:|"]
    alone = {row.model: row.tokens / row.seconds for row in rows if row.way == "one by one"}
    for row in rows:
        speed = row.tokens / row.seconds
        lines.append(
            f"| {row.model} | {row.way} | {row.tokens} | {row.seconds:.1f} | {speed:.0f} "
            f"| {speed / alone[row.model]:.1f} |"
        )
    return "\n".join(lines)


def machine(device: str) -> str:
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    libraries = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("torch", "transformers"))
    return f"{name}, {libraries}, Python {platform.python_version()}"


@click.command()
@click.option("--tiny", is_flag=True, help="A small model on the CPU, to see that it works: no result.")
def main(tiny: bool) -> None:
    """Measure every engine, and write benchmarks/engines.md."""
    import torch

    load = CPU if tiny else GPU
    if not tiny and not torch.cuda.is_available():
        raise click.ClickException("no CUDA device here: run it on a GPU machine, or try it with --tiny")
    rows: list[Measured] = []
    if tiny:
        rows += measure(TINY.name, TINY, load)
    else:
        for name in SHAPES:
            with tempfile.TemporaryDirectory() as folder:
                rows += measure(name, a_random_model(name, Path(folder) / name, load), load)
    asked = f"{load.prompts} prompts, at most {load.new_tokens} new tokens each, {load.dtype}, greedy"
    text = f"{machine(load.device)}; {asked}\n\n{table(rows)}"
    print(text)
    if tiny:
        print("\nA tiny model on a CPU: this shows that the script works, and nothing about the engines.")
    else:
        TABLE.write_text(f"{text}\n")


if __name__ == "__main__":
    main()
