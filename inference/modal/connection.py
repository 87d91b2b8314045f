"""How this process comes to Modal: its settings, its connection, its account, and what is out of reach."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import modal
import modal.exception as of
from grpclib.exceptions import StreamTerminatedError
from modal.config import config

from inference.contract import NotConfigured
from inference.inspection import Account

CONNECT_SECONDS, REACH_SECONDS = 3.0, 5.0  # to connect, and to get a first word

log = logging.getLogger(__name__)

NO_TOKEN = (
    "no Modal token{}: run `modal setup`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET "
    "(https://modal.com/settings/tokens)"
)


class Connection:
    """To Modal, made when it is first needed. ``deadline_seconds`` is of one question."""

    def __init__(self, deadline_seconds: float) -> None:
        self._deadline = deadline_seconds
        self._connected: modal.Client | None = None
        self._account: Account | None = None

    async def client(self) -> modal.Client:
        """Connected once. Raises NotConfigured when the settings on this machine are of no use."""
        if self._connected is None:
            try:
                self._connected = await modal.Client.from_env.aio()
            except (of.InvalidError, of.AuthError) as error:
                raise unusable_settings(error) from error
        return self._connected

    async def why_unreachable(self) -> str | None:
        """Why Modal cannot be reached now, in one line, or None. Raises NotConfigured.

        The SDK goes on trying and keeps the reason to itself, so the connection is tried by itself first.
        """
        check_settings()
        host = urlsplit(config.get("server_url")).netloc
        reason = await _why_no_connection(config.get("server_url"))
        if reason is None:
            try:
                async with asyncio.timeout(REACH_SECONDS):
                    await (await self.client()).hello.aio()  # type: ignore[no-untyped-call]  # the SDK's own
            except NotConfigured:
                raise
            except (of.AuthError, of.PermissionDeniedError) as error:
                raise NotConfigured(f"Modal refuses the token: {error}") from error
            except TimeoutError:
                reason = f"it takes connections and gives no answer within {REACH_SECONDS:g} seconds"
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
                reason = reason_of(error, self._deadline)
        return f"Modal at {host} cannot be reached: {reason}" if reason else None

    async def missing_secrets(self, names: Sequence[str]) -> list[str]:
        """One line for each of these secrets that Modal does not have. Raises NotConfigured."""
        missing = []
        for name in sorted(set(names)):
            try:
                async with asyncio.timeout(self._deadline):
                    await modal.Secret.from_name(name, client=await self.client()).hydrate.aio()
            except of.NotFoundError:
                chosen = f" --env {environment()}" if environment() else ""
                command = f"modal secret create {name} HF_TOKEN=hf_...{chosen}"
                missing.append(f"Modal has no secret {name!r}: `{command}`")
            except (of.Error, OSError, TimeoutError, StreamTerminatedError) as error:
                log.warning(
                    "a secret could not be asked about: %s: %s", name, reason_of(error, self._deadline)
                )
        return missing

    async def account(self) -> Account | None:
        """The workspace that the token is of, and the environment that is chosen; asked for once."""
        if self._account is None:
            try:
                async with asyncio.timeout(self._deadline):
                    workspace = modal.Workspace.from_context(client=await self.client())
                    await workspace.hydrate.aio()
            except (of.Error, TimeoutError, OSError, StreamTerminatedError):
                return None  # whoever asks has nothing to compare; the call itself is not held up
            if workspace.name:
                self._account = Account(workspace=workspace.name, environment=environment())
        return self._account

    def forget(self) -> None:
        """Connect anew when it is needed again. The connection is the process's own, shared."""
        self._connected = None


def check_settings() -> None:
    """Raises NotConfigured when there is no token, or the settings cannot be read. Makes no request."""
    try:
        has_token = config.get("token_id") and config.get("token_secret")
        has_token = has_token or config.get("oauth_refresh_token")
    except of.InvalidError as error:
        raise unusable_settings(error) from error
    if not has_token:
        profile = os.environ.get("MODAL_PROFILE")
        looked = f" in the profile {profile!r} that MODAL_PROFILE names (see `modal profile list`)"
        raise NotConfigured(NO_TOKEN.format(looked if profile else ""))


def reason_of(error: BaseException, deadline_seconds: float) -> str:
    """An exception of a question in one line; one without a text is a deadline that passed."""
    return f"{type(error).__name__}: {str(error).strip() or f'no answer within {deadline_seconds:g} seconds'}"


async def _why_no_connection(url: str) -> str | None:
    """Why there is no connection to a server, or None. A proxy is left to the SDK, which uses it."""
    parts = urlsplit(url)
    if parts.hostname is None:
        return "MODAL_SERVER_URL is no URL"
    if any(map(getproxies().get, ("http", "https", "all"))) and not proxy_bypass(parts.hostname):
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except TimeoutError:
        return f"no connection within {CONNECT_SECONDS:g} seconds"
    except OSError as error:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    writer.close()
    return None


def environment() -> str | None:
    """The environment that is chosen, or None for the workspace's own default."""
    return config.get("environment") or None


def unusable_settings(error: Exception) -> NotConfigured:
    """What the SDK refuses to begin with, in one line."""
    return NotConfigured(f"the Modal settings of this machine cannot be used: {' '.join(str(error).split())}")


def is_of_environment(error: Exception) -> bool:
    """Whether what a look-up did not find is its environment: the SDK keeps the server's words at the end."""
    return "environment" in str(error).rpartition("): ")[-1].casefold()


def no_environment(error: Exception) -> str:
    """That the chosen environment is not there, with the way out."""
    name = environment()
    way_out = f"`modal environment create {name}`, or name another in MODAL_ENVIRONMENT"
    return f"Modal has no environment {name!r} ({error}): {way_out if name else 'set MODAL_ENVIRONMENT'}"
