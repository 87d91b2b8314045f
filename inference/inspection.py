"""Ask a provider whether a deployment is there, without asking the model anything.

Apart from the contract, because not every provider has something to say: one that runs in this
process has no deployments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from inference.contract import Deployment, Value


class DeploymentState(Value):
    """What a provider says of a deployment. ``found`` is None when it could not be asked.

    ``detail`` is what is wrong, and the way out: why it is not found, or what it will not answer as it is.
    """

    found: bool | None
    detail: str = ""
    settings: dict[str, str] = {}  # how it is deployed, as far as the provider tells


@runtime_checkable
class Remote(Protocol):
    """A provider elsewhere: it can be out of reach, and what it deploys may need secrets kept there."""

    async def why_unreachable(self) -> str | None:
        """Why it cannot be reached now, in one line and within ten seconds, or None.

        Raises NotConfigured.
        """
        ...

    async def missing_secrets(self, names: Sequence[str]) -> list[str]:
        """One line for each of these secrets that it does not have, with the way out.

        None for those that could not be asked about. Raises NotConfigured.
        """
        ...


@runtime_checkable
class Inspectable(Protocol):
    """A provider that can say what is deployed, by asking the same endpoint that inference uses."""

    async def inspect(self, deployment: Deployment) -> DeploymentState:
        """Look a deployment up at no cost. Raises NotConfigured when we may not ask at all."""
        ...


class Account(Value):
    """Whose calls a provider makes. ``environment`` is None where none was chosen."""

    workspace: str
    environment: str | None

    def knows_calls_of(self, other: Account) -> bool:
        """Whether calls of the other are calls of this one, as far as both say where they are."""
        environments = {self.environment, other.environment} - {None}
        return self.workspace == other.workspace and len(environments) < 2

    def __str__(self) -> str:
        chosen = f", environment {self.environment!r}" if self.environment else ""
        return f"workspace {self.workspace!r}{chosen}"


@runtime_checkable
class HasAccount(Protocol):
    """A provider whose calls belong to an account: another account does not know them."""

    async def account(self) -> Account | None:
        """The account in use, or None when the provider cannot be asked now. Raises NotConfigured."""
        ...
