"""What can be wrong, in the words of a person: one entry for each cause of an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beacon_pipeline.names import INFERENCE
from beacon_pipeline.reconciliation.checks import CheckName

# A cause that begins so names a check of partitions, or of a whole asset: ``check:inference:some_check``.
CHECK, ASSET_CHECK = "check:", "asset_check:"
RUN_FAILED = "run_failed"
TICK_FAILED = "tick_failed"
MISSING = "missing"
TIMED_OUT = "timed_out"
DEAD_LETTERED = "dead_lettered"
REGION_IMBALANCE = "region_imbalance"
PROVIDER_UNREACHABLE = "provider_unreachable"
HEALING_GAVE_UP = "healing_gave_up"
LEDGER_UNAVAILABLE = "ledger_unavailable"
SOURCE_UNREADABLE = "source_unreadable"
EMPTY_ANSWER = f"{CHECK}{INFERENCE.to_user_string()}:{CheckName.NON_EMPTY_OUTPUT.value}"


@dataclass(frozen=True)
class Wording:
    """How a cause is reported: ``says`` follows a count, as in ``3 partitions`` + ``have no answer``."""

    subject: str
    says: str
    remedy: str
    counted: bool = True  # False: there is only one


WORDINGS: Mapping[str, Wording] = {
    RUN_FAILED: Wording(
        # Executions without an answer have alerts of their own: this is a run that broke for another cause.
        "run",
        "failed",
        "open the run and remove the cause that its error names; what it left open is healed by itself",
    ),
    TICK_FAILED: Wording(
        "automation", "failing", "open the sensor or schedule in the UI and read its newest tick's error"
    ),
    MISSING: Wording(
        "execution",
        "without an answer past the deadline",
        "they are healed by themselves; if they stay, look at the provider and at the run queue",
    ),
    TIMED_OUT: Wording(
        "execution",
        "over the model's time limit",
        "raise timeout_seconds of the model or lower its max_new_tokens, then launch the partitions again",
    ),
    DEAD_LETTERED: Wording(
        "execution",
        "given up after the last attempt",
        "`beacon show PARTITION` has every attempt; remove the cause, then ask again in a new job",
    ),
    EMPTY_ANSWER: Wording(
        "question",
        "that a model answered without any text",
        "the record is right; compare with other regions and repeats before it is published",
    ),
    REGION_IMBALANCE: Wording(
        "region",
        "behind the others in a finished job",
        "compare the failures of these regions: an outage there must not be read as a difference in answers",
    ),
    PROVIDER_UNREACHABLE: Wording(
        "provider",
        "unreachable while executions wait",
        "`beacon doctor` says what is wrong; until it is back no status changes and nothing is asked again",
    ),
    HEALING_GAVE_UP: Wording(
        "partition range",
        "that healing runs did not put right",
        "open the newest run with the tag `beacon/healing` on it: its log says why; "
        "`beacon show PARTITION` has what is on record",
    ),
    LEDGER_UNAVAILABLE: Wording(
        "ledger",
        "cannot be used",
        "look at BEACON_DATABASE_URL and the database's log; nothing is lost, statuses wait until it is back",
        counted=False,
    ),
    SOURCE_UNREADABLE: Wording(
        "source of alerts",
        "cannot be read",
        "read the error; the sensor tries again at every tick, and is blind to this source until then",
        counted=False,
    ),
}


def check_cause(asset: str, name: str, *, of_partition: bool) -> str:
    """The cause of alerts about a check of an asset or of its partitions."""
    return f"{CHECK if of_partition else ASSET_CHECK}{asset}:{name}"


def wording_of(cause: str) -> Wording:
    """How a cause is reported. Raises KeyError for an unknown one."""
    if cause in WORDINGS:
        return WORDINGS[cause]
    prefix, colon, rest = cause.partition(":")
    asset, _, name = rest.rpartition(":")
    whole = {ASSET_CHECK: True, CHECK: False}[prefix + colon]
    remedy = "read what the check says in the UI"
    if whole:
        return Wording(f"asset {asset}", f"failing the check {name}", remedy, counted=False)
    return Wording("partition", f"failing the check {name} of {asset}", remedy)
