"""A page of 100,000 exchanges: what it draws hides no outlier and no failure, and says how much it left out."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from nestperf.capture.model import FAILED, Exchange, Outcome
from tests.reports.conftest import MS, exchange, session
from tests.reports.render.html.conftest import Capture, Open, Opened, due, render, took, write

pytestmark = pytest.mark.peer("chromium")

COUNT = 100_000
OUTLIERS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("large")


@pytest.fixture(scope="module")
def capture(folder: Path) -> Capture:
    chance = random.Random(5)
    odd = set(chance.sample(range(1, COUNT + 1), OUTLIERS))
    rows = []
    for number in range(1, COUNT + 1):
        took = chance.lognormvariate(3.2, 0.5) * (60 if number in odd else 1)
        outcome = Outcome.RESET if number % 173 == 0 and number not in odd else Outcome.OK
        rows.append(
            exchange(number, took, sent_ns=number * 600_000, intended_ns=number * 600_000 - 20_000, outcome=outcome,
                     session_id=number % 50 + 1, route=f"/api/route/{number % 30}")
        )  # fmt: skip
    return write(
        folder / "large.db",
        [*rows, *(session(number, started_ns=0, ended_ns=60_000 * MS) for number in range(1, 51))],
        purpose="replay", vantage="client",
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(folder: Path, capture: Capture, open_page: Open) -> Opened:
    return open_page(render(folder, capture.path))


def test_every_outlier_every_failure_and_the_extremes_of_each_moment_are_drawn(page: Opened, capture: Capture) -> None:
    drawn = set(page.trace("latency-over-time", "calls")["customdata"])
    ok = [e for e in capture.of(Exchange) if e.outcome is Outcome.OK]
    assert {e.id for e in sorted(ok, key=took)[-100:]} <= drawn
    first, last = due(ok[0]), due(ok[-1])
    columns: dict[int, list[Exchange]] = {}
    for e in ok:
        columns.setdefault(min(int((due(e) - first) / (last - first) * 200), 199), []).append(e)
    for inside in columns.values():
        assert max(inside, key=took).id in drawn
        assert min(inside, key=took).id in drawn
    crosses = page.trace("latency-over-time", "reset")["customdata"]
    assert set(crosses) == {e.id for e in capture.of(Exchange) if e.outcome in FAILED}


def test_what_is_drawn_is_as_it_was_measured(page: Opened, capture: Capture) -> None:
    trace = page.trace("latency-over-time", "calls")
    by_id = {e.id: e for e in capture.of(Exchange)}
    for id_, x, y in list(zip(trace["customdata"], trace["x"], trace["y"], strict=True))[::7]:
        assert (x, y) == (
            pytest.approx(due(by_id[id_]) / 1e9, abs=1e-6),
            pytest.approx(took(by_id[id_]) / MS, abs=1e-6),
        )


def test_the_page_says_how_many_of_how_many_are_drawn(page: Opened) -> None:
    points = len(page.trace("latency-over-time", "calls")["x"]) + len(page.trace("latency-over-time", "reset")["x"])
    (note,) = (text for text in page.texts("#time .note") if "point" in text)
    assert note.startswith(f"{points:,} of {COUNT:,} exchanges have a point of their own")
    assert "No outlier is left out" in note
    assert page.count("#latency-over-time .xy .scatterlayer .points path.point") == points
    assert points < 8_000


def test_counts_are_of_all(page: Opened, capture: Capture) -> None:
    failed = sum(e.outcome in FAILED for e in capture.of(Exchange))
    assert sum(page.trace("latency-over-time", "failed")["y"]) == failed
    assert sum(page.trace("latency-over-time", "failed")["customdata"]) == COUNT


def test_a_long_visit_shows_its_beginning_and_says_so(page: Opened) -> None:
    (note,) = (text for text in page.texts("#visits .note") if "more are not drawn" in text)
    assert re.fullmatch(r"The first 300 requests; 1,\d{3} more are not drawn\.", note)
    assert len(page.trace("waterfall-0", "requests")["y"]) == 300
