"""The public surface of `inference`: changing it is a change for whoever uses the package alone."""

import subprocess
import sys

import inference

NAMES = """
Batching CallFailure CallState CallStatus Deployment DeploymentState FailureCode FinishReason
GenerationParameters Inspectable Item ItemAnswer ItemFailure ItemResult MalformedReply ModelSource
NotConfigured Provenance Provider ProviderError Rendering Reply ReplyUnavailable Request
SubmitRejected SubmitUnknown read_reply
"""


def test_the_exported_names() -> None:
    assert sorted(inference.__all__) == NAMES.split()
    assert all(getattr(inference, name) is not None for name in NAMES.split())


def test_they_bring_no_model_no_provider_and_nothing_of_the_pipeline() -> None:
    heavy = ("torch", "transformers", "modal", "httpx", "dagster", "sqlalchemy", "beacon_pipeline")
    code = f"import inference, sys; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
