"""How many of the true links of generated sessions are found, and how many links are false.

`python benchmarks/provenance.py [--sessions 200] [--seeds 5]`, with the secrets beside the capture and without them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.replay.conftest import plan_of
from tests.replay.provenance.applications import build_corpus
from tests.replay.provenance.measure import Score, measure


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    rows = [_row(arguments.sessions, seed, secrets=secrets) for secrets in (True, False) for seed in seeds]
    print(tabulate(rows, headers=["secrets", "seed", "true links", "found", "linked", "false", "decoys"]))


def _row(sessions: int, seed: int, *, secrets: bool) -> list[object]:
    score, decoys = Score(), 0
    with tempfile.TemporaryDirectory() as folder:
        for corpus in build_corpus(Path(folder), sessions, seed):
            measure(corpus, plan_of(corpus.path, secrets=secrets).sessions, score, values=secrets)
            decoys += corpus.decoys
    found, false = f"{score.recall:.2%}", f"{score.false_share:.2%}"
    return ["there" if secrets else "missing", seed, score.true, found, score.linked, false, decoys]


if __name__ == "__main__":
    main()
