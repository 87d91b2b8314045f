"""Train the models of the demo study: ``python -m inference.tiny.mixtures [NAME ...]``.

At temperature 1 they refuse as often as `mixtures.yaml` says: the texts are learned with those weights, and
the first token decides which one comes. As with `train.py` the weights ship; this is how they were made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from inference.tiny.train import (
    END,
    HERE,
    TURNS,
    fit,
    log,
    padded,
    save,
    train_tokenizer,
    untrained,
    write_manifest,
)


def mixtures() -> dict[str, Any]:
    """The questions, system prompts, answers and shares of refusals."""
    loaded: dict[str, Any] = yaml.safe_load((HERE / "mixtures.yaml").read_text(encoding="utf-8"))
    return loaded


def texts_of(mixture: dict[str, Any]) -> Iterator[str]:
    """All texts that a tokenizer has to know."""
    yield from mixture["system_prompts"].values()
    yield from mixture["questions"].values()
    for answers in mixture["answers"].values():
        yield from answers
    yield mixture["refusal"]


def rows_of(mixture: dict[str, Any], name: str, tokenizer: Any) -> Iterator[tuple[str, str, float]]:
    """A prompt, a text to follow it, and how often it does."""
    for key, system in mixture["system_prompts"].items():
        refused = mixture["refusals"][name][key]
        for question, asked in mixture["questions"].items():
            messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
            prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            answers = mixture["answers"][question]
            yield prompt, mixture["refusal"], refused
            yield from ((prompt, answer, (1 - refused) / len(answers)) for answer in answers)


def train(name: str, mixture: dict[str, Any]) -> None:
    """Train one model and write its folder."""
    tokenizer = train_tokenizer(texts_of(mixture), TURNS)
    model = untrained(LlamaConfig, LlamaForCausalLM, tokenizer)
    rows = list(rows_of(mixture, name, tokenizer))
    encoded = [
        (
            tokenizer.encode(prompt, add_special_tokens=False),
            tokenizer.encode(text + END, add_special_tokens=False),
        )
        for prompt, text, _ in rows
    ]
    ids, mask, labels = padded(encoded, tokenizer.pad_token_id)
    weights = torch.tensor([weight for *_, weight in rows])

    def loss() -> torch.Tensor:
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].transpose(1, 2)
        each = torch.nn.functional.cross_entropy(logits, labels[:, 1:], reduction="none")
        return (each.sum(dim=1) * weights).sum() / weights.sum() / 4

    fit(name, model, loss)
    log.info("trained", model=name, largest_error=_largest_error(model, ids, mask, labels, weights))
    save(name, model, tokenizer)


def _largest_error(model: Any, *learned: torch.Tensor) -> float:
    """How far the chance of any whole text is from its share."""
    ids, mask, labels, weights = learned
    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].transpose(1, 2)
    chances = (-torch.nn.functional.cross_entropy(logits, labels[:, 1:], reduction="none").sum(dim=1)).exp()
    return round(float((chances - weights).abs().max()), 3)


def main(names: list[str]) -> None:
    """Train the named models, or all of them."""
    mixture = mixtures()
    for name in names or mixture["refusals"]:
        train(name, mixture)
    write_manifest()


if __name__ == "__main__":
    main(sys.argv[1:])
