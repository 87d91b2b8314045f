"""Classes whose containers cannot start, each for another reason."""

import modal
import modal.exception

app = modal.App("broken")


class Unreadable(Exception):
    """Pickles, and cannot be unpickled: its arguments are not those that it is made of."""

    def __init__(self, subject: str, predicate: str) -> None:
        super().__init__(f"{subject} {predicate}")


REASONS: dict[str, BaseException] = {
    "Broken": LookupError("no such weights"),
    "LateBroken": TimeoutError("of the container's own"),
    "FullBroken": OSError(28, "no space left"),
    "SilentBroken": modal.exception.OutputExpiredError(),
    "ExitBroken": SystemExit(3),
    "UnreadableBroken": Unreadable("it", "broke"),
}


def _declare(name: str, reason: BaseException) -> None:
    class Broken:
        @modal.enter()
        def enter(self) -> None:
            raise reason

        @modal.method()
        def answer(self, request: dict[str, str]) -> dict[str, str]:
            return request

    Broken.__name__ = Broken.__qualname__ = name
    Broken.__module__ = __name__
    globals()[name] = app.cls(max_containers=1)(Broken)


for _name, _reason in REASONS.items():
    _declare(_name, _reason)
