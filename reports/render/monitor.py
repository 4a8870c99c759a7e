"""What a monitor says: its table, and a sentence for each threshold that does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nestperf.console import duration
from nestperf.printable import printable
from nestperf.verdicts import Verdict
from reports.metrics import Summary, unknown_metric
from reports.render import sentences
from reports.render.table import Row, render_table
from reports.render.units import format_count, format_value
from reports.rules import Judged, Why
from reports.statistics import MIN_SAMPLES

_LABEL = 200
_TITLES = ("n", "failed", "avg", "min", "max", "p50", "p95", "p99")


def render_summaries(summaries: Sequence[Summary], width: int) -> str:
    """A line for each metric."""
    if not summaries:
        return "Nothing was measured."
    rows = [
        Row(
            label=printable(one.name, _LABEL),
            cells=(
                format_count(one.count),
                format_count(one.failed) if one.failed else "",
                *map(duration, (one.avg_ns, one.min_ns, one.max_ns, one.p50_ns, one.p95_ns, one.p99_ns)),
            ),
        )
        for one in summaries
    ]
    return "\n".join(render_table(_TITLES, rows, width, give_way=("min", "p99", "p50")))


def breaking_sentence(judged: Judged, names: Iterable[str]) -> str:
    """Why a threshold does not hold; empty where it does."""
    if judged.verdict is Verdict.PASS:
        return ""
    text = printable(judged.threshold.name, _LABEL)
    (name,) = judged.threshold.selector.route
    match judged.why:
        case Why.NOTHING_SELECTED:
            said = unknown_metric(name, names)
        case Why.NO_BASELINE:
            said = "there is no baseline: give the monitor one, PerformanceMonitor(baseline=...)"
        case Why.NOT_IN_BASELINE:
            said = f"the baseline holds nothing as {name!r}"
        case Why.TOO_FEW:
            said = (
                f"{judged.n:,} measured ({_value(judged)}), and a verdict needs {MIN_SAMPLES}: measure "
                f"{judged.more_samples or 1:,} more (monitor.repeat), or take it as it is with certain=False"
            )
        case Why.EXACT if judged.threshold.expression.of_baseline:
            said = f"it is {_value(judged)}, and {_baseline(judged)} in the baseline"
        case Why.EXACT if judged.failed and judged.measured is None:
            said = f"it falls among the {judged.failed:,} of {judged.n:,} that failed"
        case Why.EXACT:
            said = f"it is {_value(judged)}"
        case _:
            said = sentences.reason(judged).rstrip(".")
    return f"{text}: {judged.verdict}; {said}."


def _value(judged: Judged) -> str:
    return sentences.measured_of(judged) if judged.measured is not None else "some failed"


def _baseline(judged: Judged) -> str:
    if judged.baseline is None:
        return "failed"
    return format_value(judged.baseline, judged.threshold.expression.dimension)
