"""A class whose containers cannot start."""

import modal

app = modal.App("broken")


@app.cls(max_containers=1)
class Broken:
    @modal.enter()
    def enter(self) -> None:
        raise LookupError("no such weights")

    @modal.method()
    def answer(self, request: dict[str, str]) -> dict[str, str]:
        return request
