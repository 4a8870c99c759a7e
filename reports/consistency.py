"""Judges several runs of the same load together: what passes sometimes is inconclusive. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nestperf.verdicts import Verdict, badness, disagree
from reports.rules import Judged, Why
from reports.verdict import Judgement


def judge_together(judgements: Sequence[Judgement]) -> Judgement:
    """One judgement of runs judged by the same thresholds. The numbers shown are those of the run that did worst.

    A verdict that all runs share stands. Where some pass and others do not, nobody can tell; and a run that is
    invalid makes all of them so.
    """
    last = judgements[-1]
    return replace(
        last,
        judged=tuple(_together(judged) for judged in zip(*(judgement.judged for judgement in judgements), strict=True)),
        invalid=tuple(
            f"Run {number} ({judgement.capture_name}): {sentence}"
            for number, judgement in enumerate(judgements, 1)
            for sentence in judgement.invalid
        ),
        explanations=next((j.explanations for j in judgements if j.explanations), ()),
    )


def _together(judged: tuple[Judged, ...]) -> Judged:
    worst = min(judged, key=lambda one: badness(one.verdict))
    verdicts = tuple(one.verdict for one in judged)
    required = any(one.required for one in judged)
    if disagree(verdicts):
        return replace(worst, verdict=Verdict.INCONCLUSIVE, why=Why.SOMETIMES, runs=verdicts, required=required)
    return replace(worst, runs=verdicts, required=required)
