"""Try a bounded sample of mutants of the pure modules with their tests: `make mutation`.

Each mutant that survives is shown; the table of what was found is written into docs/mutation.md: the rows of
the modules that are named, or of all.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.mutation.modules import EQUIVALENT, MODULES
from tests.mutation.mutants import Mutant, mutants_of, sample
from tests.mutation.trying import ROOT, path_of, survivors

DOCUMENT = ROOT / "docs" / "mutation.md"
REQUIRED = 0.9


@dataclass(frozen=True)
class Found:
    """What became of a module's mutants. ``equivalent``: those of the sample that no test can find."""

    module: str
    made: int
    tried: int
    equivalent: int
    survivors: tuple[Mutant, ...]

    @property
    def found(self) -> int:
        return self.tried - len(self.survivors)

    @property
    def rate(self) -> float:
        return self.found / self.tried if self.tried else 1.0


def examine(module: str, options: argparse.Namespace) -> Found:
    """Raises SystemExit where the tests fail on the module as it is, or a listed equivalent is no mutant."""
    every = mutants_of(path_of(module).read_text(encoding="utf-8"))
    equivalent = EQUIVALENT.get(module, {})
    if unknown := set(equivalent) - {mutant.key for mutant in every}:
        raise SystemExit(f"{module}: listed as equivalent, but no mutant of it: {sorted(unknown)}")
    chosen = sample(every, options.most, f"{module} {options.seed}")
    tried = [mutant for mutant in chosen if mutant.key not in equivalent]
    alive = survivors(module, MODULES[module], tried, options.at_once)
    found = Found(module, len(every), len(tried), len(chosen) - len(tried), tuple(alive))
    print(f"{module}: {found.found} of {found.tried} found", flush=True)
    for mutant in alive:
        print(f"    line {mutant.line}: {mutant.change}: {mutant.code}", flush=True)
    return found


def document(rows: Sequence[str], options: argparse.Namespace) -> str:
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    numbers = [[int(cell) for cell in row.split("|")[2:5]] for row in rows]
    made, tried, all_found = (sum(column) for column in zip(*numbers, strict=True))
    reached = sum(found >= REQUIRED * of for _, of, found in numbers)
    reasons = "\n".join(
        f"| `{module.rpartition('.')[2]}` | `{code}` | {change} | {reason} |"
        for module, listed in EQUIVALENT.items()
        for (code, change), reason in listed.items()
    )
    listed = "\n".join(rows)
    return f"""# Tests that bite

`make mutation` changes one place of a pure module, runs the module's own tests, and looks whether they fail.
It tries at most {options.most} changes of each module, the same ones for the same seed, and fails where fewer
than {REQUIRED:.0%} of one are found: {reached} of {len(rows)} modules reach that. Changed are comparisons,
boolean operators, conditions, constants, returned values, sums, guards and calls made for their effect. Not
changed are annotations, docstrings, decorators, parts of f-strings, log messages, what only type checkers
read, `strict` of `zip`, and the values of enumerations that are never stored. `MODULES="..."` tries these
modules and writes their rows anew.

| module | mutants | tried | found | share |
| --- | ---: | ---: | ---: | ---: |
{listed}
| all | {made} | {tried} | {all_found} | {all_found / max(tried, 1):.0%} |

Seed {options.seed}, {datetime.now(UTC).date().isoformat()}, on {machine}.
{EQUIVALENTS.format(reasons=reasons) if reasons else ""}"""


EQUIVALENTS = """
## Equivalent changes, not counted

| module | line | change | why no test can find it |
| --- | --- | --- | --- |
{reasons}
"""


def row_of(one: Found) -> str:
    return f"| `{one.module}` | {one.made} | {one.tried} | {one.found} | {one.rate:.0%} |"


def rows_with(found: Sequence[Found]) -> list[str]:
    """The document's rows, in the order of `MODULES`, those of these modules anew."""
    lines = DOCUMENT.read_text("utf-8").splitlines() if DOCUMENT.exists() else []
    rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
    rows |= {one.module: row_of(one) for one in found}
    return [rows[module] for module in MODULES if module in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(MODULES)}")
    parser.add_argument("--most", type=int, default=40, help="mutants of one module")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another sample")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    if unknown := set(options.modules) - set(MODULES):
        parser.error(f"not in tests/mutation/modules.py: {', '.join(sorted(unknown))}")
    found = [examine(module, options) for module in (options.modules or MODULES)]
    DOCUMENT.write_text(document(rows_with(found), options), encoding="utf-8")
    return int(any(one.rate < REQUIRED for one in found))


if __name__ == "__main__":
    sys.exit(main())
