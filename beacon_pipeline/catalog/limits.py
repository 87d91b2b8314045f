"""What of a model cannot be, though each field could: limits of Modal, of engines and of GPUs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from beacon_pipeline.catalog.entries import Model, ProviderName

# Of compute capability below 8.0: vLLM's batch-invariant kernels have none for them.
TOO_OLD_FOR_BATCH_INVARIANCE = ("T4",)


def switch_problems(model: Model) -> list[str]:
    """What is switched on for a model and cannot be, a line for each."""
    problems = []
    if model.batch_invariant and model.engine != "vllm":
        problems.append("'batch_invariant' is of `engine: vllm`: leave it out, or set that engine")
    old = [name for name in model.gpu if name.partition(":")[0].upper() in TOO_OLD_FOR_BATCH_INVARIANCE]
    if model.batch_invariant and old:
        problems.append(f"'batch_invariant' needs a GPU of compute capability 8.0 or more: {old[0]} is older")
    if model.gpu_snapshot and (model.provider is not ProviderName.MODAL or not model.gpu):
        problems.append("'gpu_snapshot' is of `provider: modal` with a `gpu`: leave it out")
    return problems


# What Modal takes, from its guides and its SDK: least and most. Ten retries are a bound of ours, for each
# is paid and Modal names none.
MODAL_LIMITS: Mapping[str, tuple[int, int]] = {
    "timeout_seconds": (1, 24 * 60 * 60),
    "startup_timeout_seconds": (1, 24 * 60 * 60),
    "scaledown_window_seconds": (2, 60 * 60),
    "retries": (0, 10),
}


def beyond_limits(model: Model) -> list[str]:
    """What of a model Modal would refuse to deploy, a line for each."""
    problems = [
        f"{key} is {value}: Modal takes {least} to {most}"
        for key, (least, most) in MODAL_LIMITS.items()
        if not least <= (value := getattr(model, key)) <= most
    ]
    return problems + [
        f"gpu {name!r} is no GPU: write its name, or name and count as in 'L40S:2'"
        for name in model.gpu
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+!-]*(:[1-8])?", name)
    ]
