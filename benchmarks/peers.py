"""Side by side with two evaluation tools: what all but inference costs, and what is asked again after a kill.

Inspect and promptfoo, each in an environment of its own, and `beacon run`, ask the same questions of a model
that answers at once, through each one's own provider interface: 270 and 3,000 executions, whole command,
fresh record. Then a model that takes a moment is asked, the command is killed (-9) when half of the answers
are there and started once more: every answer beyond one for each execution was asked again.

    python -m benchmarks.peers [TOOL …] [EXECUTIONS …] [--kill]

makes the environments in ``$PEERS`` (default: a temporary folder) and writes `benchmarks/peers.md`, of this
and, where the folder stays, of what was measured in it before: the whole takes minutes, and may be done in
parts. Without arguments it is the whole. Wall time is of a machine that does nothing else; CPU time bears
others beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from benchmarks.families import EVERY_SECONDS, Family, kill, started
from benchmarks.report import keep, machine
from benchmarks.subjects import a_catalog

INSPECT, PROMPTFOO = "inspect-ai", "promptfoo"
SIZES = (270, 3_006)  # questions × 3 models × 3 regions
AT_ONCE = 10
A_MOMENT = 0.1  # seconds of each answer where the command is killed
PATIENCE_SECONDS = 1200.0
TABLE = Path(__file__).with_suffix(".md")
ROOT = Path(__file__).parents[1]

# `ASKED`: a file that gets a line for each question that the model was asked.
INSPECT_TASK = """
import asyncio, glob, os, sys
from inspect_ai import Task, eval, eval_retry, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelAPI, ModelOutput, modelapi
from inspect_ai.solver import generate


@modelapi(name="instant")
class Instant(ModelAPI):
    async def generate(self, input, tools, tool_choice, config):
        await asyncio.sleep(float(os.environ["SECONDS_EACH"]))
        with open(os.environ["ASKED"], "a") as asked:
            asked.write(input[-1].text + "\\n")
        return ModelOutput.from_content(self.model_name, "fine")


@task
def questions():
    number = int(os.environ["EXECUTIONS"])
    return Task(dataset=[Sample(input=f"What is {n} plus {n}?") for n in range(number)], solver=generate())


def main(what):
    options = {"log_dir": "logs", "display": "none", "max_connections": int(os.environ["AT_ONCE"])}
    if what == "eval":
        logs = eval(questions(), model="instant/x", **options)
    else:
        logs = eval_retry(glob.glob("logs/*.eval"), **options)
    sys.exit(any(log.status != "success" for log in logs))


if __name__ == "__main__":  # a retry imports the file once more
    main(sys.argv[1])
"""
PROMPTFOO_PROVIDER = """
import fs from "node:fs";
export default class Instant {
  id() { return "instant"; }
  async callApi(prompt) {
    await new Promise((done) => setTimeout(done, 1000 * Number(process.env.SECONDS_EACH)));
    fs.appendFileSync(process.env.ASKED, prompt + "\\n");
    return { output: "fine" };
  }
}
"""


@dataclass(frozen=True)
class Tool:
    """How one of them is started, on a fresh record in ``folder``, and started once more after a kill."""

    name: str
    version: str
    prepare: Callable[[Path, int], None]
    command: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    asked: Callable[[Path], int]


@dataclass(frozen=True)
class Measured:
    tool: str
    executions: int
    wall: float
    cpu: float
    kilobytes: float  # on disk, for each execution
    megabytes: float  # of memory, all processes at the most
    processes: int
    load: float  # of the machine, at the end


@dataclass(frozen=True)
class Killed:
    tool: str
    answers: int  # that were there when it was killed
    again: int  # asked a second time


# The three.


def inspect_ai(environments: Path) -> Tool:
    home = environments / "inspect"
    if not (home / "bin" / "inspect").exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", INSPECT], check=True)
    python = str(home / "bin" / "python")
    version = [python, "-c", f"from importlib.metadata import version; print(version({INSPECT!r}))"]
    shown = subprocess.run(version, capture_output=True, text=True, check=True).stdout.strip()

    def prepare(folder: Path, executions: int) -> None:
        (folder / "questions.py").write_text(INSPECT_TASK)

    def command(_: Path) -> list[str]:
        return [python, "questions.py", "eval"]

    def again(_: Path) -> list[str]:
        return [python, "questions.py", "retry"]

    return Tool("Inspect", shown, prepare, command, again, lines_asked)


def promptfoo(environments: Path) -> Tool:
    home = environments / "promptfoo"
    if not (home / "node_modules" / ".bin" / "promptfoo").exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", PROMPTFOO], cwd=home, check=True)
    program = str(home / "node_modules" / ".bin" / "promptfoo")
    package = json.loads((home / "node_modules" / "promptfoo" / "package.json").read_text())

    def prepare(folder: Path, executions: int) -> None:
        (folder / "instant.mjs").write_text(PROMPTFOO_PROVIDER)
        tests = [{"vars": {"n": n}} for n in range(executions)]
        config = {
            "prompts": ["What is {{n}} plus {{n}}?"],
            "providers": ["file://instant.mjs"],
            "tests": tests,
        }
        (folder / "promptfooconfig.yaml").write_text(yaml.safe_dump(config))

    options = ["--no-cache", "--no-table", "--no-progress-bar", "--max-concurrency", str(AT_ONCE)]
    return Tool(
        "promptfoo",
        str(package["version"]),
        prepare,
        lambda folder: [program, "eval", *options],
        lambda folder: [program, "eval", "--resume", *options],
        lines_asked,
    )


def beacon() -> Tool:
    program = str(Path(sys.executable).with_name("beacon"))

    def prepare(folder: Path, executions: int) -> None:
        location = "benchmarks.instant" if os.environ["SECONDS_EACH"] == "0" else SLOW_LOCATION
        module = {"module_name": location, "location_name": "beacon", "working_directory": str(ROOT)}
        (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_module": module}]}))

    def asked(folder: Path) -> int:
        return _lines(folder / "home" / "local_calls" / "generations.jsonl")

    return Tool("Beacon", "this", prepare, lambda _: [program, "run"], lambda _: [program, "run"], asked)


SLOW_LOCATION = "tests.beacon_pipeline.locations.slow"


def lines_asked(folder: Path) -> int:
    return _lines(folder / "asked")


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


# Running them.


@contextmanager
def prepared(tool: Tool, executions: int, seconds_each: float) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with a fresh record, and the environment of the command."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ["SECONDS_EACH"] = f"{seconds_each:g}"
        tool.prepare(folder, executions)
        # Each keeps its bytecode, as what pip installed does, whatever is set for the one that measures.
        ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        yield (
            folder,
            ours
            | {
                "ASKED": str(folder / "asked"),
                "EXECUTIONS": str(executions),
                "AT_ONCE": str(AT_ONCE),
                "DAGSTER_HOME": str(folder / "home"),
                "BEACON_WORKSPACE": str(folder / "workspace.yaml"),
                "BEACON_TEST_ITEM_SECONDS": f"{seconds_each:g}",
                "PROMPTFOO_CONFIG_DIR": str(folder / "promptfoo"),
                "PROMPTFOO_DISABLE_TELEMETRY": "1",
                "PROMPTFOO_DISABLE_UPDATE": "1",
                "INSPECT_CACHE_DIR": str(folder / "cache"),
            },
        )


@contextmanager
def at_work(command: list[str], folder: Path, env: dict[str, str]) -> Iterator[Family]:
    """The command; of what it started nothing is left at the end."""
    begun = started(command, log=folder / "log", env=env, cwd=folder)
    try:
        yield begun
    finally:
        kill(begun.process)


def measure(tool: Tool, executions: int) -> Measured:
    with prepared(tool, executions, 0) as (folder, env):
        begun = time.perf_counter()
        with at_work(tool.command(folder), folder, env) as command:
            assert command.watch() == 0, (folder / "log").read_text()[-3000:]
        wall = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    kilobytes, megabytes = size / 1024 / executions, command.memory / 2**20
    load = os.getloadavg()[0]
    return Measured(tool.name, executions, wall, command.cpu, kilobytes, megabytes, command.processes, load)


def asked_again(tool: Tool, executions: int) -> Killed:
    with prepared(tool, executions, A_MOMENT) as (folder, env):
        deadline = time.monotonic() + PATIENCE_SECONDS
        with at_work(tool.command(folder), folder, env) as killed:
            while tool.asked(folder) < executions // 2:
                assert killed.process.poll() is None, (folder / "log").read_text()[-3000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
                time.sleep(EVERY_SECONDS / 10)
        answered = tool.asked(folder)
        with at_work(tool.again(folder), folder, env) as done:
            assert done.process.wait(PATIENCE_SECONDS) == 0, (folder / "log").read_text()[-3000:]
        return Killed(tool.name, answered, tool.asked(folder) - executions)


def table(tools: list[Tool], measured: list[Measured], killed: list[Killed]) -> str:
    versions = ", ".join(f"{tool.name} {tool.version}" for tool in tools)
    lines = [
        f"{machine()}. {versions}.",
        "",
        "| tool | executions | wall, s | CPU, s | KB on disk each | MB of memory | processes | load |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {m.tool} | {m.executions:,} | {m.wall:.1f} | {m.cpu:.1f} | {m.kilobytes:.1f} "
        f"| {m.megabytes:,.0f} | {m.processes} | {m.load:.0f} |"
        for m in sorted(measured, key=lambda m: (m.executions, m.tool))
    ]
    lines += ["", f"| killed at half of {SIZES[0]} | answers there | asked again |", "|---|---:|---:|"]
    lines += [f"| {k.tool} | {k.answers} | {k.again} |" for k in killed]
    return "\n".join(lines)


class Results:
    """What was measured, kept in the environments' folder; the newest of each kind counts."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "results.json"
        self._read()

    def _read(self) -> None:
        kept = json.loads(self._file.read_text()) if self._file.exists() else {"measured": [], "killed": []}
        self.measured = {(m["tool"], m["executions"]): Measured(**m) for m in kept["measured"]}
        self.killed = {k["tool"]: Killed(**k) for k in kept["killed"]}

    def add(self, one: Measured | Killed) -> None:
        self._read()  # another part may have been measured meanwhile
        if isinstance(one, Measured):
            self.measured[one.tool, one.executions] = one
        else:
            self.killed[one.tool] = one
        print(one, flush=True)
        kept = {
            "measured": [asdict(m) for m in self.measured.values()],
            "killed": [asdict(k) for k in self.killed.values()],
        }
        self._file.write_text(json.dumps(kept))


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    words = sys.argv[1:]
    sizes = [int(word) for word in words if word.isdecimal()] or ([] if "--kill" in words else list(SIZES))
    chosen = os.environ.get("PEERS")
    environments = Path(chosen or tempfile.mkdtemp(prefix="peers-"))
    try:
        tools = [inspect_ai(environments), promptfoo(environments), beacon()]
        wanted = [tool for tool in tools if tool.name in words] or tools
        results = Results(environments)
        for size in sizes:
            with a_catalog(questions=size // 9):
                for tool in wanted:
                    results.add(measure(tool, size // 9 * 9))
        if "--kill" in words or not words:
            with a_catalog(questions=SIZES[0] // 9):
                for tool in wanted:
                    results.add(asked_again(tool, SIZES[0]))
    finally:
        if chosen is None:
            shutil.rmtree(environments, ignore_errors=True)
    keep(TABLE, table(tools, list(results.measured.values()), list(results.killed.values())))


if __name__ == "__main__":
    main()
