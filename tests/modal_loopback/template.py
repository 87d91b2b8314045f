"""A process that has imported what containers need, and forks one for each: a memory snapshot, in small.

Run as ``python template.py MODULE…``, in a process group of its own. Each line of its input is
``{"environment": …, "folder": …, "log": …}``, and makes a container; its output tells
``{"started": pid}`` and ``{"ended": pid, "code": …}``. It ends when its input does.

It imports nothing of this repository, so that a container finds what was deployed, and not Modal's
SDK, which reads its environment.
"""

import importlib
import json
import os
import runpy
import select
import signal
import sys
from contextlib import suppress
from typing import Any


def main() -> None:
    sys.path.pop(0)  # this file's own folder
    for module in sys.argv[1:]:
        importlib.import_module(module)
    container = serve()
    if container is not None:
        become(container)


def serve() -> dict[str, Any] | None:
    """Fork as told. Returns what was told in each child, and None in the parent at its end."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    unread = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            tell_ended()
        if 0 not in ready:
            continue
        read = os.read(0, 1 << 16)
        if not read:
            return None
        *lines, unread = (unread + read).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                return dict(json.loads(line))
            with suppress(ProcessLookupError, PermissionError):
                os.setpgid(pid, pid)
            tell(started=pid)


def tell_ended() -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            tell(ended=pid, code=os.waitstatus_to_exitcode(status))


def tell(**event: int) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def become(container: dict[str, Any]) -> None:
    """Turn this process into what ``python -m modal._container_entrypoint`` would be."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    log = os.open(container["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    os.chdir(container["folder"])
    os.environ.clear()
    os.environ.update(container["environment"])
    sys.path.insert(0, container["folder"])
    sys.argv = ["modal._container_entrypoint"]
    runpy.run_module("modal._container_entrypoint", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
