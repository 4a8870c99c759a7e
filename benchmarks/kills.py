"""Kills recorders in the middle of traffic and looks at what is left: `python benchmarks/kills.py [--times 100]`.

Relay, recorder process and both take turns, at a random moment. Every capture must open, pass SQLite's integrity check,
be readable by `report`, and hold all that the client had 250 ms before the kill; else the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.proxy_addon.kills import TARGETS, kill_once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    outcomes: Counter[str] = Counter()
    for number in range(options.times):
        target = TARGETS[number % len(TARGETS)]
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = asyncio.run(kill_once(Path(folder), target, chance))
                outcomes["held"] += 1
            except AssertionError as error:
                found = f"MISSING: {error}"
                outcomes["missing"] += 1
        print(f"{number + 1:4}  {target:8}  {found}", flush=True)
    print(f"{outcomes['held']} of {options.times} killed recordings held everything up to 250 ms before the kill")
    sys.exit(outcomes["missing"] > 0)


if __name__ == "__main__":
    main()
