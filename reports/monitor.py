"""Performance assertions for tests and programs: measure blocks by name, look at the figures, demand limits of them.

    monitor = PerformanceMonitor()
    async with monitor.measure("media request"):
        await request_media()
    monitor.check("p95(media request) < 1s")

What was measured can be stored as a capture like any other: each measurement is an exchange whose method is `measure`
and whose route is the name, so that `nestperf report FILE --baseline OLD` compares names as it compares routes. (Marks
would name the moments as well, but have no outcome, no percentiles and no comparison.)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from nestperf.capture.clock import Clock
from nestperf.errors import UsageError
from reports.metrics import Metric, Summary, judge_metric, parse_threshold, unknown_metric

if TYPE_CHECKING:
    from reports.rules import Judged

_LOGGER = logging.getLogger("nestperf.monitor")
_WIDTH = 100

Baseline: TypeAlias = "PerformanceMonitor | Path | str"
"""An earlier measurement: another monitor, or the file of a capture."""


class ThresholdsBroken(AssertionError):
    """What was measured breaks a limit, or cannot be judged by it; a line for each."""

    def __init__(self, judged: Sequence[Judged], sentences: Sequence[str]) -> None:
        self.judged = tuple(judged)
        super().__init__("\n".join(sentences))


class PerformanceMonitor:
    """Collects durations by name. Names are code, not content: they are stored and shown as they are."""

    def __init__(self, baseline: Baseline | Sequence[Baseline] = ()) -> None:
        """`baseline`: what `baseline` means in thresholds; several count together.

        Raises:
            CaptureError: a baseline's file cannot be used.
        """
        self._clock = Clock.start()
        self._metrics: dict[str, Metric] = {}
        self._spans: list[tuple[str, int, int, str]] = []
        """Name, begin and end in nanoseconds since the monitor's beginning, and what went wrong."""
        self._baselines: list[dict[str, Metric]] = []
        self.set_baseline(baseline)

    def set_baseline(self, baseline: Baseline | Sequence[Baseline]) -> None:
        """Take other earlier measurements for what `baseline` means in thresholds.

        Raises:
            CaptureError: a baseline's file cannot be used.
        """
        several = [baseline] if isinstance(baseline, PerformanceMonitor | Path | str) else baseline
        self._baselines = [
            one._metrics if isinstance(one, PerformanceMonitor) else _read_metrics(Path(one)) for one in several
        ]

    def measure(self, name: str) -> Measurement:
        """Measure a block: `with monitor.measure("parse"):` or `async with`. One that raises counts as failed."""
        return Measurement(self, name)

    def repeat(self, name: str, times: int, *, warmup: int = 0) -> Iterator[int]:
        """Measure the body of a loop `times` times: `for _ in monitor.repeat("request", 20):`, also around `await`.

        The first `warmup` rounds are run in addition and not measured. Gives the round, counted from 0. What breaks
        out of the loop is not measured.
        """
        for number in range(warmup):
            yield number
        for number in range(warmup, warmup + times):
            begun_ns = time.perf_counter_ns()
            yield number
            self._add(name, begun_ns, time.perf_counter_ns(), "")

    def record(self, name: str, seconds: float | None = None, *, ns: int | None = None, failed: bool = False) -> None:
        """Take a duration that something else measured, which has just ended: `seconds`, or whole nanoseconds `ns`.

        Raises:
            UsageError: not exactly one of the two, or a negative one.
        """
        if (seconds is None) == (ns is None):
            raise UsageError("record() takes a duration in seconds, or in whole nanoseconds as ns=, and not both.")
        duration_ns = ns if ns is not None else round((seconds or 0) * 1e9)
        if duration_ns < 0:
            raise UsageError(f"A duration is not negative: {name!r} was given {duration_ns:,} ns.")
        now_ns = time.perf_counter_ns()
        self._add(name, now_ns - duration_ns, now_ns, "recorded as failed" if failed else "")

    def average(self, name: str) -> float:
        """The mean in seconds of what did not fail.

        Raises:
            UsageError: nothing was measured under that name.
        """
        average_ns = self.summary(name).avg_ns
        if average_ns is None:
            raise UsageError(f"Everything that was measured as {name!r} failed: it has no average.")
        return average_ns / 1e9

    def summary(self, name: str) -> Summary:
        """The figures of one metric, in nanoseconds.

        Raises:
            UsageError: nothing was measured under that name.
        """
        metric = self._metrics.get(name)
        if metric is None:
            raise UsageError(f"{unknown_metric(name, self._metrics)}.")
        return metric.summary()

    def summaries(self) -> tuple[Summary, ...]:
        """The figures of all metrics, in the order in which they appeared."""
        return tuple(metric.summary() for metric in self._metrics.values())

    def report(self, width: int = _WIDTH) -> str:
        """A table: average, minimum, maximum, p50, p95, p99 and count of every metric. Logged (`nestperf.monitor`,
        INFO) and returned."""
        from reports.render.monitor import render_summaries

        text = render_summaries(self.summaries(), width)
        _LOGGER.info("%s", text)
        return text

    def check(self, *thresholds: str, certain: bool = True) -> None:
        """Demand that each threshold holds: `p95(media request) < 1s`, `rate(login) == 0%`, `avg(x) <= 1.2 * baseline`.

        Judged as in reports: with fewer than 20 measurements nothing is certain, and what cannot be judged is no pass.
        `certain=False` takes the measured value as it is, however few there are.

        Raises:
            ThresholdsBroken: one does not hold or cannot be judged; an `AssertionError`.
            UsageError: one is not of the language.
        """
        from reports.render.monitor import breaking_sentence

        judged = self.judge(*thresholds, certain=certain)
        sentences = [(one, breaking_sentence(one, self._metrics)) for one in judged]
        broken = [(one, sentence) for one, sentence in sentences if sentence]
        if broken:
            raise ThresholdsBroken([one for one, _ in broken], [sentence for _, sentence in broken])

    def judge(self, *thresholds: str, certain: bool = True) -> tuple[Judged, ...]:
        """As `check`, without an assertion: the verdicts.

        Raises:
            UsageError: one is not of the language.
        """
        parsed = [parse_threshold(text) for text in thresholds]
        return tuple(judge_metric(one, self._metrics, self._baselines, certain=certain) for one in parsed)

    def take(self, other: PerformanceMonitor) -> None:
        """Add everything that another monitor measured."""
        shift_ns = other._clock.anchor_ns - self._clock.anchor_ns
        for name, begun_ns, done_ns, wrong in other._spans:
            self._store(name, begun_ns + shift_ns, done_ns + shift_ns, wrong)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Store what was measured as a capture.

        Raises:
            UsageError: nothing was measured, the file exists (and not `force`), or cannot be written.
        """
        from reports.measured import write_spans

        if not self._spans:
            raise UsageError(f"Nothing was measured: there is nothing to store in {path}.")
        write_spans(Path(path), self._clock, self._spans, force=force)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """What a capture holds, as a monitor: what `save` stored by its names; of any other capture, what `METHOD
        route` took.

        Raises:
            CaptureError: it cannot be used.
        """
        monitor = cls()
        monitor._metrics = _read_metrics(Path(path))
        return monitor

    def _add(self, name: str, begun_ns: int, done_ns: int, wrong: str) -> None:
        """Raw readings of the clock."""
        self._store(name, self._clock.stamp_ns(begun_ns), self._clock.stamp_ns(done_ns), wrong)

    def _store(self, name: str, begun_ns: int, done_ns: int, wrong: str) -> None:
        metric = self._metrics.get(name)
        if metric is None:
            metric = self._metrics.setdefault(name, Metric(name, []))
        if wrong:
            metric.failed += 1
        else:
            metric.durations_ns.append(done_ns - begun_ns)
        self._spans.append((name, begun_ns, done_ns, wrong))


class Measurement:
    """One block that is measured: `with` or `async with`. After it, `duration_ns` says how long it took."""

    __slots__ = ("_begun_ns", "_monitor", "_name", "duration_ns")

    def __init__(self, monitor: PerformanceMonitor, name: str) -> None:
        self._monitor = monitor
        self._name = name
        self._begun_ns = 0
        self.duration_ns = 0
        """Nanoseconds; 0 until the block has ended."""

    def __enter__(self) -> Self:
        self._begun_ns = time.perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done_ns = time.perf_counter_ns()
        self.duration_ns = done_ns - self._begun_ns
        # The exception's name alone: its text may hold anything.
        self._monitor._add(self._name, self._begun_ns, done_ns, kind.__name__ if kind is not None else "")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _read_metrics(path: Path) -> dict[str, Metric]:
    from reports.measured import read_metrics

    return read_metrics(path)
