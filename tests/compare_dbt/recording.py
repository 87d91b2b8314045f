"""What the real dbt said of every test, kept so that the suite needs no dbt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.compare_dbt.real_dbt import Verdict

FILE = Path(__file__).with_name("dbt_said.json")


def write(verdicts: Mapping[str, Verdict]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(_listed(said))}" for name, said in sorted(verdicts.items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read() -> dict[str, Verdict]:
    return {name: _verdict(*said) for name, said in json.loads(FILE.read_text(encoding="utf-8")).items()}


def _verdict(
    status: str, failures: int | None, stored: int | None = None, columns: Iterable[str] = ()
) -> Verdict:
    return Verdict(status, failures, stored, tuple(columns))


def _listed(said: Verdict) -> list[object]:
    stored = [] if said.stored is None else [said.stored, list(said.columns)]
    return [said.status, said.failures, *stored]
