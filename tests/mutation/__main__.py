"""Try a bounded sample of mutants of the pure modules with their tests: `make mutation`.

The table of what was found is written into docs/mutation.md. `python -m tests.mutation MODULE…` tries these
modules only, shows each mutant that survives, and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
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


def document(found: Sequence[Found], options: argparse.Namespace, seconds: float) -> str:
    machine = f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    rows = "\n".join(
        f"| `{one.module}` | {one.made} | {one.tried} | {one.found} | {one.rate:.0%} | {one.equivalent} |"
        for one in found
    )
    made, tried, equivalent = (
        sum(getattr(one, name) for one in found) for name in ("made", "tried", "equivalent")
    )
    all_found = sum(one.found for one in found)
    reasons = "\n".join(
        f"| `{module.rpartition('.')[2]}` | `{code}` | {change} | {reason} |"
        for module, listed in EQUIVALENT.items()
        for (code, change), reason in listed.items()
    )
    return f"""# Tests that bite

`make mutation` changes one place of a pure module, runs the module's own tests, and looks whether they fail.
It tries at most {options.most} changes of each module, the same ones for the same seed, and fails where fewer
than {REQUIRED:.0%} of one are found. Changed are comparisons, boolean operators, conditions, constants,
returned values, sums, guards and calls made for their effect; annotations, docstrings, decorators, parts of
f-strings and log messages are not. Changes that no test can find are listed below and not counted.

| module | mutants | tried | found | share | equivalent |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}
| all | {made} | {tried} | {all_found} | {all_found / max(tried, 1):.0%} | {equivalent} |

Seed {options.seed}, {datetime.now(UTC).date().isoformat()}, in {seconds / 60:.0f} minutes on {machine}.

## Equivalent changes

| module | line | change | why no test can find it |
| --- | --- | --- | --- |
{reasons}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(MODULES)}")
    parser.add_argument("--most", type=int, default=24, help="mutants of one module")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another sample")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    if unknown := set(options.modules) - set(MODULES):
        parser.error(f"not in tests/mutation/modules.py: {', '.join(sorted(unknown))}")
    begun = time.monotonic()
    found = [examine(module, options) for module in (options.modules or MODULES)]
    if not options.modules:
        DOCUMENT.write_text(document(found, options, time.monotonic() - begun), encoding="utf-8")
    return int(any(one.rate < REQUIRED for one in found))


if __name__ == "__main__":
    sys.exit(main())
