"""Where an answer comes from that no model gave."""

from inference.contract import Provenance


def made_up_provenance(engine: str, batch_size: int) -> Provenance:
    """As if a model on the CPU had answered; ``engine`` says who really did."""
    return Provenance(
        model_revision="r",
        weights_sha256="w",
        tokenizer_sha256="t",
        dtype="float32",
        device="cpu",
        engine=engine,
        libraries={},
        batch_size=batch_size,
    )
