"""Judges thresholds over a capture: each becomes a verdict with the numbers it rests on, all together an exit code.

This is where it is known which run a threshold is about and required of. What each quantity is in a capture is in
`reports.measures`, what makes a verdict of numbers in `reports.rules`, how it reads in `reports.render`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nestperf.capture.model import ONLY_QUERIES, Run
from nestperf.errors import ExitCode
from nestperf.verdicts import Verdict
from reports.compare.model import Comparison
from reports.expressions import Statistic
from reports.relative import judge_relative
from reports.rules import Judged, Why, judge_number, judge_share, judge_times
from reports.thresholds import MEASURE, Threshold, Thresholds, Unchecked

if TYPE_CHECKING:
    from nestperf.capture.reader import Capture
    from reports.broadcasts import Broadcast
    from reports.explain import Explanation
    from reports.measures import Measures
    from reports.samples import Samples

# numpy comes with samples, broadcasts and measures: imported when something is judged, so that a command that only
# may have to judge starts fast.


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All thresholds over one capture."""

    capture_name: str
    run: Run
    latency_name: str
    """`response_time` or `service_time`."""
    origin: str
    """Where the thresholds come from."""
    judged: tuple[Judged, ...]
    unchecked: tuple[Unchecked, ...]
    invalid: tuple[str, ...]
    """Sentences; with any of them no verdict counts."""
    doubts: tuple[str, ...] = ()
    """Sentences about what was left out because it made no sense."""
    capture_path: str = ""
    """As it was given, for the next command."""
    explanations: tuple[Explanation, ...] = ()
    """Of what is broken, required or not."""
    comparison: Comparison | None = None
    """Where there are baselines."""

    @property
    def exit_code(self) -> ExitCode:
        """Invalid first, then what failed, then what could not be judged."""
        verdicts = {judged.verdict for judged in self.judged if judged.required}
        if self.invalid:
            return ExitCode.INVALID
        compared = self.comparison
        if verdicts & {Verdict.FAIL, Verdict.REGRESSION} or (compared is not None and compared.is_regression):
            return ExitCode.FAILED
        if verdicts & {Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED} or (compared is not None and compared.is_open):
            return ExitCode.INVALID
        return ExitCode.OK


def judge_capture(
    capture: Capture, thresholds: Thresholds, *, everything: bool = False, baselines: Sequence[Capture] = ()
) -> Judgement:
    """Read a capture and judge it, by itself and against `baselines`; `everything`: also what was due in a replay's
    ramp and warm-up.

    Raises:
        CaptureTruncated: the file is damaged.
    """
    from reports.broadcasts import find_broadcasts
    from reports.compare.compare import Named, compare
    from reports.samples import Samples

    samples = Samples.read(capture, everything=everything)
    old = [Named(one.path.name, Samples.read(one, everything=everything)) for one in baselines]
    judgement = judge_samples(
        samples, find_broadcasts(samples), thresholds, capture.path.name, [named.samples for named in old]
    )
    comparison = compare(Named(capture.path.name, samples), old) if old else None
    return explained(replace(judgement, comparison=comparison), samples, capture)


def explained(judgement: Judgement, samples: Samples, capture: Capture) -> Judgement:
    """The judgement with what is behind every broken promise."""
    from reports.explain import explain

    explanations = explain(judgement, samples, capture)
    return replace(judgement, capture_path=str(capture.path), explanations=explanations)


def judge_samples(
    samples: Samples,
    broadcasts: tuple[Broadcast, ...],
    thresholds: Thresholds,
    capture_name: str,
    baselines: Sequence[Samples] = (),
) -> Judgement:
    """Judge columns that were read already; `baselines` are what relative thresholds are relative to."""
    from reports.measures import Measures

    judge = _Judge(Measures(samples, broadcasts), tuple(map(Measures, baselines)))
    concerned = thresholds.thresholds
    if samples.run.purpose == MEASURE:
        # Promises of an application are none of a program's own measurements, which nobody promised anything about.
        concerned = tuple(threshold for threshold in concerned if MEASURE in threshold.applies)
    return Judgement(
        capture_name=capture_name,
        run=samples.run,
        latency_name=samples.latency_name,
        origin=thresholds.origin,
        judged=tuple(judge.judge(threshold) for threshold in concerned),
        unchecked=() if samples.run.purpose == MEASURE else thresholds.unchecked,
        invalid=invalid_because(samples),
        doubts=_doubts(samples),
    )


STEPPED = 0.01
"""With more than this share of exchanges that end before they begin, no stamp of a run is believed."""


def _stepped(samples: Samples) -> tuple[int, int]:
    """Exchanges that end before they begin, and all."""
    return int(samples.backwards.sum()), len(samples.exchanges)


def _doubts(samples: Samples) -> tuple[str, ...]:
    backwards, n = _stepped(samples)
    if not backwards or backwards > STEPPED * n:
        return ()
    end = "1 exchange ends" if backwards == 1 else f"{backwards:,} exchanges end"
    return (f"{end} before beginning (a clock stepped) and counted for nothing.",)


def invalid_because(samples: Samples) -> tuple[str, ...]:
    """Sentences: why no verdict of a run counts; empty where it does."""
    run = samples.run
    backwards, n = _stepped(samples)
    stepped = f"{backwards:,} of {n:,} exchanges end before they begin: the clock stepped. Record again."
    return (*_invalid_run(run), *((stepped,) if backwards > STEPPED * n else ()))


def _invalid_run(run: Run) -> tuple[str, ...]:
    lost = ", ".join(f"{count:,} {kind}" for kind, count in sorted(run.losses.items()) if count)
    return (*run.invalid, *((f"Not everything was stored; lost: {lost}.",) if lost else ()))


class _Judge:
    """Hands what a threshold measures in one capture to the rules, and knows whether the run was one for it."""

    def __init__(self, measures: Measures, baselines: tuple[Measures, ...]) -> None:
        self.measures = measures
        self.baselines = baselines
        run = measures.samples.run
        self.purpose = "record" if run.purpose == "import" else run.purpose

    def judge(self, threshold: Threshold) -> Judged:
        judged = self._judge(threshold)
        if judged.why is Why.NOTHING_SELECTED:
            judged = replace(judged, unmatched=self.measures.unmatched(threshold))
        return self._with_requirement(judged)

    def _judge(self, threshold: Threshold) -> Judged:
        from reports.measures import inflation_of_times

        measures = self.measures
        if measures.samples.run.settings.get("model") == ONLY_QUERIES and threshold.expression.quantity != "query_time":
            return Judged(threshold=threshold, verdict=Verdict.NOT_APPLICABLE, why=Why.ONLY_QUERIES)
        if self.purpose not in threshold.applies:
            return Judged(threshold=threshold, verdict=Verdict.NOT_APPLICABLE, why=Why.OTHER_RUN)
        if self.purpose == "record" and _is_about_load(threshold):
            return Judged(threshold=threshold, verdict=Verdict.NOT_APPLICABLE, why=Why.BY_HAND)
        if (absent := measures.absent(threshold)) is not None:
            return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOT_RECORDED, absent=absent)
        if threshold.users is not None and measures.users < threshold.users:
            return _unloaded(threshold, Why.LOAD_NOT_PUT_ON, asked=measures.users)
        if threshold.expression.of_baseline:
            return self._relative(threshold)
        match threshold.expression.statistic:
            case Statistic.COUNT:
                return self._count(threshold)
            case Statistic.RATE | Statistic.REACH:
                return judge_share(threshold, *measures.share(threshold))
            case _:
                times = measures.times(threshold)
                return judge_times(threshold, times, inflation_of_times(threshold.expression, times))

    def _with_requirement(self, judged: Judged) -> Judged:
        threshold = judged.threshold
        required = judged.verdict is not Verdict.NOT_APPLICABLE and self.purpose in threshold.required
        required = required and all(self._has(condition, judged) for condition in threshold.required_if)
        return replace(judged, required=required)

    def _has(self, condition: str, judged: Judged) -> bool:
        match condition:
            case "load":
                return judged.why not in (Why.LOAD_NOT_PUT_ON, Why.RUN_TOO_SHORT)
            case "baseline":
                return bool(self.baselines)
        return self.measures.has(condition, judged.threshold)

    def _relative(self, threshold: Threshold) -> Judged:
        from reports.measures import estimate_of

        if not self.baselines:
            return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NO_BASELINE)
        return judge_relative(
            threshold, estimate_of((self.measures,), threshold), estimate_of(self.baselines, threshold)
        )

    def _count(self, threshold: Threshold) -> Judged:
        """A count is what it is; but having been asked for less says nothing about the application."""
        measures, expression = self.measures, threshold.expression
        if expression.quantity == "users":
            number, asked = measures.users_at_once(threshold), 0
        else:
            number, asked = measures.count(threshold)
        judged = judge_number(threshold, number)
        if judged.verdict is Verdict.PASS or expression.comparison.is_upper:
            return judged
        if expression.quantity == "users":
            return _unloaded(threshold, Why.LOAD_NOT_PUT_ON, number, measures.users)
        if expression.per_ns is None or expression.comparison.holds(asked, expression.limit):
            return judged
        span = measures.samples.span_ns
        short = span is None or span[1] - span[0] < expression.per_ns
        return _unloaded(threshold, Why.RUN_TOO_SHORT if short else Why.LOAD_NOT_PUT_ON, number, asked)


def _unloaded(threshold: Threshold, why: Why, number: int | None = None, asked: int | None = None) -> Judged:
    return Judged(
        threshold=threshold,
        verdict=Verdict.NOT_MEASURED,
        why=why,
        n=number or 0,
        measured=number,
        asked=asked,
    )


def _is_about_load(threshold: Threshold) -> bool:
    """Whether it is a promise of what holds under load, or of the load itself."""
    expression = threshold.expression
    users = expression.statistic is Statistic.COUNT and expression.quantity in ("users", "sessions")
    return threshold.users is not None or expression.per_ns is not None or users
