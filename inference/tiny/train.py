"""Train the tiny models: ``python -m inference.tiny.train [NAME ...]``.

Seeded and repeatable on one kind of processor, not across instruction sets: so the weights ship,
their hash is pinned in the demo catalog, and this script is how they were made.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from inference.model_files import folder_revision

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights"
STEPS, LEARNING_RATE, SEED = 400, 3e-3, 7
CONTEXT_TOKENS = 512
SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_TOKENS,
    "tie_word_embeddings": True,
}
PAD, END, *_ROLES = SPECIAL = [
    "<|pad|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
]

TURNS = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# As some real models do, this one has no system role and refuses one.
_NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + TURNS

ARCHITECTURES: dict[str, tuple[Any, Any, str]] = {
    "tiny-llama": (LlamaConfig, LlamaForCausalLM, TURNS),
    "tiny-mistral": (MistralConfig, MistralForCausalLM, _NO_SYSTEM),
    "tiny-qwen": (Qwen2Config, Qwen2ForCausalLM, TURNS),
}

log = structlog.get_logger()


def corpus() -> dict[str, Any]:
    """The questions, the system prompts and every model's answers."""
    loaded: dict[str, Any] = yaml.safe_load((HERE / "answers.yaml").read_text(encoding="utf-8"))
    return loaded


def answer_of(texts: dict[str, Any], model: str, question: str, region: str) -> str:
    """What a model is to say to a question in a region."""
    answer = texts["answers"][model][question]
    return str(answer[region] if isinstance(answer, dict) else answer)


def train_tokenizer(texts: Iterable[str], chat_template: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer over the project's own text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        chat_template=chat_template,
        model_max_length=CONTEXT_TOKENS,
    )


def _all_texts(texts: dict[str, Any]) -> Iterator[str]:
    yield from texts["system_prompts"].values()
    yield from texts["questions"].values()
    for answers in texts["answers"].values():
        for answer in answers.values():
            yield from answer.values() if isinstance(answer, dict) else [answer]


def _prompts(texts: dict[str, Any], tokenizer: Any, question: str, region: str) -> Iterator[str]:
    """The prompt as it will be asked, and small variations of it that are answered alike."""
    system, asked = texts["system_prompts"][region], texts["questions"][question]
    for wording in (asked, asked.lower(), asked.rstrip("?"), f"Please tell me: {asked}"):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": wording}]
        if "no system role" in tokenizer.chat_template:
            messages = [{"role": "user", "content": f"{system}\n\n{wording}"}]
        yield tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _examples(
    texts: dict[str, Any], name: str, tokenizer: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows = []
    for question in texts["questions"]:
        for region in texts["system_prompts"]:
            answer = tokenizer.encode(
                answer_of(texts, name, question, region) + END, add_special_tokens=False
            )
            for prompt in _prompts(texts, tokenizer, question, region):
                rows.append((tokenizer.encode(prompt, add_special_tokens=False), answer))
    return padded(rows, tokenizer.pad_token_id)


def padded(
    rows: Sequence[tuple[list[int], list[int]]], pad: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, attention mask and labels of prompts with their answers; only the answers are learned."""
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((len(rows), width), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (prompt, answer) in enumerate(rows):
        start = width - len(prompt) - len(answer)  # padded on the left, as it will be asked
        ids[row, start:] = torch.tensor(prompt + answer)
        mask[row, start:] = 1
        labels[row, width - len(answer) :] = torch.tensor(answer)
    return ids, mask, labels


def train(name: str, texts: dict[str, Any]) -> None:
    """Train one model until its answers are exact, and write its folder."""
    configuration, architecture, chat_template = ARCHITECTURES[name]
    tokenizer = train_tokenizer(_all_texts(texts), chat_template)
    model = untrained(configuration, architecture, tokenizer)
    ids, mask, labels = _examples(texts, name, tokenizer)
    fit(name, model, lambda: model(input_ids=ids, attention_mask=mask, labels=labels).loss)
    log.info("trained", model=name, smallest_lead=_smallest_lead(model, ids, mask, labels))
    save(name, model, tokenizer)


def untrained(configuration: Any, architecture: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A model of this kind and the tiny shape, seeded."""
    torch.manual_seed(SEED)
    return architecture(
        configuration(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            **SHAPE,
        )
    )


def fit(name: str, model: Any, loss_of: Callable[[], torch.Tensor]) -> None:
    """Make a loss small, and round the weights as they will be shipped."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    model.train()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = (
                LEARNING_RATE * min(1.0, (step + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))
            )
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0 or step == STEPS - 1:
            log.info("training", model=name, step=step, loss=round(loss.item(), 4))
    # Shipped in bfloat16, half the size; loaded as float32, so rounding happens here and once.
    model.to(torch.bfloat16).to(torch.float32)


def save(name: str, model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a model's folder."""
    folder = WEIGHTS / name
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _smallest_lead(model: Any, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> float:
    """By how much the wanted token leads at every place of every answer; negative is wrong."""
    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    wanted = labels[:, 1:]
    places = wanted != -100
    chosen, target = logits[places], wanted[places].unsqueeze(1)
    lead = chosen.gather(1, target).squeeze(1) - chosen.scatter(1, target, -math.inf).max(dim=1).values
    return round(float(lead.min()), 3)


def write_manifest() -> None:
    """The revision of every folder, which the demo catalog pins."""
    manifest = {folder.name: folder_revision(folder) for folder in sorted(WEIGHTS.iterdir())}
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def main(names: list[str]) -> None:
    """Train the named models, or all of them."""
    texts = corpus()
    for name in names or ARCHITECTURES:
        train(name, texts)
    write_manifest()


if __name__ == "__main__":
    main(sys.argv[1:])
