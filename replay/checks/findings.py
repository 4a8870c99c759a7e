"""How contracts come to their findings alike: the verdict over what broke, the numbers over times, the usual sentences.

Pure; what is promised, and what breaks it, each contract knows by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from nestperf.console import duration, limit
from nestperf.percentiles import nearest_rank
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding, Number, Rows

_HALF = Fraction(1, 2)


def verdict_of(*, broken: bool, missing: bool) -> Verdict:
    """What is broken fails; else nobody can tell where something is `missing` that was to be there."""
    return Verdict.FAIL if broken else Verdict.INCONCLUSIVE if missing else Verdict.PASS


def measured(count: int, asked: int, slowest_ns: int | None) -> str:
    """In the table: `20 of 20 in 41.2 ms`; without the time where there was none."""
    return f"{count} of {asked}" + (f" in {duration(slowest_ns)}" if slowest_ns is not None else "")


def slowest_of(times_ns: Sequence[int]) -> int | None:
    """The last of times that ascend; None where there are none."""
    return times_ns[-1] if times_ns else None


def time_numbers(
    times_ns: Sequence[int], within_ns: int, slowest: str = "slowest", median: str = "median"
) -> tuple[Number, Number]:
    """The slowest, which has a limit, and the median of times that ascend."""
    return (
        Number(slowest, slowest_of(times_ns), "ns", within_ns),
        Number(median, nearest_rank(times_ns, _HALF) if times_ns else None, "ns"),
    )


def late_sentence(times_ns: Sequence[int], within_ns: int, asked: int, what: str) -> list[str]:
    """`3 of 20 answers came after 5 s, the last after 6.10 s.`, `what` being `answers came`; nothing where all of the
    times, which ascend, are within the limit."""
    late = [ns for ns in times_ns if ns > within_ns]
    if not late:
        return []
    return [f"{len(late)} of {asked} {what} after {limit(within_ns)}, the last after {duration(late[-1])}."]


def cut_short(finding: Finding, rows: Rows) -> Finding:
    """The finding of a contract about what comes after something: where Ctrl-C ended its run, what is missing may be
    missing because of that, and breaks no promise."""
    if rows.run.state != "interrupted" or finding.verdict is not Verdict.FAIL:
        return finding
    return replace(finding, verdict=Verdict.INCONCLUSIVE, sentences=())


def nothing_came(limit: str, sentence: str) -> Finding:
    """The finding of a contract whose traffic did not come about."""
    return Finding(verdict=Verdict.NOT_MEASURED, measured="nothing", limit=limit, n=0, sentences=(sentence,))
