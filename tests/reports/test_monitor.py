"""`PerformanceMonitor` as tests and programs use it: measuring, figures, thresholds as assertions, captures."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from nestperf.cli import run
from nestperf.errors import CaptureMissing, UsageError
from nestperf.verdicts import Verdict
from reports.monitor import PerformanceMonitor, ThresholdsBroken
from tests.reports.conftest import Write, exchange, exchanges


def recorded(name: str, *ms: float, baseline: PerformanceMonitor | Path | None = None) -> PerformanceMonitor:
    """A monitor with these durations."""
    monitor = PerformanceMonitor(() if baseline is None else baseline)
    for one in ms:
        monitor.record(name, seconds=one / 1000)
    return monitor


def broken(monitor: PerformanceMonitor, *thresholds: str, certain: bool = True) -> str:
    with pytest.raises(AssertionError) as raised:
        monitor.check(*thresholds, certain=certain)
    assert isinstance(raised.value, ThresholdsBroken)
    return str(raised.value)


async def test_blocks_are_measured_with_and_without_await_and_beside_each_other() -> None:
    monitor = PerformanceMonitor()

    async def request() -> None:
        async with monitor.measure("media request") as measured:
            await asyncio.sleep(0.02)
        assert measured.duration_ns >= 20_000_000

    await asyncio.gather(*(request() for _ in range(3)))
    with monitor.measure("outer"), monitor.measure("inner"):
        pass
    assert [summary.name for summary in monitor.summaries()] == ["media request", "inner", "outer"]
    assert monitor.summary("media request").count == 3
    assert monitor.average("media request") >= 0.02
    inner, outer = monitor.summary("inner").max_ns, monitor.summary("outer").min_ns
    assert inner is not None
    assert outer is not None
    assert inner <= outer


def test_block_that_raises_counts_as_failed_and_lets_its_exception_through() -> None:
    monitor = PerformanceMonitor()
    with pytest.raises(ValueError, match="canary"), monitor.measure("step"):
        raise ValueError("canary-4711")
    assert (monitor.summary("step").count, monitor.summary("step").failed) == (0, 1)
    assert broken(monitor, "rate(step) == 0%").startswith("rate(step) == 0%: fail; 1 of 1 samples breaks it")
    with pytest.raises(UsageError, match="Everything that was measured as 'step' failed"):
        monitor.average("step")


def test_loop_is_measured_round_by_round_and_warm_up_is_not() -> None:
    monitor = PerformanceMonitor()
    rounds = [number for number in monitor.repeat("round", 5, warmup=2)]  # noqa: C416 - what a loop sees
    assert rounds == [0, 1, 2, 3, 4, 5, 6]
    assert monitor.summary("round").count == 5
    for _ in monitor.repeat("left", 5):
        break
    with pytest.raises(UsageError, match=r"nothing was measured as 'left' \(measured: round\)"):
        monitor.summary("left")


def test_figures_are_exact_nearest_ranks() -> None:
    monitor = recorded("x", *range(1, 101))
    summary = monitor.summary("x")
    ms = 1_000_000
    assert (summary.min_ns, summary.p50_ns, summary.p95_ns, summary.p99_ns, summary.max_ns) == (
        ms, 50 * ms, 95 * ms, 99 * ms, 100 * ms,
    )  # fmt: skip
    assert (summary.count, summary.avg_ns) == (100, 50_500_000)
    assert monitor.average("x") == 0.0505
    monitor.record("x", ns=7)
    assert monitor.summary("x").min_ns == 7


@pytest.mark.parametrize("wrong", [{}, {"seconds": 1, "ns": 1}, {"seconds": -1}, {"ns": -1}])
def test_duration_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        PerformanceMonitor().record("x", **wrong)  # type: ignore[arg-type]


def test_report_is_a_table_and_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    monitor = recorded("media request", *[12] * 30)
    monitor.record("hostile \x1b[31m\nname", seconds=1, failed=True)
    with caplog.at_level(logging.INFO, "nestperf.monitor"):
        text = monitor.report()
    assert caplog.messages == [text]
    assert "\x1b" not in text
    head, _, first, second = text.splitlines()
    assert head.split() == ["n", "failed", "avg", "min", "max", "p50", "p95", "p99"]
    assert first.split() == ["media", "request", "30", *["12.0", "ms"] * 6]
    assert second.split()[-7:] == ["1", *["–"] * 6]
    assert PerformanceMonitor().report() == "Nothing was measured."


def test_thresholds_that_hold_say_nothing_and_those_that_do_not_say_why() -> None:
    monitor = recorded("media request", *[10] * 100)
    monitor.check("p95(media request) < 1s", "max( media request ) <= 10ms", "avg(media request) < 11 ms")
    monitor.check("count(media request) == 100", "rate(media request) < 5%", "min(media request) > 9ms")
    said = broken(monitor, "p95(media request) < 1s", "p95(media request) < 9ms", "max(media request) < 10ms")
    first, second = said.splitlines()
    assert first == "p95(media request) < 9ms: fail; p95 is 10.0 ms (10.0 … 10.0 ms, n 100) and was to be < 9 ms."
    assert second == "max(media request) < 10ms: fail; 100 of 100 samples break it, and none may."
    judged = monitor.judge("p95(media request) < 9ms", "p95(media request) < 1s")
    assert [one.verdict for one in judged] == [Verdict.FAIL, Verdict.PASS]


def test_few_samples_are_no_pass_unless_they_are_taken_as_they_are() -> None:
    monitor = recorded("login", 100, 200, 300)
    said = broken(monitor, "max(login) < 1s")
    assert said == (
        "max(login) < 1s: inconclusive; 3 measured (300 ms), and a verdict needs 20: measure 17 more (monitor.repeat), "
        "or take it as it is with certain=False."
    )
    monitor.check("max(login) < 1s", "avg(login) <= 200ms", "p50(login) == 200ms".replace("==", "<="), certain=False)
    assert broken(monitor, "avg(login) < 200ms", certain=False) == "avg(login) < 200ms: fail; it is 200 ms."
    monitor.record("login", seconds=1, failed=True)
    assert "it falls among the 1 of 4 that failed" in broken(monitor, "max(login) < 1s", certain=False)


def test_what_was_not_measured_is_no_pass() -> None:
    monitor = recorded("media request", 1)
    for certain in (True, False):
        said = broken(monitor, "p95(medai request) < 1s", certain=certain)
        assert said == (
            "p95(medai request) < 1s: not measured; nothing was measured as 'medai request'; the nearest is media "
            "request."
        )


@pytest.mark.parametrize(
    ("threshold", "sentence", "column"),
    [
        ("p95(x) < fast", "expected a time", 9),
        ("p95(a long name) <", "expected a time", 18),
        ("p101(x) < 1s", "a percentile lies between", 0),
        ("pp(x) < 1s", "expected p95", 0),
        ("p95 < 1s", "such as p95(media request) < 1s", 0),
        ("p95() < 1s", "such as p95(media request) < 1s", 0),
        ("count(x) < 5%", "a count is compared", 12),
        ("count(x) > 5 per 1m", "counted as a whole", 13),
        ("reach(x) == 100%", "has no receivers", 0),
        ("avg(x) == 1s", "two durations are never equal", 7),
        ("", "such as p95(media request) < 1s", 0),
    ],
)
def test_threshold_that_is_none_is_refused_with_a_caret(threshold: str, sentence: str, column: int) -> None:
    with pytest.raises(UsageError) as raised:
        PerformanceMonitor().check(threshold)
    said, shown, caret = str(raised.value).split("\n")
    assert sentence in said
    assert shown == f"    {threshold}"
    assert caret == " " * (4 + column) + "^"


def test_baseline_is_another_monitor_or_a_stored_capture(tmp_path: Path) -> None:
    old = recorded("media request", *[10, 11, 12] * 20)
    old.save(tmp_path / "old.db")
    for baseline in (old, tmp_path / "old.db"):
        same = recorded("media request", *[10, 11, 12] * 20, baseline=baseline)
        same.check("p95(media request) <= 1.2 * baseline", "max(media request) <= baseline")
        same.check("rate(media request) <= baseline")
        slow = recorded("media request", *[20, 21, 22] * 20, baseline=baseline)
        said = broken(slow, "p95(media request) <= 1.2 * baseline")
        assert said.startswith("p95(media request) <= 1.2 * baseline: regression; p95 is 22.0 ms")
    few = recorded("media request", 30, baseline=old)
    assert broken(few, "avg(media request) <= baseline", certain=False) == (
        "avg(media request) <= baseline: regression; it is 30.0 ms, and 11.0 ms in the baseline."
    )
    assert "there is no baseline" in broken(recorded("x", 1), "p95(x) <= baseline", certain=False)
    other = recorded("other", 1, baseline=old)
    assert "the baseline holds nothing as 'other'" in broken(other, "p95(other) <= baseline", certain=False)
    several = PerformanceMonitor([old, tmp_path / "old.db"])
    several.record("media request", seconds=0.011)
    several.check("avg(media request) <= baseline", certain=False)
    with pytest.raises(CaptureMissing):
        PerformanceMonitor("nowhere.db")


def test_what_was_measured_is_a_capture_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = recorded("media request", *[10] * 30)
    with pytest.raises(TimeoutError), monitor.measure("timed out"):
        raise TimeoutError
    with pytest.raises(ValueError, match="canary"), monitor.measure("raised"):
        raise ValueError("canary-4711")
    monitor.record("before the monitor was there", seconds=3600)
    monitor.save(tmp_path / "new.db")
    with Capture.open(tmp_path / "new.db") as capture:
        capture.check()
        assert (capture.run.purpose, capture.run.vantage, capture.run.state) == ("measure", "client", "finished")
        rows = list(capture.exchanges())
        assert len(rows) == 33
        assert rows[0].route == "before the monitor was there"
        assert min(row.sent_ns for row in rows) == 0
        assert all(row.done_ns is not None and row.done_ns <= (capture.run.ended_ns or 0) for row in rows)
        outcomes = {row.route: row.outcome for row in rows}
        assert (outcomes["timed out"], outcomes["raised"]) == (Outcome.TIMEOUT, Outcome.RESET)
    assert b"canary" not in (tmp_path / "new.db").read_bytes()
    again = PerformanceMonitor.load(tmp_path / "new.db")
    assert again.summary("media request") == monitor.summary("media request")
    assert run(["report", str(tmp_path / "new.db")]) == 0
    said = capsys.readouterr().out
    assert "new.db, measurement." in said
    assert "media request" in said
    assert "PRD" not in said
    limits = tmp_path / "limits.toml"
    limits.write_text(
        '[[threshold]]\nexpression = "p95(latency) < 5ms"\nroute = "media request"\napplies = ["measure"]\n'
        '[[threshold]]\nexpression = "p95(latency) < 1ms"\n'
    )
    assert run(["report", str(tmp_path / "new.db"), "--thresholds", str(limits)]) == 1
    said = capsys.readouterr().out
    assert "The one required promise is broken" in said


def test_slower_measurements_are_a_regression_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded("media request", *[10, 11, 12] * 20).save(tmp_path / "old.db")
    recorded("media request", *[20, 21, 22] * 20).save(tmp_path / "new.db")
    assert run(["report", str(tmp_path / "new.db"), "--baseline", str(tmp_path / "old.db")]) == 1
    assert "is worse than in the baseline: measure media request" in " ".join(capsys.readouterr().out.split())


def test_any_capture_is_a_baseline_by_method_and_route(written: Write) -> None:
    rows = exchanges([10] * 30)
    rows += [exchange(40, None, outcome=Outcome.RESET), exchange(41, 900, outcome=Outcome.LIMITED)]
    capture = written(rows, "api.db")
    loaded = PerformanceMonitor.load(capture.path)
    assert (loaded.summary("GET /api/health").count, loaded.summary("GET /api/health").failed) == (30, 1)
    monitor = recorded("GET /api/health", *[9] * 30, baseline=capture.path)
    monitor.check("p50(GET /api/health) <= baseline")


def test_monitors_are_joined_and_nothing_is_stored_of_nothing(tmp_path: Path) -> None:
    one, other = recorded("a", 1), recorded("a", 3)
    other.record("b", seconds=1, failed=True)
    one.take(other)
    assert (one.summary("a").count, one.average("a"), one.summary("b").failed) == (2, 0.002, 1)
    with pytest.raises(UsageError, match="there is nothing to store"):
        PerformanceMonitor().save(tmp_path / "x.db")
    one.save(tmp_path / "x.db")
    with pytest.raises(UsageError, match="exists"):
        one.save(tmp_path / "x.db")
    one.save(tmp_path / "x.db", force=True)
