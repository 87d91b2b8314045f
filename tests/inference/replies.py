"""What a container of a deployment would reply, made up by a stand-in server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from inference.contract import FinishReason, ItemAnswer, Reply, Request, token_digest
from tests.inference.provenance import made_up_provenance
from tests.modal_loopback import Call


def reply_to(call: Call, text: str = "An answer.") -> dict[str, Any]:
    """An answer to every item of a call, from where its class is placed."""
    request = Request.model_validate(call.args[0])
    now = datetime.now(UTC)
    items = [
        ItemAnswer(
            id=item.id,
            text=text,
            finish_reason=FinishReason.STOP,
            prompt_tokens=30,
            output_tokens=120,
            output_token_sha256=token_digest([1]),
            seconds=1.0,
        )
        for item in request.items
    ]
    reply = Reply(
        version=1,
        request_id=request.id,
        region=call.region,
        cloud="none",
        task_id="ta-1",
        cold_start=False,
        started_at=now,
        finished_at=now,
        provenance=made_up_provenance("none", len(items)),
        items=tuple(items),
    )
    return reply.model_dump(mode="json")
