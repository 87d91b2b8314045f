"""`make chaos`: the long run. ``python -m tests.chaos [SEED ...]``; without seeds, five drawn now."""

import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.drive import drive


def main() -> int:
    seeds = [int(seed) for seed in sys.argv[1:]] or random.sample(range(1, 100_000), 5)
    print("seeds:", *seeds, flush=True)
    failed = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
            try:
                figures = drive(
                    Path(folder),
                    seed,
                    questions=42,
                    jobs=2,
                    seconds=75,
                    each=4,
                    postgresql=seed % 2 == 0,
                )
            except AssertionError as error:
                failed += 1
                print(f"seed {seed} FAILED: {error}", flush=True)
            else:
                print(figures, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
