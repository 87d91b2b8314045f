"""What a Modal container does with a request, without Modal."""

from collections.abc import Callable, Sequence

import pytest

from inference.contract import (
    FailureCode,
    GenerationParameters,
    Item,
    ItemAnswer,
    ItemFailure,
    read_reply,
)
from inference.modal.server import GpuMissing, ModelServer, load_model
from inference.modal.spec import Duplicate, Rejected, read_notice
from inference.runtime.transformers import DeviceLost, HubUnreachable, ModelUnavailable, Runtime
from tests.inference.slow import SlowRuntime
from tests.inference.specs import a_request, a_spec

ENVIRONMENT = {
    "MODAL_REGION": "eu-west-4",
    "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_GCP",
    "MODAL_TASK_ID": "ta-1",
}


class Register:
    """The requests that calls have claimed; one for every container."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def claim(self, request_id: str, call_id: str) -> str:
        return self.owners.setdefault(request_id, call_id)


class Counting(SlowRuntime):
    """Tells how often it generated."""

    def __init__(self) -> None:
        super().__init__()
        self.generated = 0

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        self.generated += len(items)
        return super().answer(items, parameters, batch_size=batch_size)


def a_server(
    register: Register | None = None,
    load: Callable[[], Runtime] = SlowRuntime,
    environment: dict[str, str] = ENVIRONMENT,
) -> ModelServer:
    claim = (register or Register()).claim
    server = ModelServer(a_spec(), claim=claim, load=load, environment=environment)
    server.warm_up()
    return server


def test_a_request_is_answered_with_where_it_ran() -> None:
    server = a_server()
    request = a_request()
    reply = read_reply(server.answer(request.model_dump(mode="json"), "fc-1"), request)
    assert [item.id for item in reply.items] == [item.id for item in request.items]
    assert (reply.region, reply.cloud, reply.task_id) == tuple(ENVIRONMENT.values())
    assert reply.cold_start
    again = a_request(id="request-2")
    assert not read_reply(server.answer(again.model_dump(mode="json"), "fc-2"), again).cold_start


def test_a_batch_is_as_large_as_the_request_says() -> None:
    request = a_request(batch_size=3)
    reply = read_reply(a_server().answer(request.model_dump(mode="json"), "fc-1"), request)
    assert reply.provenance.batch_size == 3


def test_whether_a_start_was_fresh_is_what_the_container_knows_of_itself() -> None:
    server = a_server()
    for n, fresh in enumerate((True, False)):
        request = a_request(id=f"request-{n}").model_copy(update={"fresh_start": True})
        reply = read_reply(server.answer(request.model_dump(mode="json"), "fc-1"), request)
        assert (reply.cold_start, reply.provenance.fresh_start) == (fresh, fresh)


def test_a_container_that_does_not_know_its_region_does_not_guess_it() -> None:
    request = a_request()
    reply = read_reply(a_server(environment={}).answer(request.model_dump(mode="json"), "fc-1"), request)
    assert (reply.region, reply.cloud, reply.task_id) == ("unreported", None, None)


def test_a_second_call_of_a_request_generates_nothing_and_tells_which_one_has_it() -> None:
    register, runtime = Register(), Counting()
    first, second = (a_server(register, lambda: runtime) for _ in range(2))
    raw = a_request().model_dump(mode="json")
    first.answer(raw, "fc-1")
    notice = read_notice(second.answer(raw, "fc-2"))
    assert notice == Duplicate(request_id="request-1", duplicate_of="fc-1")
    assert runtime.generated == 2


def test_the_same_call_tried_again_by_modal_goes_on() -> None:
    register = Register()
    raw = a_request().model_dump(mode="json")
    register.claim("request-1", "fc-1")  # by a worker that was lost
    assert read_notice(a_server(register).answer(raw, "fc-1")) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (a_request(revision="b" * 64).model_dump(mode="json"), "`beacon deploy` brings it up to date"),
        (a_request(region="us").model_dump(mode="json"), "asked of us:tiny"),
        ({"id": "request-1"}, "not a request of this version: deployment: Field required"),
        (a_request().model_dump(mode="json") | {"new": 1}, "new: Extra inputs"),
        (None, "not a request"),
    ],
)
def test_what_does_not_fit_is_rejected_and_claims_nothing(raw: object, expected: str) -> None:
    register = Register()
    notice = read_notice(a_server(register).answer(raw, "fc-1"))
    assert isinstance(notice, Rejected)
    assert expected in notice.message
    assert register.owners == {}


def test_a_model_that_cannot_be_loaded_is_a_final_error_of_each_item() -> None:
    def load() -> Runtime:
        raise ModelUnavailable("tiny: gated")

    request = a_request()
    reply = read_reply(a_server(load=load).answer(request.model_dump(mode="json"), "fc-1"), request)
    for item in reply.items:
        assert item == ItemFailure(id=item.id, code=FailureCode.MODEL_UNAVAILABLE, message="tiny: gated")
    assert (reply.provenance.weights_sha256, reply.provenance.device) == (None, None)


@pytest.mark.parametrize(
    "passing",
    [
        HubUnreachable("503"),
        GpuMissing("no GPU here"),
        RuntimeError("CUDA out of memory"),
    ],
)
def test_what_may_pass_is_raised_and_tried_again(passing: Exception) -> None:
    faults = [passing, passing]

    def load() -> Runtime:
        if faults:
            raise faults.pop()
        return SlowRuntime()

    server = a_server(load=load)
    request = a_request()
    with pytest.raises(type(passing)):
        server.answer(request.model_dump(mode="json"), "fc-1")
    reply = read_reply(server.answer(request.model_dump(mode="json"), "fc-1"), request)
    assert all(isinstance(item, ItemAnswer) for item in reply.items)


def test_a_broken_register_stops_the_call_before_it_generates() -> None:
    runtime = Counting()

    def claim(_request_id: str, _call_id: str) -> str:
        raise ConnectionError("no register")

    server = ModelServer(a_spec(), claim=claim, load=lambda: runtime, environment=ENVIRONMENT)
    server.warm_up()
    with pytest.raises(ConnectionError):
        server.answer(a_request().model_dump(mode="json"), "fc-1")
    assert runtime.generated == 0


def test_a_deployment_with_a_gpu_never_answers_from_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GpuMissing, match="eu:tiny is deployed on L4 or A10G"):
        load_model(a_spec(gpu=("L4", "A10G")), None)


class Broken(SlowRuntime):
    """Raises when it is asked for more than one item, or for one of these."""

    def __init__(self, error: Exception, *refused: str) -> None:
        super().__init__()
        self.error, self.refused = error, refused

    def answer(
        self, items: Sequence[Item], parameters: GenerationParameters, *, batch_size: int | None = None
    ) -> list[ItemAnswer | ItemFailure]:
        if len(items) > 1 or items[0].id in self.refused:
            raise self.error
        return super().answer(items, parameters, batch_size=batch_size)


def test_what_a_runtime_raises_is_told_item_by_item_and_not_tried_again_by_modal() -> None:
    request = a_request(items=3)
    server = a_server(load=lambda: Broken(ValueError("no"), "item-1"))
    reply = read_reply(server.answer(request.model_dump(mode="json"), "fc-1"), request)
    assert [item.kind for item in reply.items] == ["answer", "failure", "answer"]
    assert reply.items[1] == ItemFailure(
        id="item-1", code=FailureCode.GENERATION_ERROR, message="ValueError: no"
    )


def test_a_lost_gpu_is_for_another_container() -> None:
    server = a_server(load=lambda: Broken(DeviceLost("CUDA error: unspecified launch failure")))
    with pytest.raises(DeviceLost):
        server.answer(a_request().model_dump(mode="json"), "fc-1")
