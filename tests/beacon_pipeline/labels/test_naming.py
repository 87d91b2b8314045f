"""Rules are named with their version, oldest first, and what is not on record is said."""

import pytest

from beacon_pipeline.labels.naming import versions_of, with_versions


@pytest.mark.parametrize(
    ("found", "versions", "name"),
    [
        ([], (), "rules"),
        (["6", "6"], ("6",), "rules, version 6"),
        ([None], (None,), "rules, version not on record"),
        (["6", "5"], ("5", "6"), "rules, versions 5, 6"),
        (["10", None, "9", "10"], (None, "9", "10"), "rules, versions not on record, 9, 10"),
    ],
)
def test_a_labeller_is_named_with_its_versions(
    found: list[str | None], versions: tuple[str | None, ...], name: str
) -> None:
    assert versions_of(found) == versions
    assert with_versions("rules", versions) == name
