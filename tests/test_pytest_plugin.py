"""The pytest plugin in projects of its own: those that measure, and those that do not notice it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.cli import run
from reports.monitor import PerformanceMonitor

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "nestperf.pytest_plugin", "-p", "no:cacheprovider")
ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
STRICT = "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n"


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose markers are strict and whose warnings are errors, without the plugins that happen to be here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(STRICT)
    return pytester


def outcomes(project: pytest.Pytester, *arguments: str, **expected: int) -> str:
    """Run the project's tests; what was printed."""
    result = project.runpytest_inprocess(*PLUGIN, *arguments)
    result.assert_outcomes(**expected)
    return result.stdout.str()


def test_marked_test_is_measured_repeated_and_judged(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        calls = []

        @pytest.mark.performance("max(test) < 60s", "count(test) == 20", "count(step) == 22", repeats=20, warmup=2)
        def test_fast(performance_monitor):
            with performance_monitor.measure("step"):
                calls.append(1)
            assert len(calls) <= 22

        @pytest.mark.performance("max(slow) < 1ms", certain=False)
        def test_slow(performance_monitor):
            performance_monitor.record("slow", seconds=0.5)

        @pytest.mark.performance("p95(test) < 60s")
        def test_measured_once():
            pass
        """
    )
    printed = outcomes(project, passed=1, failed=2)
    assert "max(slow) < 1ms: fail; it is 500 ms." in printed
    assert "p95(test) < 60s: inconclusive; 1 measured" in printed
    assert "pytest_plugin.py" not in printed
    assert "= performance =" in printed


def test_asynchronous_tests_are_measured_as_well(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio
        import pytest

        @pytest.mark.asyncio
        @pytest.mark.performance("count(test) == 3", "count(inner) == 3", "max(inner) > 10ms", repeats=3)
        async def test_asynchronous(performance_monitor):
            async with performance_monitor.measure("inner"):
                await asyncio.sleep(0.02)
        """
    )
    assert "inner" in outcomes(project, *ASYNCIO, passed=1)


def test_failures_of_the_test_itself_come_first_and_are_the_tests_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.performance("max(test) < 1ns", repeats=5)
        def test_broken():
            assert 1 == 2

        @pytest.mark.performance("max(test) < 1ns")
        def test_skipped():
            pytest.skip("not today")

        @pytest.mark.performance("max(test) < 60s", certain=False)
        class TestGroup:
            def test_in_a_class(self, tmp_path):
                assert tmp_path.exists()

            @pytest.mark.parametrize("number", [1, 2])
            def test_with_parameters(self, number):
                assert number
        """
    )
    printed = outcomes(project, passed=3, failed=1, skipped=1)
    assert "assert 1 == 2" in printed


def test_session_is_stored_and_the_next_one_held_against_it(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.performance("p50(work) <= 1.5 * baseline")
        def test_no_slower(performance_monitor):
            for _ in range(30):
                performance_monitor.record("work", seconds=float(os.environ["TOOK"]))
        """
    )
    monkeypatch.setenv("TOOK", "0.010")
    printed = outcomes(project, "--performance-capture", "first.db", failed=1)
    assert "there is no baseline" in printed
    assert "nestperf report first.db" in printed
    first = project.path / "first.db"
    with Capture.open(first) as capture:
        assert capture.run.purpose == "measure"
        assert {e.route for e in capture.exchanges()} == {"work", "test"}
    assert PerformanceMonitor.load(first).summary("work").count == 30
    outcomes(project, "--performance-baseline", "first.db", "--performance-capture", "same.db", passed=1)
    monkeypatch.setenv("TOOK", "0.050")
    printed = outcomes(project, "--performance-baseline", "first.db", "--performance-capture", "slow.db", failed=1)
    assert "p50(work) <= 1.5 * baseline: regression" in printed
    assert run(["report", str(project.path / "slow.db"), "--baseline", str(first)]) == 1
    assert run(["report", str(project.path / "slow.db")]) == 0


def test_marker_that_makes_no_sense_fails_its_test_with_a_sentence(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.performance("p95(test) < fast")
        def test_expression():
            pass

        @pytest.mark.performance(5)
        def test_no_text():
            pass

        @pytest.mark.performance("max(test) < 1s", times=5)
        def test_unknown_keyword():
            pass

        @pytest.mark.performance("max(test) < 1s", baseline="nowhere.db")
        def test_baseline():
            pass
        """
    )
    printed = outcomes(project, failed=4)
    assert "expected a time, such as 1s or 500ms" in printed
    refused = r"(?m)^@pytest.mark.performance takes thresholds as text, and baseline, certain, repeats, warmup"
    assert len(re.findall(refused, printed)) == 2  # the short summary may say it again
    assert "There is no capture nowhere.db" in printed


def test_project_that_does_not_measure_notices_nothing(project: pytest.Pytester) -> None:
    (project.path / "reports").mkdir()
    (project.path / "reports" / "__init__.py").write_text("mine = True\n")
    project.makepyfile(
        """
        import sys

        def test_plain():
            import reports
            assert reports.mine
            heavy = ("numpy", "sqlite_utils", "mitmproxy", "click", "reports.monitor")
            assert not [name for name in heavy if name in sys.modules]
        """
    )
    result = project.runpytest_subprocess(*PLUGIN, timeout=120)
    result.assert_outcomes(passed=1)
    assert "performance" not in result.stdout.str()


def test_it_is_registered_for_pytest() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\n"nestperf.pytest_plugin" = "nestperf.pytest_plugin"\n' in text
