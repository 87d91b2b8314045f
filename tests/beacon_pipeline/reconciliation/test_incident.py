"""The incident of the predecessor does not survive one reconciliation, and heals without paying again."""

from pathlib import Path

from tests.incident import replay


def test_the_incident_is_healed_by_one_reconciliation(tmp_path: Path) -> None:
    told = replay(tmp_path)
    before, after = told.before, told.after
    assert (before.by_status["failed"], before.by_region["EU"], before.by_region["eu-west"]) == (3, 2, 2)
    assert before.unsettled == 1
    assert before.mismatches > 0

    assert told.agreed, told.said
    assert after.mismatches == 0
    assert after.by_status["completed"] == sum(after.by_status.values()) == 9
    assert after.by_answer_kind["empty"] == 3
    assert after.by_region == {"us": 2, "eu": 5, "apac": 2}
    assert after.submitted == before.submitted == 9, "nothing the provider has is asked again"
    assert after.generated == 9
