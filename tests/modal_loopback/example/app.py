"""Two classes made in a loop, one for each region, as the real app makes its own."""

import os
import time
from pathlib import Path
from typing import Any

import modal

app = modal.App("example")
image = modal.Image.debian_slim().env({"FROM_THE_IMAGE": "it's here"})


class _Echo:
    """Answers a request with what it is told to do."""

    @modal.enter()
    def enter(self) -> None:
        self.calls = 0

    @modal.method()
    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        match request.get("do"):
            case "raise":
                raise ValueError("as told")
            case "raise TimeoutError":
                raise TimeoutError("the function's own")
            case "die":
                os._exit(3)
            case "wait":
                Path(request["started"]).touch()
                try:
                    time.sleep(60)
                except BaseException as error:
                    Path(request["stopped"]).write_text(type(error).__name__)
                    raise
        return {
            "request_id": request["id"],
            "region": os.environ["MODAL_REGION"],
            "cloud": os.environ["MODAL_CLOUD_PROVIDER"],
            "task_id": os.environ["MODAL_TASK_ID"],
            "from_the_image": os.environ.get("FROM_THE_IMAGE"),
            "class_name": type(self).__name__,
            "code": __file__,
            "calls": self.calls,
            "padding": "x" * request.get("padding", 0),
            "items": [{"id": "q", "text": "an answer"}],
        }


for _region, _name in (("us", "EchoUs"), ("eu", "EchoEu")):
    _made = type(_name, (_Echo,), {"__module__": __name__, "__qualname__": _name})
    globals()[_name] = app.cls(image=image, region=_region, max_containers=1, timeout=30)(_made)
