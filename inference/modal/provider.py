"""Run inference on Modal: deployed classes, durable call ids, and the SDK's word for the truth.

A spawn is at least once: one that raised may run, and the server may have made two calls of it. So
the container claims the request in a register before it generates (`inference.modal.app`), a second
call of the same request only tells which one has it, and this provider follows that notice. A
request id is thus generated at most once however often it is submitted; what Modal itself repeats
inside one call (its retries, a preempted worker) it repeats under the same call id.

When the call that has the claim dies, its truth is the truth: the asker tries again, within its
budget, with a new request. The register forgets after a week, as Modal forgets results.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Read by the SDK at each call. Pickled payloads would unpickle replies, and re-raise the function's own
# exceptions here, where a remote TimeoutError looks like a call that is pending. One pickle is left that
# no setting avoids: the exception of a container of ours that crashes while it starts (`modal_truths`).
os.environ["MODAL_PAYLOAD_FORMAT"] = "cbor"

import modal
import modal.exception as of
from grpclib.exceptions import StreamTerminatedError
from modal.types import InputStatus

from inference.contract import (
    CallFailure,
    CallState,
    CallStatus,
    Deployment,
    FailureCode,
    NotConfigured,
    Reply,
    ReplyUnavailable,
    Request,
    SubmitRejected,
    SubmitUnknown,
    read_reply,
)
from inference.inspection import Account, DeploymentState
from inference.modal.connection import (
    Connection,
    check_settings,
    is_of_environment,
    no_environment,
    reason_of,
)
from inference.modal.exceptions import SUCCEEDED, raised_in_container, state_of
from inference.modal.spec import (
    APP_NAME,
    REGISTER_NAME,
    Duplicate,
    Rejected,
    class_name,
    fresh_class_name,
    read_notice,
    settings,
)

DEADLINE_SECONDS = 30.0  # of one question to Modal; a dead server would hold the SDK for a minute
RESEND_SECONDS = 15.0  # after a spawn without an answer, doubled each time: a container may be starting
LONGEST_START_SECONDS = 600.0  # where the deployment's own is not known
LOOK_AGAIN_SECONDS = 2.0  # before a call that is not found is asked for once more
CALL_ID_PREFIX = "fc-"
_NO_CALL = CallState(
    status=CallStatus.FAILED,
    failure=CallFailure(code=FailureCode.UNKNOWN_CALL, message="not the id of a Modal call"),
)

_FAILED = (InputStatus.FAILURE, InputStatus.INIT_FAILURE)


@dataclass(frozen=True)
class _Answer:
    """What a call came to: its state, and the value it returned if it succeeded."""

    state: CallState
    value: object = None


@dataclass(frozen=True)
class _Unanswered:
    """A spawn without an answer: when, by the event loop's clock, and seconds until the next may follow."""

    at: float
    wait: float


class ModalProvider:
    """Asks the classes that `inference.modal.app` deploys.

    ``deadline_seconds`` is of one question; ``start_seconds`` is how long a container may take to start.
    """

    name = "modal"
    durable = True

    def __init__(
        self,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
        resend_seconds: float = RESEND_SECONDS,
        start_seconds: Mapping[Deployment, float] | None = None,
    ) -> None:
        self._deadline = deadline_seconds
        self._look_again = look_again_seconds
        self._resend, self._start_seconds = resend_seconds, start_seconds or {}
        self._unanswered: dict[str, _Unanswered] = {}  # by request id
        self._methods: dict[str, Any] = {}  # by class
        # Kept while calls are pending: the SDK takes as long to make these as to ask with them.
        self._handles: dict[str, modal.FunctionCall[Any]] = {}
        self._succeeded: dict[str, _Answer] = {}  # as polled, until they are fetched
        self._connection = Connection(deadline_seconds)
        self._register: modal.Dict | None = None

    def check_configured(self, *deployments: Deployment) -> None:
        """Raises NotConfigured when there is no token, one for all deployments. Makes no request."""
        check_settings()

    async def submit(self, request: Request) -> str:
        """Spawn a call, or find the one that already has this request."""
        self.check_configured()
        name = (fresh_class_name if request.fresh_start else class_name)(request.deployment)
        left = False  # whether anything that starts a call may have been sent
        try:
            async with asyncio.timeout(self._deadline):
                owner = await self._owner_of(request.id)
                if owner is not None:
                    return owner
                self._check_start_time_is_over(request.id)
                method = await self._method(name)
                left = True
                call = await method.spawn.aio(request.model_dump(mode="json"))
                return str(call.object_id)
        except (NotConfigured, SubmitUnknown):
            raise
        except of.NotFoundError as error:
            self._methods.pop(name, None)
            if is_of_environment(error):
                raise NotConfigured(no_environment(error)) from error
            raise _rejected(_not_deployed(request.deployment, error)) from error
        except (of.AuthError, of.PermissionDeniedError) as error:
            raise NotConfigured(f"Modal refuses the token: {error}") from error
        except (of.SerializationError, of.RequestSizeError) as error:
            raise _rejected(str(error)) from error
        except Exception as error:
            if type(error) is of.InvalidError:  # its subclasses are conflicts, which may pass
                raise _rejected(str(error)) from error
            # The same request may be sent again at no risk, so whatever is not a clear no is unknown.
            when = "while a call was spawned" if left else "before a call was spawned"
            if left and not isinstance(error, of.ResourceExhaustedError):
                self._note_unanswered(request)
            raise SubmitUnknown(f"{when}: {self._told(error)}") from error

    def _note_unanswered(self, request: Request) -> None:
        """A spawn may have been accepted: its container is given more and more time to claim the request."""
        before = self._unanswered.get(request.id)
        longest = self._start_seconds.get(request.deployment, LONGEST_START_SECONDS)
        wait = min(before.wait * 2, longest) if before else min(self._resend, longest)
        self._unanswered[request.id] = _Unanswered(asyncio.get_running_loop().time(), wait)

    def _check_start_time_is_over(self, request_id: str) -> None:
        """Raises SubmitUnknown while a container that would claim the request may still be starting.

        The SDK repeats a spawn four times, and each may become a call: only the register is looked at.
        """
        sent = self._unanswered.get(request_id)
        left = sent.at + sent.wait - asyncio.get_running_loop().time() if sent else 0.0
        if left > 0:
            raise SubmitUnknown(
                f"spawned without an answer, and no container has claimed it: again in {left:.0f} s"
            )

    async def poll(self, call_id: str) -> CallState:
        """What became of a call, or of the one that has its request."""
        answer = await self._answer_of(call_id)
        if answer.state != SUCCEEDED:
            return answer.state
        if isinstance(notice := read_notice(answer.value), Rejected):
            failure = CallFailure(code=FailureCode.REJECTED, message=notice.message)
            return CallState(status=CallStatus.FAILED, failure=failure)
        self._succeeded[call_id] = answer
        return answer.state

    async def fetch(self, call_id: str, request: Request) -> Reply:
        """The reply of a succeeded call."""
        answer = self._succeeded.pop(call_id, None) or await self._answer_of(call_id)
        if answer.state != SUCCEEDED:
            why = answer.state.failure.message if answer.state.failure else answer.state.detail
            raise ReplyUnavailable(
                f"call {call_id} is {answer.state.status.value}" + (f": {why}" if why else "")
            )
        return read_reply(answer.value, request)

    async def cancel(self, call_id: str) -> None:
        """Stop a call, or the one that has its request."""
        answer = await self._ask(call_id)
        notice = read_notice(answer.value)
        running = notice.duplicate_of if isinstance(notice, Duplicate) else call_id
        if running == call_id and answer.state.status.is_final:
            return
        try:
            async with asyncio.timeout(self._deadline):
                await (await self._call(running)).cancel.aio()
        except of.NotFoundError:
            return
        except Exception as error:
            raise ReplyUnavailable(self._told(error)) from error

    async def inspect(self, deployment: Deployment) -> DeploymentState:
        """How a deployment's class is deployed, from the same look-up that a submit makes, made anew."""
        self.check_configured()
        name = class_name(deployment)
        self._methods.pop(name, None)
        try:
            async with asyncio.timeout(self._deadline):
                info = await (await self._method(name)).info.aio()  # the look-up has brought it
        except NotConfigured:
            raise
        except of.NotFoundError as error:
            self._methods.pop(name, None)
            return DeploymentState(found=False, detail=_not_deployed(deployment, error))
        except (of.AuthError, of.PermissionDeniedError) as error:
            raise NotConfigured(f"Modal refuses the token: {error}") from error
        except Exception as error:  # noqa: BLE001 - what it is says nothing of the deployment
            return DeploymentState(found=None, detail=f"Modal could not be asked: {self._told(error)}")
        return DeploymentState(
            found=True,
            settings=settings(
                regions=info.regions or (),
                gpus=[f"{name}:{count}" for name, count in info.gpus],
                timeout=info.timeout,
                memory_mib=info.memory_mib if isinstance(info.memory_mib, int) else None,
                retries=info.max_retries,
            ),
        )

    async def why_unreachable(self) -> str | None:
        """Why Modal cannot be reached now, in one line, or None. Raises NotConfigured."""
        return await self._connection.why_unreachable()

    async def missing_secrets(self, names: Sequence[str]) -> list[str]:
        """One line for each of these secrets that Modal does not have. Raises NotConfigured."""
        return await self._connection.missing_secrets(names)

    async def account(self) -> Account | None:
        """The workspace that the token is of, and the environment that is chosen; asked for once."""
        return await self._connection.account()

    async def close(self) -> None:
        """Forget the handles. The connection is the process's own, shared; the SDK closes it."""
        self._methods.clear()
        self._handles.clear()
        self._succeeded.clear()
        self._unanswered.clear()
        self._connection.forget()
        self._register = None

    async def _owner_of(self, request_id: str) -> str | None:
        """The call that has claimed a request, if any has.

        Raises NotConfigured when the environment does not exist (a register that is missing is made), and
        SubmitUnknown when the register went away: it may hold the claim of a call that runs.
        """
        if self._register is None:
            register = modal.Dict.from_name(
                REGISTER_NAME, create_if_missing=True, client=await self._connection.client()
            )
            try:
                self._register = await register.hydrate.aio()
            except of.NotFoundError as error:
                raise NotConfigured(no_environment(error)) from error
        try:
            owner = await self._register.get.aio(request_id)
        except of.NotFoundError as error:
            self._register = None
            raise SubmitUnknown(
                f"the register of requests, Modal's Dict {REGISTER_NAME!r}, was deleted just now ({error}): "
                "it is made anew when the call is sent again"
            ) from error
        return None if owner is None else str(owner)

    async def _method(self, name: str) -> Any:
        """The method of a class that answers, looked up once. Raises modal's NotFoundError."""
        if name not in self._methods:
            found = modal.Cls.from_name(APP_NAME, name, client=await self._connection.client())
            method = found().answer
            await method.hydrate.aio()
            self._methods[name] = method
        return self._methods[name]

    async def _answer_of(self, call_id: str) -> _Answer:
        """What a call came to, through at most one notice that another call has the request."""
        answer = await self._ask(call_id)
        notice = read_notice(answer.value)
        return await self._ask(notice.duplicate_of) if isinstance(notice, Duplicate) else answer

    async def _ask(self, call_id: str) -> _Answer:
        answer = await self._asked(call_id)
        if answer.state.status.is_final:
            self._handles.pop(call_id, None)
        return answer

    async def _asked(self, call_id: str) -> _Answer:
        if not call_id.startswith(CALL_ID_PREFIX):
            # The SDK raises for it what it also raises of a result that cannot be downloaded now.
            return _Answer(_NO_CALL)
        try:
            async with asyncio.timeout(self._deadline):
                call = await self._call(call_id)
                try:
                    return _Answer(SUCCEEDED, await call.get.aio(timeout=0))
                except BaseException as error:
                    # A SystemExit of a container's is raised here as well; ours is not to be held up.
                    if not isinstance(error, Exception) and not _is_of_the_reply(error):
                        raise
                    if isinstance(error, asyncio.CancelledError):
                        return _Answer(await self._raised_cancelled(call))
                    if isinstance(error, of.NotFoundError) and not raised_in_container(error):
                        return _Answer(await self._not_found(call_id, error))
                    return _Answer(state_of(error), value=self._told(error))
        except TimeoutError as late:
            return _Answer(CallState(status=CallStatus.UNREACHABLE, detail=self._told(late)))

    async def _raised_cancelled(self, call: modal.FunctionCall[Any]) -> CallState:
        """A container's own CancelledError loses its traceback on the way: the call has to be asked."""
        try:
            inputs = await call.get_call_graph.aio()
        except (of.Error, OSError, StreamTerminatedError) as unknown:
            return CallState(status=CallStatus.UNREACHABLE, detail=self._told(unknown))
        if any(one.function_call_id == call.object_id and one.status in _FAILED for one in inputs):
            failure = CallFailure(
                code=FailureCode.START_FAILED, message="a container raised CancelledError as it started"
            )
            return CallState(status=CallStatus.FAILED, failure=failure)
        return CallState(status=CallStatus.UNREACHABLE, detail="CancelledError: the question was broken off")

    async def _not_found(self, call_id: str, error: of.NotFoundError) -> CallState:
        """What was not found: the call, or only the result of a call that Modal knows.

        A result that is not there may come back, and until Modal calls it expired it is paid for
        already: it is waited for. A call is believed to be unknown when two looks agree.
        """
        await asyncio.sleep(self._look_again)
        try:
            # On a new handle: it answers from memory otherwise.
            call = modal.FunctionCall.from_id(call_id, client=await self._connection.client())
            await call.num_inputs.aio()
        except of.NotFoundError:
            failure = CallFailure(
                code=FailureCode.UNKNOWN_CALL, message=f"Modal does not know this call, asked twice: {error}"
            )
            return CallState(status=CallStatus.EXPIRED, failure=failure)
        except (of.Error, OSError, StreamTerminatedError) as unknown:
            return CallState(status=CallStatus.UNREACHABLE, detail=self._told(unknown))
        detail = (
            f"Modal knows the call and not its result ({error}): it is waited for, and not paid for again, "
            "until Modal says that it has expired; only a new job asks the model again"
        )
        return CallState(status=CallStatus.UNREACHABLE, detail=detail)

    def _told(self, error: BaseException) -> str:
        return reason_of(error, self._deadline)

    async def _call(self, call_id: str) -> modal.FunctionCall[Any]:
        if call_id not in self._handles:
            self._handles[call_id] = modal.FunctionCall.from_id(
                call_id, client=await self._connection.client()
            )
        return self._handles[call_id]


def _is_of_the_reply(error: BaseException) -> bool:
    """Whether what is no Exception came out of a reply: so does a CancelledError, if this task was not
    cancelled."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() == 0
    return raised_in_container(error)


def _not_deployed(deployment: Deployment, error: Exception) -> str:
    if is_of_environment(error):
        return no_environment(error)
    return f"{deployment} is not deployed on Modal ({error}): run `beacon deploy`"


def _rejected(message: str) -> SubmitRejected:
    return SubmitRejected(CallFailure(code=FailureCode.REJECTED, message=message))
