"""Small random models shaped like the families that people ask: architecture, special tokens, template.

The templates are written for these tests. Each does to a conversation what its family's does: write
the date, refuse or drop the system prompt, merge it, open a thought.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SYSTEM, QUESTION = "You are in Europe.", "Who are you?"

LLAMA = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "1 Jan 2020" %}
    {%- endif %}
{%- endif %}
{%- set system_text = "" %}
{%- if messages[0].role == "system" %}
    {%- set system_text = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- "<|head|>system<|/head|>\\nToday: " + date_string + "\\n" + system_text + "<|eot_id|>" }}
{%- for message in messages %}
    {{- "<|head|>" + message.role + "<|/head|>\\n" + message.content | trim + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|head|>assistant<|/head|>\\n" }}
{%- endif %}
"""

MISTRAL = """\
{%- if messages[0].role == "system" %}
    {%- set instructions = messages[0].content %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in turns %}
    {%- if (message.role == "user") != (loop.index0 % 2 == 0) %}
        {{- raise_exception("users and assistants take turns") }}
    {%- endif %}
    {%- if loop.last and instructions is defined %}
        {{- "[INST] " + instructions + "\\n\\n" + message.content + "[/INST]" }}
    {%- else %}
        {{- "[INST] " + message.content + "[/INST]" }}
    {%- endif %}
{%- endfor %}
"""

CHATML = """\
{%- if messages[0].role != "system" %}
    {{- "<|im_start|>system\\nYou help.<|im_end|>\\n" }}
{%- endif %}
{%- for message in messages %}
    {{- "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\\n" }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- "<think>\\n\\n</think>\\n\\n" }}
    {%- endif %}
{%- endif %}
"""

GEMMA = """\
{{- bos_token }}
{%- if messages[0].role == "system" %}
    {{- raise_exception("there is no system role") }}
{%- endif %}
{%- for message in messages %}
    {{- "<turn>" + message.role + "\\n" + message.content | trim + "</turn>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<turn>model\\n" }}
{%- endif %}
"""

R1 = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == "system" %}
        {{- message.content }}
    {%- else %}
        {{- "<|User|>" + message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|Assistant|><think>\\n" }}
{%- endif %}
"""

HARMONY = """\
{%- macro introduction() -%}
    {{- "<|start|>system<|message|>Current date: " + strftime_now("%Y-%m-%d") + "<|end|>" }}
{%- endmacro -%}
{{- introduction() }}
{%- for message in messages %}
    {%- if message.role == "system" %}
        {{- "<|start|>developer<|message|># Instructions\\n\\n" + message.content + "<|end|>" }}
    {%- else %}
        {{- "<|start|>" + message.role + "<|message|>" + message.content + "<|end|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|start|>assistant" }}
{%- endif %}
"""

PHI = """\
{%- for message in messages %}
    {%- if message.role == "user" %}
        {{- "<|user|>\\n" + message.content + "<|end|>\\n" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|assistant|>\\n" }}
{%- endif %}
"""


@dataclass(frozen=True)
class Family:
    """One family's shape, the prompt that it gives, and how it writes its thoughts.

    ``output`` may have thoughts; ``answer`` is what of it is the answer.
    """

    name: str
    architecture: str  # as in transformers: <architecture>Config, <architecture>ForCausalLM
    template: str
    ends: tuple[str, ...]  # as generation_config lists them
    prompt: str
    special: tuple[str, ...] = ()  # further special tokens
    plain: tuple[str, ...] = ()  # tokens of their own that are not special
    pad: str | None = None
    bos: str | None = None
    unk: str | None = None
    rendering: str = "system_role"
    attention: str = "sdpa"
    output: str = "I am a model."
    answer: str = "I am a model."
    thoughts: str | None = None
    shape: dict[str, Any] = field(default_factory=dict)


FAMILIES = (
    Family(
        "llama-3.2",
        "Llama",
        LLAMA,
        bos="<|begin_of_text|>",
        ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        special=("<|head|>", "<|/head|>"),
        prompt="<|begin_of_text|><|head|>system<|/head|>\nToday: 31 Jan 2026\nYou are in Europe.<|eot_id|>"
        "<|head|>user<|/head|>\nWho are you?<|eot_id|><|head|>assistant<|/head|>\n",
    ),
    Family(
        "mistral-7b-v0.3",
        "Mistral",
        MISTRAL,
        bos="<s>",
        unk="<unk>",
        ends=("</s>",),
        special=("[INST]", "[/INST]", "[THINK]", "[/THINK]"),
        prompt="<s>[INST] You are in Europe.\n\nWho are you?[/INST]",
        output="[THINK]They ask who I am.[/THINK]I am a model.",
        thoughts="They ask who I am.",
    ),
    Family(
        "qwen2.5",
        "Qwen2",
        CHATML,
        pad="<|endoftext|>",
        ends=("<|im_end|>", "<|endoftext|>"),
        special=("<|im_start|>",),
        prompt="<|im_start|>system\nYou are in Europe.<|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n"
        "<|im_start|>assistant\n",
    ),
    Family(
        "qwen3",
        "Qwen3",
        CHATML,
        pad="<|endoftext|>",
        ends=("<|im_end|>", "<|endoftext|>"),
        special=("<|im_start|>",),
        plain=("<think>", "</think>"),
        prompt="<|im_start|>system\nYou are in Europe.<|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n"
        "<|im_start|>assistant\n",
        output="<think>\nThey ask who I am.\n</think>\n\nI am a model.",
        thoughts="They ask who I am.",
    ),
    Family(
        "gemma",
        "Gemma",
        GEMMA,
        pad="<pad>",
        bos="<bos>",
        unk="<unk>",
        ends=("<eos>", "</turn>"),
        special=("<turn>",),
        rendering="system_in_question",
        prompt="<bos><turn>user\nYou are in Europe.\n\nWho are you?</turn>\n<turn>model\n",
        shape={"head_dim": 16},
    ),
    Family(
        "deepseek-r1-distill",
        "Qwen2",
        R1,
        pad="<|eos|>",
        bos="<|bos|>",
        ends=("<|eos|>",),
        special=("<|User|>", "<|Assistant|>"),
        plain=("<think>", "</think>"),
        prompt="<|bos|>You are in Europe.<|User|>Who are you?<|Assistant|><think>\n",
        output="They ask who I am.\n</think>\n\nI am a model.",
        thoughts="They ask who I am.",
    ),
    Family(
        "gpt-oss",
        "GptOss",
        HARMONY,
        pad="<|endoftext|>",
        bos="<|startoftext|>",
        ends=("<|return|>", "<|endoftext|>", "<|call|>"),
        special=("<|start|>", "<|message|>", "<|channel|>", "<|end|>"),
        prompt="<|start|>system<|message|>Current date: 2026-01-31<|end|>"
        "<|start|>developer<|message|># Instructions\n\nYou are in Europe.<|end|>"
        "<|start|>user<|message|>Who are you?<|end|><|start|>assistant",
        attention="eager",
        output="<|channel|>analysis<|message|>They ask who I am.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>I am a model.",
        thoughts="They ask who I am.",
        shape={
            "head_dim": 16,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 32,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    Family(
        "phi-3",
        "Phi3",
        PHI,
        pad="<|endoftext|>",
        bos="<s>",
        unk="<unk>",
        ends=("<|endoftext|>", "<|assistant|>", "<|end|>"),
        special=("<|user|>", "<|system|>"),
        rendering="system_in_question",
        prompt="<|user|>\nYou are in Europe.\n\nWho are you?<|end|>\n<|assistant|>\n",
    ),
)


def write_model(family: Family, folder: Path) -> Path:
    """Make a small random model of a family, with its tokenizer; returns its folder."""
    import torch
    import transformers

    tokenizer = _tokenizer(family)
    ends = [tokenizer.convert_tokens_to_ids(end) for end in family.ends]
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.5,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": ends[0],
        "pad_token_id": tokenizer.pad_token_id,
    }
    configuration = getattr(transformers, f"{family.architecture}Config")(**shape | family.shape)
    torch.manual_seed(5)
    model = getattr(transformers, f"{family.architecture}ForCausalLM")(configuration)
    model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: Family) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    named = (family.pad, family.bos, family.unk, *family.ends, *family.special)
    backend.add_special_tokens(list(dict.fromkeys(token for token in named if token)))
    backend.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=family.pad,
        bos_token=family.bos,
        unk_token=family.unk,
        eos_token=family.ends[0],
        extra_special_tokens=list(family.special),
        chat_template=family.template,
    )
