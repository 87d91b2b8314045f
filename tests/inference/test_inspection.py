"""Whose calls an account knows."""

import pytest

from inference.inspection import Account


@pytest.mark.parametrize(
    ("workspace", "made_in", "asked_in", "knows"),
    [
        ("mine", None, None, True),
        ("mine", "main", "main", True),
        ("mine", "main", None, True),  # none was chosen: it may be the same
        ("mine", None, "main", True),
        ("mine", "main", "dev", False),
        ("another", "main", "main", False),
        ("another", None, None, False),
    ],
)
def test_an_account_knows_the_calls_of_its_workspace_and_environment(
    workspace: str, made_in: str | None, asked_in: str | None, knows: bool
) -> None:
    made_by = Account(workspace="mine", environment=made_in)
    assert Account(workspace=workspace, environment=asked_in).knows_calls_of(made_by) is knows
