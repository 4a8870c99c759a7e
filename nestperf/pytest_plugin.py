"""The pytest plugin: a fixture to measure with, and a marker whose thresholds a test has to keep.

    @pytest.mark.performance("p95(media request) < 1s", "max(test) < 2s", repeats=20)
    def test_requests(performance_monitor):
        with performance_monitor.measure("media request"):
            ...

It costs a project that does not use it nothing but its own import: everything else is imported when a test asks for it.
It lives here and not in `reports`, because a project's own package of that name may come first on its path.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from reports.monitor import PerformanceMonitor

MARKER = "performance"
WHOLE_TEST = "test"
"""The name under which a marked test is measured itself."""
_KEYWORDS = frozenset({"repeats", "warmup", "baseline", "certain"})
_OF_ITEM = pytest.StashKey["PerformanceMonitor"]()
_OF_SESSION = pytest.StashKey["PerformanceMonitor"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where what the whole session measured goes, and what it is held against."""
    group = parser.getgroup("nestperf", "performance assertions (nestperf)")
    group.addoption(
        "--performance-capture",
        metavar="FILE",
        help="Store everything that tests measured as a capture, for `nestperf report FILE`; an older one is replaced.",
    )
    group.addoption(
        "--performance-baseline",
        metavar="FILE",
        action="append",
        help="Capture of an earlier session, which `baseline` means in the thresholds of tests; repeatable.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also where markers are strict."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*thresholds, repeats=1, warmup=0, baseline=None, certain=True): limits that the test's measurements "
        f"have to keep, such as 'p95(media request) < 1s'; '{WHOLE_TEST}' is the test itself (nestperf)",
    )


@pytest.fixture
def performance_monitor(request: pytest.FixtureRequest) -> PerformanceMonitor:
    """A `reports.monitor.PerformanceMonitor` of this test."""
    return _monitor_of(request.node)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a marked test as often as it asks for, and hold what it measured against its thresholds."""
    marker = item.get_closest_marker(MARKER)
    if marker is None or not isinstance(item, pytest.Function):
        return (yield)
    unknown = set(marker.kwargs) - _KEYWORDS
    if unknown or not all(isinstance(threshold, str) for threshold in marker.args):
        words = ", ".join(sorted(_KEYWORDS))
        pytest.fail(f"@pytest.mark.{MARKER} takes thresholds as text, and {words}.", pytrace=False)
    monitor = _monitor_of(item)
    if marker.kwargs.get("baseline") is not None:
        monitor.set_baseline(marker.kwargs["baseline"])
    original = item.obj
    repeats, warmup = int(marker.kwargs.get("repeats", 1)), int(marker.kwargs.get("warmup", 0))
    item.obj = _measured(original, monitor, repeats, warmup)
    try:
        result = yield
    finally:
        item.obj = original
    _check(monitor, marker)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """What a test measured counts for the session, when it is over."""
    try:
        return (yield)
    finally:
        monitor = item.stash.get(_OF_ITEM, None)
        if monitor is not None:
            session = item.config.stash.get(_OF_SESSION, None)
            if session is None:
                session = item.config.stash[_OF_SESSION] = type(monitor)()
            session.take(monitor)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Store what was measured, where that was asked for."""
    path = session.config.getoption("--performance-capture")
    monitor = session.config.stash.get(_OF_SESSION, None)
    if path and monitor is not None:
        monitor.save(_own_path(Path(path), session.config), force=True)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table of everything that was measured."""
    monitor = config.stash.get(_OF_SESSION, None)
    if monitor is not None:
        terminalreporter.section("performance")
        terminalreporter.write_line(monitor.report())
        path = config.getoption("--performance-capture")
        if path:
            terminalreporter.write_line(f"Stored in {path}; see it with `nestperf report {path}`.")


def _monitor_of(item: pytest.Item) -> PerformanceMonitor:
    monitor = item.stash.get(_OF_ITEM, None)
    if monitor is None:
        module = importlib.import_module("reports.monitor")
        baselines = item.config.getoption("--performance-baseline") or ()
        monitor = item.stash[_OF_ITEM] = module.PerformanceMonitor(baselines)
    return monitor


def _check(monitor: PerformanceMonitor, marker: pytest.Mark) -> None:
    said = ""
    try:
        monitor.check(*marker.args, certain=bool(marker.kwargs.get("certain", True)))
    except AssertionError as broken:
        said = str(broken)
    if said:
        # The sentences say everything; where in nestperf they come from does not matter to anybody.
        pytest.fail(said, pytrace=False)


def _measured(test: Callable[..., Any], monitor: PerformanceMonitor, repeats: int, warmup: int) -> Callable[..., Any]:
    """The same test, as often as asked for. A coroutine function stays one, for whatever plugin runs it."""
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def again_and_again(**arguments: Any) -> None:
            for number in range(warmup + repeats):
                if number < warmup:
                    await test(**arguments)
                else:
                    async with monitor.measure(WHOLE_TEST):
                        await test(**arguments)

        return again_and_again

    @functools.wraps(test)
    def again(**arguments: Any) -> None:
        for number in range(warmup + repeats):
            if number < warmup:
                test(**arguments)
            else:
                with monitor.measure(WHOLE_TEST):
                    test(**arguments)

    return again


def _own_path(path: Path, config: pytest.Config) -> Path:
    """Of pytest-xdist each worker writes a file of its own."""
    worker = getattr(config, "workerinput", None)
    return path if worker is None else path.with_name(f"{path.stem}.{worker['workerid']}{path.suffix}")
