"""A loopback Modal: a small gRPC server that the real Modal SDK takes for Modal.

It speaks the published protocol (`modal_proto`, of the pinned SDK), binds to 127.0.0.1 only, and runs
the real class code: each container is the SDK's own entrypoint (`python -m modal._container_entrypoint`),
started when a call needs it, warm afterwards, at most ``max_containers`` for each class. `MODAL_REGION`,
`MODAL_CLOUD_PROVIDER` and `MODAL_TASK_ID` are set as Modal sets them, the region as a cloud writes it:
a class placed in ``eu`` sees ``europe-west4``. Calls, Dicts and Volumes live in the server, so they
survive any client's death, and end with the server.

In this process (a thread with its own event loop), with the clients in children::

    with Loopback(tmp_path / "modal") as modal:
        env = os.environ | modal.client_environment()
        subprocess.run(["modal", "deploy", "-m", "inference.modal.app"], env=env, check=True)
        modal.inject(EmptyText(), Match(class_name="Eu*", nth=1))  # `faults` has all that can go wrong
        ...
        assert len(modal.events("spawn")) == 9     # the witness: what was accepted, run, fetched, cancelled

With clients in this process too, as a provider's test has them::

    with Loopback(tmp_path / "modal", answer=answer) as modal, modal.clients_here():
        modal.serve("beacon-inference", "EuMistral7b", methods=["answer"])    # instead of a deployment
        ...

As a process of its own, with the same methods over HTTP::

    with LoopbackProcess(tmp_path / "modal", "--answer", "tests.package.module:function") as modal:
        ...

    python -m tests.modal_loopback --port 9600 --state-dir DIR [--faults FILE] [--answer MODULE:FUNCTION]

prints one line of JSON, ``{"url": …, "control": …, "pid": …}``, and stops cleanly on SIGINT and SIGTERM.

``answer(call: Call) -> object`` answers calls in the server, without any container: for thousands in
flight. `Call` has ``call_id``, ``class_name``, ``method``, ``args``, ``kwargs`` (decoded) and ``region``.
What it returns is the function's result; what it raises is the function's exception. `modal.release()`
lets calls end that `PendingUntilReleased` holds back.

The token of `client_environment` is the only one that is accepted (another is UNAUTHENTICATED). Named
secrets must be given (``secrets={"huggingface": {"HF_TOKEN": "x"}}``) or are NOT_FOUND, as at Modal.
A container's environment is its image's (``.env``) and its secrets', nothing of the server's own; its
files are those that the deployment mounted, and its Python is this one. Volumes exist but are mounted
nowhere. A class's ``timeout``, ``retries``, ``max_containers`` and ``scaledown_window`` are kept.

With ``preload`` (modules, such as `INFERENCE_LIBRARIES`) containers are forked from a process that has
imported these: a second instead of several for one that uses torch. No more than ``max_containers``
(default: the CPUs, at least 2) live at once; an idle one makes room for another class.

Events (``state_dir/events.jsonl`` as well as ``events()``) are dicts with ``at`` (seconds since the epoch),
``event``, and for calls ``call`` (the function call id), ``class_name``, ``request_id`` (the ``id`` of the
first argument when it is a mapping, else None):

    deploy      an app was published: ``app``, ``classes``
    spawn       a call was accepted: ``method``, ``faults``; ``spawn_repeated``: the same request came again
    input       the call's input was handed to a container (or to ``answer``): ``task``, ``attempt``
    finish      the call ended: ``outcome`` is success, failure, terminated, timeout, internal_failure, …
    fetch       a client read the outcome
    cancel      a client asked to cancel
    container   one started (``state`` started, ``pid``) or ended (``state`` ended, ``code``): ``task``
    fault       an answer was lost or a request refused: ``fault`` answer_lost or refused, ``method``

Misbehaviour is injected as a fault (`faults`) and a `Match` of the calls that it befalls. Faults are
small values and compose: several may befall one call. `faults.json` is a list of
``{"fault": {"kind": "empty_text"}, "match": {"class_name": "Eu*", "nth": 1}}``; `control` takes the same:
``POST /faults``, ``DELETE /faults``, ``GET /events?event=spawn``.
"""

from tests.modal_loopback.answers import Answer, Call
from tests.modal_loopback.faults import Fault
from tests.modal_loopback.injections import Match
from tests.modal_loopback.launching import INFERENCE_LIBRARIES
from tests.modal_loopback.process import LoopbackProcess
from tests.modal_loopback.server import Loopback, client_environment

__all__ = [
    "INFERENCE_LIBRARIES",
    "Answer",
    "Call",
    "Fault",
    "Loopback",
    "LoopbackProcess",
    "Match",
    "client_environment",
]
