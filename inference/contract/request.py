"""What is asked: a batch of items for one deployment, of which weights and with which parameters."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from inference.contract.values import SEED_LIMIT, Value, since

BATCH_SIZE = 8  # items in a micro-batch, unless the model says otherwise
MAX_TEMPERATURE = 2.0  # of a new request: OpenAI's API and vLLM's server take no more


class Deployment(Value):
    """One model served in one region: the unit that is warm and takes a batch."""

    region: str = Field(min_length=1)
    model: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.region}:{self.model}"


Engine = Literal["transformers", "transformers-continuous", "vllm"]
Attention = Literal["sdpa", "eager"]


class ModelSource(Value):
    """Where weights come from, a pinned repository revision or a local folder, and what runs them.

    ``revision`` is the commit of a repository, or for a local folder the sha256 over all its files
    that make an answer (`inference.model_files`); loading refuses a folder that does not match it.
    """

    id: str = Field(min_length=1)
    repository: str | None = None
    folder: str | None = None  # a path; relative ones are resolved by the catalog before this
    revision: str = Field(min_length=1)
    dtype: Literal["float32", "bfloat16", "float16"]
    context_tokens: int = Field(gt=0)
    engine: Engine = "transformers"  # what generates and batches; see `inference.runtime`
    attention: Attention = since("sdpa")  # transformers' name of the implementation
    batch_size: int = since(BATCH_SIZE, gt=0)  # most items generated together in a micro-batch
    # Kernels whose results do not depend on what else is in the batch; of vLLM only, and slower.
    batch_invariant: bool = since(default=False)

    @model_validator(mode="after")
    def _one_source(self) -> ModelSource:
        if (self.repository is None) == (self.folder is None):
            raise ValueError("give exactly one of 'repository' and 'folder'")
        return self


TemplateArgument = bool | int | float | str
# Set by whoever renders a template, or options of the rendering itself.
_NO_TEMPLATE_ARGUMENTS = frozenset((
    "messages", "conversation", "tools", "documents", "add_generation_prompt", "continue_final_message",
    "chat_template", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs", "sanitize_control_tokens", "strftime_now",
    "raise_exception", "pinned_date",
))  # fmt: skip


class GenerationParameters(Value):
    """How to ask and to generate. ``temperature`` 0 is greedy, and then ``top_p`` must stay 1.

    ``stop`` are texts that end an answer and are not part of it. ``prompt_date`` is the date for chat
    templates that write today's; None leaves them the clock. ``template_arguments`` go to the chat
    template by name (``enable_thinking``).
    """

    max_new_tokens: int = Field(gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = since((), strict=False)
    prompt_date: date | None = since(None, strict=False)
    template_arguments: dict[str, TemplateArgument] = since({})

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _greedy_is_greedy(self) -> GenerationParameters:
        if self.temperature == 0 and self.top_p != 1:
            raise ValueError("top_p has no meaning with temperature 0 (greedy)")
        return self

    @model_validator(mode="after")
    def _arguments_are_the_templates_own(self) -> GenerationParameters:
        unfit = [n for n in self.template_arguments if not n.isidentifier() or n in _NO_TEMPLATE_ARGUMENTS]
        if unfit:
            raise ValueError(f"template_arguments: {unfit[0]!r} is no variable of a chat template")
        return self


class Item(Value):
    """One prompt of a batch. ``id`` is the asker's own and is echoed in the reply.

    ``seed`` is of this item's sampling alone; None takes that of the parameters. ``greedy`` items take
    the likeliest token whatever the parameters' temperature, and then the seed has no effect.
    """

    id: str = Field(min_length=1)
    system_prompt: str
    prompt: str = Field(min_length=1)
    seed: int | None = since(None, ge=0, lt=SEED_LIMIT)
    greedy: bool = since(False)

    def parameters(self, common: GenerationParameters) -> GenerationParameters:
        """How this item is asked in a request with these parameters: its own seed, greedy if it is."""
        if self.greedy:
            return common.model_copy(update={"temperature": 0.0, "top_p": 1.0})
        return common if self.seed is None else common.model_copy(update={"seed": self.seed})


class Request(Value):
    """A batch of items for one deployment.

    ``id`` is the asker's own, durable before the request is sent. A provider whose ``durable``
    is true runs one id at most once, however often it is submitted. ``fresh_start`` asks for a
    container or process that has answered no other call, where the provider can give one; whether
    it did is in the reply (`Reply.cold_start`, `Provenance.fresh_start`).
    """

    id: str = Field(min_length=1)
    deployment: Deployment
    model: ModelSource
    parameters: GenerationParameters
    items: tuple[Item, ...] = Field(min_length=1, strict=False)
    fresh_start: bool = since(False)

    @model_validator(mode="after")
    def _unique_items(self) -> Request:
        if len({item.id for item in self.items}) != len(self.items):
            raise ValueError("item ids repeat")
        return self
