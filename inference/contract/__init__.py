"""The contract between whoever asks a model and whatever runs it.

Plain frozen values and one protocol; no I/O, no torch, no Modal. A *call* is one request to a
provider: a batch of items for one deployment (one model in one region).
"""

from inference.contract.call_state import CallFailure, CallState
from inference.contract.errors import (
    RAW_REPLY_LIMIT,
    MalformedReply,
    NotConfigured,
    ProviderError,
    ReplyUnavailable,
    SubmitRejected,
    SubmitUnknown,
)
from inference.contract.provider import Provider
from inference.contract.reply import (
    ENVELOPE_VERSION,
    TOKEN_COUNT_LIMIT,
    UNREPORTED_REGION,
    Batching,
    ItemAnswer,
    ItemFailure,
    ItemResult,
    Provenance,
    Rendering,
    Reply,
    TokenCount,
    read_reply,
)
from inference.contract.request import (
    BATCH_SIZE,
    MAX_TEMPERATURE,
    Attention,
    Deployment,
    Engine,
    GenerationParameters,
    Item,
    ModelSource,
    Request,
    TemplateArgument,
)
from inference.contract.status import CallStatus, FailureCode, FinishReason
from inference.contract.values import SEED_LIMIT, Value, since, text_digest, token_digest

__all__ = [
    "BATCH_SIZE",
    "ENVELOPE_VERSION",
    "MAX_TEMPERATURE",
    "RAW_REPLY_LIMIT",
    "SEED_LIMIT",
    "TOKEN_COUNT_LIMIT",
    "UNREPORTED_REGION",
    "Attention",
    "Batching",
    "CallFailure",
    "CallState",
    "CallStatus",
    "Deployment",
    "Engine",
    "FailureCode",
    "FinishReason",
    "GenerationParameters",
    "Item",
    "ItemAnswer",
    "ItemFailure",
    "ItemResult",
    "MalformedReply",
    "ModelSource",
    "NotConfigured",
    "Provenance",
    "Provider",
    "ProviderError",
    "Rendering",
    "Reply",
    "ReplyUnavailable",
    "Request",
    "SubmitRejected",
    "SubmitUnknown",
    "TemplateArgument",
    "TokenCount",
    "Value",
    "read_reply",
    "since",
    "text_digest",
    "token_digest",
]
