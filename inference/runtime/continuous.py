"""Transformers' continuous batching: requests join and leave the batch at every token.

Nothing is padded, and no short answer waits for a long one. Which requests share a step depends on
what else is asked, so in 16-bit types near-ties may fall otherwise than one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

REQUESTS_ON_CPU = 8  # at once; a GPU takes what its memory holds
PAGE_TOKENS_ON_CPU = 32
WAIT_SECONDS = 1.0  # before looking whether the engine is still alive

DIED = "continuous batching ended without a result"


@dataclass(frozen=True)
class Generated:
    """What came of the prompt at ``position``: token ids, its end token included, or what went wrong."""

    position: int
    ids: list[int]
    problem: str | None = None


def generate_continuously(
    model: Any, prompts: Sequence[Sequence[int]], configuration: Any, *, context_tokens: int
) -> Iterator[Generated]:
    """Each prompt's tokens as soon as they are complete, in the order in which they are.

    The engine's memory stays with the model for the next call, which must be greedy too; after a
    fault it is given back.
    """
    waiting: dict[str, int] = {}
    faulty = False
    with model.continuous_batching_context_manager(
        generation_config=configuration,
        continuous_batching_config=_settings(model.device.type, context_tokens),
        persistent_manager=True,
    ) as manager:
        ids = manager.add_requests(
            [list(prompt) for prompt in prompts], max_new_tokens=configuration.max_new_tokens
        )
        waiting = {request_id: position for position, request_id in enumerate(ids)}
        while waiting:
            output = manager.get_result(timeout=WAIT_SECONDS)
            if output is not None and output.is_finished():
                faulty = faulty or output.error is not None
                yield Generated(waiting.pop(output.request_id), list(output.generated_tokens), output.error)
            elif output is None and not manager.is_running():
                break
    if waiting or faulty:
        model.destroy_cached_continuous_batching_manager()
    yield from (Generated(position, [], DIED) for position in waiting.values())


def _settings(device: str, context_tokens: int) -> Any:
    from transformers import ContinuousBatchingConfig

    # Left to itself it would fetch other attention kernels, from the Hub if need be.
    common: dict[str, Any] = {"auto_switch_to_flash": False}
    if device != "cpu":
        return ContinuousBatchingConfig(**common)
    # Left to itself it would take most of the machine's memory.
    pages = REQUESTS_ON_CPU * -(-context_tokens // PAGE_TOKENS_ON_CPU)
    return ContinuousBatchingConfig(
        page_size=PAGE_TOKENS_ON_CPU,
        num_blocks=pages,
        max_batch_tokens=context_tokens,
        max_requests_per_batch=REQUESTS_ON_CPU,
        **common,
    )
