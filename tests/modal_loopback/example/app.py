"""Classes made in a loop, one for each region, as the real app makes its own."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import modal

app = modal.App("example")
image = modal.Image.debian_slim().env({"FROM_THE_IMAGE": "it's here"})


class _Echo:
    """Answers a request, or does what it is told to."""

    @modal.enter()
    def enter(self) -> None:
        self.calls = 0

    @modal.method()
    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        match request.get("do"):
            case "raise":
                raise ValueError("as told")
            case "die":
                os._exit(3)
            case "wait":
                _wait(Path(request["started"]), Path(request["stopped"]))
        return {
            "request_id": request["id"],
            "region": os.environ["MODAL_REGION"],
            "cloud": os.environ["MODAL_CLOUD_PROVIDER"],
            "task_id": os.environ["MODAL_TASK_ID"],
            "call_id": modal.current_function_call_id(),
            "image_variable": os.environ["FROM_THE_IMAGE"],
            "foreign_variable": os.environ.get("MODAL_TOKEN_ID"),
            "class_name": type(self).__name__,
            "code": __file__,
            "preloaded": "colorsys" in sys.modules,
            "calls": self.calls,
            "padding": "x" * request.get("padding", 0),
        }


def _wait(started: Path, stopped: Path) -> None:
    started.touch()
    try:
        time.sleep(60)
    except BaseException as error:
        stopped.write_text(type(error).__name__)
        raise


SETTINGS: dict[str, dict[str, Any]] = {
    "EchoUs": {"region": "us", "timeout": 2, "retries": 1, "scaledown_window": 2},
    "EchoEu": {"region": "eu", "timeout": 60},
    "EchoOnce": {"region": "eu", "timeout": 60, "single_use_containers": True},
}
for _name, _settings in SETTINGS.items():
    _made = type(_name, (_Echo,), {"__module__": __name__, "__qualname__": _name})
    globals()[_name] = app.cls(image=image, max_containers=1, **_settings)(_made)
