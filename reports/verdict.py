"""Judges thresholds over a capture: each becomes a verdict with the numbers it rests on, all together an exit code.

This is where it is known what each quantity is in a capture, and which run a threshold is required of; what makes a
verdict of numbers is in `reports.rules`, how it reads in `reports.render`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nestperf.capture.model import Kind, Run
from nestperf.errors import ExitCode
from reports.grammar import Statistic
from reports.rules import Judged, Verdict, Why, judge_number, judge_share, judge_times
from reports.thresholds import Threshold, Thresholds, Unchecked, matches_any

if TYPE_CHECKING:
    from nestperf.capture.reader import Capture
    from reports.broadcasts import Broadcast
    from reports.samples import Samples, Stamps, Times

# numpy comes with samples, broadcasts and sockets: imported when something is judged, so that a command that only
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

    @property
    def exit_code(self) -> ExitCode:
        """Invalid first, then what failed, then what could not be judged."""
        verdicts = {judged.verdict for judged in self.judged if judged.required}
        if self.invalid:
            return ExitCode.INVALID
        if verdicts & {Verdict.FAIL, Verdict.REGRESSION}:
            return ExitCode.FAILED
        if verdicts & {Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED}:
            return ExitCode.INVALID
        return ExitCode.OK


def judge_capture(capture: Capture, thresholds: Thresholds) -> Judgement:
    """Read a capture and judge it.

    Raises:
        CaptureTruncated: the file is damaged.
    """
    from reports.broadcasts import find_broadcasts
    from reports.samples import Samples

    samples = Samples.read(capture)
    return judge_samples(samples, find_broadcasts(samples), thresholds, capture.path.name)


def judge_samples(
    samples: Samples, broadcasts: tuple[Broadcast, ...], thresholds: Thresholds, capture_name: str
) -> Judgement:
    """Judge columns that were read already."""
    judge = _Judge(samples, broadcasts)
    return Judgement(
        capture_name=capture_name,
        run=samples.run,
        latency_name=samples.latency_name,
        origin=thresholds.origin,
        judged=tuple(judge.judge(threshold) for threshold in thresholds.thresholds),
        unchecked=thresholds.unchecked,
        invalid=_invalid(samples.run),
    )


def _invalid(run: Run) -> tuple[str, ...]:
    lost = ", ".join(f"{count:,} {kind}" for kind, count in sorted(run.losses.items()) if count)
    return (*run.invalid, *((f"Not everything was stored; lost: {lost}.",) if lost else ()))


class _Judge:
    """Measures what a threshold is about in one capture and hands it to the rules below."""

    def __init__(self, samples: Samples, broadcasts: tuple[Broadcast, ...]) -> None:
        self.samples = samples
        self.broadcasts = broadcasts
        self.purpose = "record" if samples.run.purpose == "import" else samples.run.purpose

    def judge(self, threshold: Threshold) -> Judged:
        return self._with_requirement(self._judge(threshold))

    def _judge(self, threshold: Threshold) -> Judged:
        if self.purpose not in threshold.applies:
            return Judged(threshold=threshold, verdict=Verdict.NOT_APPLICABLE, why=Why.OTHER_RUN)
        if self.purpose == "record" and _is_about_load(threshold):
            return Judged(threshold=threshold, verdict=Verdict.NOT_APPLICABLE, why=Why.BY_HAND)
        users = self._users()
        if threshold.users is not None and users < threshold.users:
            return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.LOAD_NOT_PUT_ON, asked=users)
        match threshold.expression.statistic:
            case Statistic.COUNT:
                return self._count(threshold)
            case Statistic.RATE:
                return judge_share(threshold, *self._share(threshold))
            case Statistic.REACH:
                return judge_share(threshold, *self._reach(threshold))
            case _:
                return judge_times(threshold, self._times(threshold))

    def _with_requirement(self, judged: Judged) -> Judged:
        threshold = judged.threshold
        required = judged.verdict is not Verdict.NOT_APPLICABLE and self.purpose in threshold.required
        if required and threshold.required_if is not None:
            required = self._has(threshold.required_if, judged)
        return replace(judged, required=required)

    def _has(self, condition: str, judged: Judged) -> bool:
        match condition:
            case "pages":
                return bool(self.samples.exchanges.kind.among(Kind.PAGE).any())
            case "sockets":
                return bool(self.samples.sockets)
            case "broadcasts":
                event = judged.threshold.expression.event
                return bool(self.broadcasts if event is None else self._broadcasts_of(event))
            case "load":
                return judged.why not in (Why.LOAD_NOT_PUT_ON, Why.RUN_TOO_SHORT)
            case _:
                return False  # queries: no capture holds any yet

    def _users(self) -> int:
        """How many users the run had."""
        asked = self.samples.run.settings.get("users")
        return asked if isinstance(asked, int) else len({s.vu for s in self.samples.sessions})

    def _broadcasts_of(self, event: str) -> list[Broadcast]:
        return [b for b in self.broadcasts if matches_any(b.event, (event,))]

    def _times(self, threshold: Threshold) -> Times:
        import numpy as np

        from reports import sockets
        from reports.samples import Times

        quantity, event = threshold.expression.quantity, threshold.expression.event
        selector = threshold.selector
        if quantity == "delivery" and event is not None:
            found = self._broadcasts_of(event)
            times = np.sort(np.array([ns for b in found for ns in b.deliveries_ns], dtype=np.int64))
            return Times(times, sum(b.expected - len(b.deliveries_ns) for b in found))
        if quantity == "gap" and event is not None:
            return sockets.gaps(self.samples, event)
        if quantity == "session_time":
            return sockets.session_times(self.samples.sessions)
        if quantity == "query_time":
            return Times(np.zeros(0, dtype=np.int64), 0)
        if selector.event:
            return sockets.Acks(self.samples).times(self.samples, selector.event)
        return self.samples.times(quantity, selector)

    def _share(self, threshold: Threshold) -> tuple[int, int]:
        """Hits and samples of a rate."""
        from reports import sockets
        from reports.samples import COUNTED

        share = threshold.expression.quantity
        if share == "lost":
            return sum(map(sockets.is_lost, self.samples.sockets)), len(self.samples.sockets)
        outcome = self.samples.exchanges.outcome
        hits = sockets.with_outcome(outcome, share)
        mask = self.samples.select(threshold.selector) & (hits | outcome.among(*COUNTED))
        return int((mask & hits).sum()), int(mask.sum())

    def _reach(self, threshold: Threshold) -> tuple[int, int]:
        found = self._broadcasts_of(threshold.expression.event or "")
        return sum(len(b.deliveries_ns) for b in found), sum(b.expected for b in found)

    def _count(self, threshold: Threshold) -> Judged:
        from reports import sockets
        from reports.samples import ANSWERED

        samples, expression = self.samples, threshold.expression
        x = samples.exchanges
        match expression.quantity:
            case "users":
                return self._load(threshold, sockets.users_at_once(samples.sessions))
            case "sessions":
                begun = [s.started_ns for s in samples.sessions]
                return self._counted(threshold, _as_stamps(begun), _as_stamps(begun))
            case "sockets":
                opened = _as_stamps([s.opened_ns for s in samples.sockets])
                return self._counted(threshold, opened, opened)
            case "events":
                p = samples.packets
                mask = p.type.among("event")
                if threshold.selector.event:
                    mask &= p.event.where(lambda event: matches_any(event, threshold.selector.event))
                return self._counted(threshold, p.stamp[mask], p.stamp[mask])
            case "exchanges":
                mask = samples.select(threshold.selector)
                asked = x.intended if samples.has_intended else x.sent
                return self._counted(threshold, x.done[mask & x.outcome.among(*ANSWERED)], asked[mask])
            case "lost":
                return judge_number(threshold, sum(map(sockets.is_lost, samples.sockets)))
            case share:
                mask = samples.select(threshold.selector) & sockets.with_outcome(x.outcome, share)
                return judge_number(threshold, int(mask.sum()))

    def _counted(self, threshold: Threshold, stamps: Stamps, asked: Stamps) -> Judged:
        """A count over the run, or over the busiest window of it."""
        from reports.sockets import busiest_window

        expression, window_ns = threshold.expression, threshold.expression.per_ns
        if window_ns is None:
            return judge_number(threshold, len(stamps))
        count = busiest_window(stamps, window_ns)
        if expression.comparison.holds(count, expression.limit) or expression.comparison.is_upper:
            return judge_number(threshold, count)
        wanted = busiest_window(asked, window_ns)
        if expression.comparison.holds(wanted, expression.limit):
            return judge_number(threshold, count)
        span = self.samples.span_ns
        short = span is None or span[1] - span[0] < window_ns
        why = Why.RUN_TOO_SHORT if short else Why.LOAD_NOT_PUT_ON
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=why, n=count, measured=count, asked=wanted)

    def _load(self, threshold: Threshold, users: int) -> Judged:
        """Users at once: having had fewer says nothing about the application."""
        judged = judge_number(threshold, users)
        if judged.verdict is Verdict.PASS or threshold.expression.comparison.is_upper:
            return judged
        return replace(judged, verdict=Verdict.NOT_MEASURED, why=Why.LOAD_NOT_PUT_ON, asked=self._users())


def _is_about_load(threshold: Threshold) -> bool:
    """Whether it is a promise of what holds under load, or of the load itself."""
    expression = threshold.expression
    users = expression.statistic is Statistic.COUNT and expression.quantity in ("users", "sessions")
    return threshold.users is not None or expression.per_ns is not None or users


def _as_stamps(stamps: Iterable[int | None]) -> Stamps:
    import numpy as np

    return np.array(list(stamps), dtype=np.float64)
