"""What came of the reads that were asked again: counts, the run's certificate, sentences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from nestperf.capture.model import Query
from nestperf.console import duration, plural
from nestperf.printable import printable
from replay.database.reads import Reads
from replay.distribution import Distribution

READ_ONLY = "25006"
"""SQLSTATE: the server refused to write in a read-only transaction."""
TIMED_OUT = "57014"
_SATURATED = 0.95
_SHOWN = 5
_MEANINGS = {
    TIMED_OUT: "took longer than --timeout",
    "42P01": "no such table",
    "42703": "no such column",
    "42501": "the user may not",
    "53300": "too many connections",
    "22P02": "a value that does not fit its type",
}


class Spent(NamedTuple):
    """What the run took."""

    elapsed_ns: int
    cpu_ns: int


class Tally:
    """What happened so far."""

    def __init__(self) -> None:
        self.asked = 0
        self.outcomes: Counter[str] = Counter()
        """`ok`, `error`, `unfinished`, as in the capture."""
        self.refused = 0
        """Of the errors: writes that the server refused."""
        self.states: Counter[str] = Counter()
        """Of the other errors, by SQLSTATE."""
        self.cut = 0
        """Connections that were lost or given up under way."""
        self.connections = 0
        self.times_ns = Distribution()
        self.troubles: Counter[str] = Counter()

    def count(self, row: Query) -> None:
        """One more query is over."""
        self.asked += 1
        self.outcomes[row.outcome] += 1
        if row.outcome == "error":
            if row.sqlstate == READ_ONLY:
                self.refused += 1
            else:
                self.states[row.sqlstate or ""] += 1
        elif row.outcome == "ok" and row.done_ns is not None:
            self.times_ns.append(row.done_ns - row.started_ns)

    def trouble(self, sentence: str) -> None:
        """Something went wrong that is no query's outcome."""
        self.troubles[sentence] += 1

    def certificate(self, spent: Spent, reads: Reads, planned: int | None) -> dict[str, Any]:
        """The numbers of `run.certificate`."""
        share = spent.cpu_ns / max(spent.elapsed_ns, 1)
        return {
            "planned": planned,
            "sent": self.asked,
            "connections": self.connections,
            "elapsed_ns": spent.elapsed_ns,
            "cpu_ns": spent.cpu_ns,
            "cpu_share": round(share, 3),
            "queries": {
                "recorded_reads": len(reads.reads),
                "left_out": {str(left.reason): left.queries for left in reads.left_out},
                "outcomes": dict(self.outcomes),
                "writes_refused": self.refused,
                "errors": dict(self.states),
            },
            "limit": _limit(share),
            "given_up": None,
        }

    def invalid(self, planned: int | None) -> tuple[str, ...]:
        """Why the run measured nothing that can be judged; nothing where it did. `planned`: how many reads were to be
        asked; None where nobody knows, or somebody ended it."""
        if self.outcomes["ok"]:
            if planned is None or self.asked >= planned:
                return ()
            return (f"Only {self.asked:,} of {planned:,} reads were asked: connections were lost.",)
        why = "; ".join(self._failures()) or "nothing was answered"
        return (f"No read was answered: {why}.",)

    def _failures(self) -> Iterator[str]:
        if self.refused:
            yield f"{plural(self.refused, 'write')} refused by the server (SQLSTATE {READ_ONLY})"
        for state, count in self.states.most_common(_SHOWN):
            meaning = _MEANINGS.get(state, "")
            yield f"{plural(count, 'error')} SQLSTATE {state}{f' ({meaning})' if meaning else ''}"
        if self.outcomes["unfinished"]:
            yield f"{self.outcomes['unfinished']:,} without an answer"


def describe_reads(reads: Reads) -> Iterator[str]:
    """What will be asked, and what will not and why."""
    yield f"{plural(len(reads.reads), 'recorded read')} of {plural(len({read.text for read in reads.reads}), 'text')}"
    for left in reads.left_out:
        example = f": {printable(left.example, 60)}" if left.example else ""
        yield f"  not asked: {left.queries:,} × {left.reason}{example}"


def summarize_asked(tally: Tally, spent: Spent, concurrency: int) -> Iterator[str]:
    """What happened, after the run."""
    per_s = tally.asked / max(spent.elapsed_ns, 1) * 1e9
    told = f"{plural(tally.asked, 'query', 'queries')} on {plural(concurrency, 'connection')} in "
    yield f"{told}{duration(spent.elapsed_ns)} ({per_s:,.0f} a second): {tally.outcomes['ok']:,} ok"
    times = tally.times_ns
    if tally.outcomes["ok"]:
        found = ", ".join(f"{name} {duration(times.percentile(share))}" for name, share in _PERCENTILES)
        yield f"Query time: {found}, max {duration(times.max_ns)}"
    for failure in tally._failures():
        yield f"  {failure}"
    if limit := _limit(spent.cpu_ns / max(spent.elapsed_ns, 1)):
        yield f"  {limit}"
    for sentence, count in tally.troubles.most_common(_SHOWN):
        yield f"  {count:,} × {printable(sentence, 160)}"


_PERCENTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))


def _limit(share: float) -> str | None:
    if share < _SATURATED:
        return None
    return f"The generator was the limit ({share:.0%} of a core): queries took part of their time here."
