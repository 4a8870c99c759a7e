"""Judges several runs of the same contracts together, and says what exit code all of them come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nestperf.errors import ExitCode
from nestperf.verdicts import Verdict, badness, disagree
from replay.checks.performance import Performed


def judge_together(runs: Sequence[Sequence[Performed]]) -> tuple[Performed, ...]:
    """One result a contract: what passes sometimes is inconclusive, and the numbers are those of the worst run."""
    return tuple(_together(tuple(same)) for same in zip(*runs, strict=True))


def _together(same: tuple[Performed, ...]) -> Performed:
    if len(same) == 1:
        return same[0]
    worst = min(same, key=lambda one: badness(one.finding.verdict))
    verdicts = tuple(one.finding.verdict for one in same)
    invalid = tuple(f"run {n}: {sentence}" for n, one in enumerate(same, 1) for sentence in one.invalid)
    finding = worst.finding
    if disagree(verdicts):
        finding = replace(finding, verdict=Verdict.INCONCLUSIVE)
    return replace(worst, finding=finding, runs=verdicts, invalid=invalid)


def exit_code(performed: Sequence[Performed]) -> ExitCode:
    """Invalid first, then what is broken, then what could not be judged."""
    verdicts = {one.finding.verdict for one in performed if one.entry.required}
    if any(one.invalid for one in performed):
        return ExitCode.INVALID
    if verdicts & {Verdict.FAIL, Verdict.REGRESSION}:
        return ExitCode.FAILED
    if verdicts & {Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED}:
        return ExitCode.INVALID
    return ExitCode.OK
