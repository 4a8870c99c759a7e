"""What a judgement says, in sentences: the headline, and for every verdict what it rests on and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nestperf.capture.model import Run
from nestperf.errors import ExitCode
from nestperf.printable import printable
from nestperf.verdicts import Verdict
from reports.expressions import OF_PAGES, Expression, Statistic
from reports.render import comparison
from reports.render.units import format_count, format_limit, format_measured, format_value
from reports.rules import Absent, Judged, Why
from reports.statistics import MIN_SAMPLES
from reports.verdict import Judgement

_LONGEST_NAME = 60
WORTH_SAYING = 1.5
"""From this inflation on it is said that samples depend on each other."""

GET_MORE = "Record more, or replay with more --users or a longer --duration"
OPEN_MORE = "Record more, or open pages more often with browse --runs"

LATENCY = {
    "response_time": "Latency is response time, from when a request was due to its last byte.",
    "service_time": "Latency is service time, from a request's first byte to the last of its answer.",
}


def name_of(judged: Judged) -> str:
    """The threshold's name, fit for a sentence."""
    return printable(judged.threshold.name, _LONGEST_NAME)


def headline_word(judgement: Judgement) -> str:
    """The first word of every report."""
    if judgement.invalid:
        return "INVALID"
    match judgement.exit_code:
        case ExitCode.FAILED:
            return "FAIL"
        case ExitCode.INVALID:
            return "CAN'T TELL"
    something = judgement.comparison is not None or any(judged.required for judged in judgement.judged)
    return "PASS" if something else "NOTHING JUDGED"


def headline(judgement: Judgement) -> str:
    """One sentence: what became of the promises that matter. An unfinished run is said to be one."""
    compared = judgement.comparison
    sentences = [_outcome(judgement), comparison.outcome(compared) if compared and not judgement.invalid else ""]
    if compared and compared.is_regression:
        sentences.reverse()
    return " ".join(filter(None, (*sentences, state_sentence(judgement.run.state))))


def _outcome(judgement: Judgement) -> str:
    if judgement.invalid:
        return "No verdict of this run counts. " + " ".join(printable(text, 400) for text in judgement.invalid)
    required = [judged for judged in judgement.judged if judged.required]
    broken = [judged for judged in required if judged.verdict in (Verdict.FAIL, Verdict.REGRESSION)]
    open_ = [judged for judged in required if judged.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED)]
    if broken:
        return f"{_of(broken, required)} {'is' if len(broken) == 1 else 'are'} broken: {_names(broken)}."
    if open_:
        return f"{_of(open_, required)} could not be judged: {_names(open_)}."
    if not required:
        return "No threshold is required of this capture."
    held = "The one required promise holds." if len(required) == 1 else f"All {len(required)} required promises hold."
    missed = [j for j in judgement.judged if not j.required and j.verdict in (Verdict.FAIL, Verdict.REGRESSION)]
    return held + (f" Broken, but optional: {_names(missed)}." if missed else "")


def _of(some: list[Judged], required: list[Judged]) -> str:
    return "The one required promise" if len(required) == 1 else f"{len(some)} of {len(required)} required promises"


def _names(judged: list[Judged]) -> str:
    shown = "; ".join(name_of(item) for item in judged[:5])
    return shown + (f"; and {len(judged) - 5} more" if len(judged) > 5 else "")


def words_for(run: Run) -> str:
    """What kind of run it was; of a contract, which."""
    what = {"record": "recording", "measure": "measurement"}.get(run.purpose, run.purpose)
    contract = run.settings.get("contract")
    if isinstance(contract, dict) and isinstance(contract.get("name"), str):
        return f"{what} “{printable(contract['name'], 80)}”"
    return what


def state_sentence(state: str) -> str:
    """What to know of a run that did not simply finish."""
    return {
        "finished": "",
        "running": "The run has not finished: it is still going, or was killed.",
        "interrupted": "The run was interrupted: this is what it had measured.",
    }.get(state, f"The run's state is {printable(state, 20)}.")


def reason(judged: Judged) -> str:
    """One sentence that says what a verdict rests on, and where it is none, what would give one."""
    expression = judged.threshold.expression
    if expression.of_baseline and judged.baseline_n:
        return _relative(judged)
    limit = format_limit(expression.limit, expression.dimension)
    match judged.why:
        case Why.OTHER_RUN:
            return f"applies to {' and '.join(judged.threshold.applies)} only."
        case Why.SOMETIMES:
            kept = sum(verdict is Verdict.PASS for verdict in judged.runs)
            return (
                f"held in {kept} of {len(judged.runs)} runs of the same load: what holds sometimes is no promise kept."
            )
        case Why.ONLY_QUERIES:
            return "this run asked a database and nothing else."
        case Why.BY_HAND:
            return "is about load, and this was recorded by hand: replay it with many users."
        case Why.NOTHING_SELECTED:
            return _nothing_selected(judged)
        case Why.NOT_RECORDED:
            assert judged.absent is not None
            return f"{_ABSENT[judged.absent]}."
        case Why.NO_BASELINE:
            return "is relative to a baseline, and none was given: --baseline OLD.db."
        case Why.NOT_IN_BASELINE:
            return "nothing in the baseline is selected by it: give a baseline of the same recording."
        case Why.LOAD_NOT_PUT_ON:
            return _load_not_put_on(judged)
        case Why.RUN_TOO_SHORT:
            window = format_limit(expression.per_ns or 0)
            return f"{format_count(judged.measured)}, but the run was shorter than {window}: give a longer --duration."
        case Why.TOO_FEW:
            return _too_few(judged)
        case Why.STRADDLES:
            more = "" if judged.more_samples is None else f"; about {judged.more_samples:,} more samples would tell"
            worth = f" (worth {judged.n / judged.inflation:,.0f})" if judged.inflation >= WORTH_SAYING else ""
            samples = f"{judged.n:,} samples{worth}"
            return f"the limit {limit} lies within what {samples} leave open ({interval_of(judged)}){more}."
        case Why.ONE_SAMPLE:
            return f"{judged.breaking:,} of {judged.n:,} samples {_break(judged)} it, and none may."
        case Why.EVERY_SAMPLE:
            sure = "" if judged.confidence is None else f", which makes it {confidence_of(judged)} sure"
            return f"all {judged.n:,} samples keep it{sure}."
        case Why.EXACT:
            relation = "keeps" if judged.verdict is Verdict.PASS else "was to be"
            return f"{measured_of(judged)} {relation} {expression.comparison} {limit}."
        case Why.INTERVAL:
            return _interval(judged, limit)


_ABSENT = {
    Absent.QUERIES: "no database was recorded: nestperf record URL postgres://HOST:PORT",
    Absent.MARKS: "nothing was named while it was recorded: press m in `nestperf record`, or use `nestperf mark`",
    Absent.INTENDED_TIMES: "only a replay knows when a request was due: nestperf replay this capture",
    Absent.SESSIONS: "only a replay stores sessions: nestperf replay this capture",
    Absent.SOCKETS: "no WebSocket or Socket.IO connection was opened",
    Absent.PAGES: "no browser was watched: nestperf record --browser --vitals",
    Absent.BROADCASTS: "no event reached two sockets: replay with --users 2 or more",
}
"""What is missing of a capture, and how to get it."""


def _nothing_selected(judged: Judged) -> str:
    if judged.unmatched is None:
        return "nothing in this capture is all of that at once."
    key, wanted, nearest = judged.unmatched
    what = " or ".join(printable(name, 60) for name in wanted)
    near = "" if nearest is None else f"; the nearest is {printable(nearest, 60)}"
    return f"no {key} in this capture is {what}{near}."


def _relative(judged: Judged) -> str:
    expression = judged.threshold.expression
    baseline = "failed" if judged.baseline is None else format_value(judged.baseline, expression.dimension)
    of_samples = "" if expression.statistic is Statistic.COUNT else f" (n {judged.baseline_n:,})"
    own = f" ({interval_of(judged)}, n {judged.n:,})" if interval_of(judged) else ""
    text = f"{statistic_of(judged)} is {measured_of(judged)}{own}, in the baseline {baseline}{of_samples}"
    promised = f"{expression.comparison} {_factor(expression)}"
    match judged.why:
        case Why.TOO_FEW:
            return f"{text}; a verdict needs {MIN_SAMPLES} samples of both. {GET_MORE}."
        case Why.STRADDLES:
            return f"{text}: too near {_factor(expression)} to tell. {GET_MORE}."
    sure = "" if judged.confidence is None else f" ({confidence_of(judged)} sure)"
    return f"{text}, and {'keeps' if judged.verdict is Verdict.PASS else 'was to be'} {promised}{sure}."


def _factor(expression: Expression) -> str:
    """`the baseline`, `1.2 times the baseline`."""
    return "the baseline" if expression.limit == 1 else f"{float(expression.limit):g} times the baseline"


def limit_text(expression: Expression) -> str:
    """The limit as people write it."""
    return _factor(expression) if expression.of_baseline else format_limit(expression.limit, expression.dimension)


def _interval(judged: Judged, limit: str) -> str:
    if judged.measured is None:
        where = f"among the {judged.failed:,} of {judged.n:,} that failed"
        return f"{statistic_of(judged)} falls {where} and was to be {judged.threshold.expression.comparison} {limit}."
    failed = f", {judged.failed:,} of them failed" if judged.failed else ""
    if judged.inflation >= WORTH_SAYING:
        failed += f", worth {judged.n / judged.inflation:,.0f} independent ones"
    promised = f"{judged.threshold.expression.comparison} {limit}"
    end = f"keeps {promised}" if judged.verdict is Verdict.PASS else f"was to be {promised}"
    return f"{statistic_of(judged)} is {measured_of(judged)} ({interval_of(judged)}, n {judged.n:,}{failed}) and {end}."


def _break(judged: Judged) -> str:
    return "breaks" if judged.breaking == 1 else "break"


def _too_few(judged: Judged) -> str:
    samples = "1 sample" if judged.n == 1 else f"{judged.n:,} samples"
    broken = f"{judged.breaking:,} of which {_break(judged)} it" if judged.breaking else "none of which breaks it"
    return f"{samples}, {broken}; a verdict needs {MIN_SAMPLES}. {get_more([judged])}."


def get_more(few: Sequence[Judged]) -> str:
    """How to get more samples of what is judged."""
    return OPEN_MORE if all(judged.threshold.expression.quantity in OF_PAGES for judged in few) else GET_MORE


def _load_not_put_on(judged: Judged) -> str:
    expression, threshold = judged.threshold.expression, judged.threshold
    if threshold.users is not None:
        return f"is about {threshold.users} users, the run had {format_count(judged.asked)}: --users {threshold.users}."
    limit = format_count(float(expression.limit))
    if expression.quantity == "users":
        if judged.asked is not None and judged.asked >= expression.limit:
            longer = "give a longer --duration, or --start together"
            return f"{format_count(judged.asked)} users, but at most {format_count(judged.measured)} at once: {longer}."
        return f"the run had {format_count(judged.measured)} at once: replay with --users {limit}."
    window = format_limit(expression.per_ns or 0)
    return (
        f"the run asked for {format_count(judged.asked)} in its busiest {window}, not for {limit}: "
        "replay with more --users or a higher --rate."
    )


def statistic_of(judged: Judged) -> str:
    """`p95`, `max`, `rate`, ..."""
    expression = judged.threshold.expression
    if expression.percentile is not None:
        return f"p{float(expression.percentile * 100):g}"
    return {Statistic.MAX: "the maximum", Statistic.MIN: "the minimum", Statistic.AVG: "the average",
            Statistic.RATE: "the rate", Statistic.REACH: "the reach"}.get(expression.statistic, "it")  # fmt: skip


def measured_of(judged: Judged) -> str:
    """What was measured, with its unit; `failed` where the percentile falls among those that failed."""
    expression = judged.threshold.expression
    if judged.measured is None and judged.failed:
        return "failed"
    return _number(judged.measured, expression)


def _number(value: float | None, expression: Expression) -> str:
    if expression.of_baseline:
        return format_value(value, expression.dimension)
    return format_measured(value, expression.limit, expression.dimension)


def interval_of(judged: Judged) -> str:
    """`380 … 455 ms`, `over 380 ms`; empty where there is none."""
    expression = judged.threshold.expression
    if expression.statistic in (Statistic.COUNT, Statistic.MAX, Statistic.MIN):
        return ""
    low, high = (None if end is None else _number(end, expression) for end in (judged.low, judged.high))
    if low is None or high is None:
        return f"over {low}" if low is not None else f"under {high}" if high is not None else ""
    if low.partition(" ")[2] == high.partition(" ")[2]:
        low = low.partition(" ")[0]
    return f"{low} … {high}"


def confidence_of(judged: Judged) -> str:
    """How sure a pass on few samples is, rounded down."""
    assert judged.confidence is not None
    return f"{int(judged.confidence * 100)} %"


def verdict_of(judged: Judged) -> str:
    """The verdict's word, with its confidence where that is less than usual."""
    if judged.verdict is Verdict.PASS and judged.confidence is not None:
        return f"{judged.verdict} ({confidence_of(judged)})"
    return str(judged.verdict)


_UNSEEN = frozenset({Why.NOTHING_SELECTED, Why.NOT_RECORDED, Why.NO_BASELINE, Why.NOT_IN_BASELINE})


def is_left_out(judged: Judged) -> bool:
    """Whether a table need not show it: it does not apply, or is optional and nothing of it was measured."""
    unloaded = judged.why is Why.LOAD_NOT_PUT_ON and judged.measured is None
    unseen = (judged.why in _UNSEEN or unloaded) and not judged.required
    return judged.verdict is Verdict.NOT_APPLICABLE or unseen


def remarks(judgement: Judgement) -> Iterator[str]:
    """What to say about everything that is no plain pass, about what was left out and what is not checked."""
    yield from judgement.doubts
    explained = {id(explanation.judged) for explanation in judgement.explanations}
    shown = [judged for judged in judgement.judged if not is_left_out(judged)]
    alike: dict[Why, list[Judged]] = {Why.TOO_FEW: []}
    for verdict in (Verdict.FAIL, Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED):
        for judged in (judged for judged in shown if judged.verdict is verdict and id(judged) not in explained):
            if judged.why in alike and not judged.breaking and not judged.baseline_n:
                alike[judged.why].append(judged)
            else:
                yield f"{name_of(judged)}: {reason(judged)}"
    if few := alike[Why.TOO_FEW]:
        counted = "; ".join(f"{name_of(judged)} ({judged.n})" for judged in few)
        too_few = f"Too few samples (a verdict needs {MIN_SAMPLES}), none of which breaks a limit"
        yield f"{too_few}: {counted}. {get_more(few)}."
    if any(judged.confidence is not None for judged in shown):
        yield "A percentage beside a pass is how sure it is: few samples, all of which keep the limit."
    for judged in shown:
        if judged.threshold.note and judged.verdict is not Verdict.NOT_MEASURED:
            yield f"{name_of(judged)}: {printable(judged.threshold.note, 200)}."
    yield from _left_out(judgement)


def _left_out(judgement: Judgement) -> Iterator[str]:
    left_out = [judged for judged in judgement.judged if is_left_out(judged)]
    if unseen := [judged for judged in left_out if judged.why is Why.NOTHING_SELECTED]:
        yield f"Not in this capture, and not required of it: {_all_names(unseen)}."
    if absent := [f"{name_of(judged)} ({_ABSENT[judged.absent]})" for judged in left_out if judged.absent]:
        yield f"Not recorded here, and not required of it: {'; '.join(absent)}."
    loads = sorted({j.threshold.users or 0 for j in left_out if j.why is Why.LOAD_NOT_PUT_ON})
    for users in loads:
        missed = [j for j in left_out if j.why is Why.LOAD_NOT_PUT_ON and j.threshold.users == users]
        had = format_count(missed[0].asked)
        yield f"About {users} users, and this run had {had}: {_all_names(missed)}. Replay with --users {users}."
    if without := [judged for judged in left_out if judged.why in (Why.NO_BASELINE, Why.NOT_IN_BASELINE)]:
        yield f"Optional, and without a baseline to compare with: {_all_names(without)}."
    if others := [judged for judged in left_out if judged.verdict is Verdict.NOT_APPLICABLE]:
        if judgement.run.purpose == "browse":
            yield f"Not judged by pages that were opened again: {len(others)} promises that are about other things."
            return
        run = {"record": "recording", "import": "recording", "measure": "measurement"}.get(
            judgement.run.purpose, judgement.run.purpose
        )
        yield f"Not applicable to a {run}: {_all_names(others)}."


def _all_names(judged: list[Judged]) -> str:
    return "; ".join(map(name_of, judged))
