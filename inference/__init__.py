"""Ask a model: the contract, the transformers runtime, the providers, the Modal app.

What is named here is the package's public surface: the values, the errors and the protocols of the
contract. A provider or a runtime is imported from its own module, because each brings a library that
takes seconds to import::

    from inference import Provider, Request
    from inference.local.provider import LocalProvider
"""

from inference.contract import (
    Batching,
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    FinishReason,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    ItemResult,
    MalformedReply,
    ModelSource,
    NotConfigured,
    Provenance,
    Provider,
    ProviderError,
    Rendering,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    SubmitUnknown,
    read_reply,
)
from inference.inspection import DeploymentState, Inspectable

__all__ = [
    "Batching",
    "CallFailure",
    "CallState",
    "CallStatus",
    "Deployment",
    "DeploymentState",
    "FailureCode",
    "FinishReason",
    "GenerationParameters",
    "Inspectable",
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
    "read_reply",
]
