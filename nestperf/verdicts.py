"""The words for what became of a promise, and which of several is the worst. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence


class Verdict(enum.StrEnum):
    """What became of one promise."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"
    NOT_APPLICABLE = "not applicable"


_FROM_WORST = (
    Verdict.REGRESSION,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_MEASURED,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)


def badness(verdict: Verdict) -> int:
    """A number that is the smaller the worse a verdict is."""
    return _FROM_WORST.index(verdict)


def disagree(verdicts: Sequence[Verdict]) -> bool:
    """Whether some runs kept a promise and others did not: then nobody can tell."""
    return len(set(verdicts)) > 1 and Verdict.PASS in verdicts
