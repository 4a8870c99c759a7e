from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture.model import Row
from reports.broadcasts import find_broadcasts
from reports.concurrency import RouteLoad
from reports.curves import Curve, Point
from reports.pictures import Pictures, gather
from reports.render.html.latency_figures import over_time, slope_text, under_load
from reports.render.html.percentile_figure import MOST_CURVES, nines, percentiles
from reports.samples import Samples
from reports.summary import summarize
from tests.reports.conftest import MS, S, Write, exchange, exchanges, socket


def pictures(written: Write, rows: list[Row]) -> Pictures:
    capture = written(rows)
    samples = Samples.read(capture)
    broadcasts = find_broadcasts(samples)
    return gather(capture, samples, broadcasts, (), summarize(samples, broadcasts).routes)


@pytest.mark.parametrize(("share", "place"), [(0, 0), (0.9, 1), (0.99, 2), (0.5, 0.30103)])
def test_each_nine_is_as_wide_as_the_one_before(share: float, place: float) -> None:
    assert nines(share) == pytest.approx(place, abs=1e-5)


def test_all_samples_stand_half_a_rank_short() -> None:
    assert nines(1.0, 1000) == pytest.approx(3.30103, abs=1e-5)
    assert nines(1.0, 1000) > nines(0.999, 1000)


def test_nothing_timed_has_no_picture(written: Write) -> None:
    assert over_time(pictures(written, [socket(1)])) is None
    assert percentiles(()) is None
    assert under_load(()) is None


def test_users_that_nobody_knows_are_none(written: Write) -> None:
    figure = over_time(pictures(written, list(exchanges([5, 6]))))
    assert figure is not None
    (users,) = (trace for trace in figure.traces if trace["name"] == "users")
    assert users["y"] == [0, 0]


def test_what_never_ended_stands_at_the_top(written: Write) -> None:
    rows: list[Row] = [exchange(1, 80), exchange(2, None, outcome="timeout")]
    figure = over_time(pictures(written, rows))
    assert figure is not None
    (failed,) = (trace for trace in figure.traces if trace["name"] == "timeout")
    assert failed["y"] == [80]


def test_very_many_curves_are_counted() -> None:
    curve = Curve(title="c", n=1, failed=0, points=(Point(1.0, 5 * MS),), limits=())
    figure = percentiles((curve,) * (MOST_CURVES + 2))
    assert figure is not None
    assert len(figure.traces) == MOST_CURVES
    assert any(note.startswith("2 promises") for note in figure.notes)


def slope(**changes: Any) -> RouteLoad:
    steep = RouteLoad("GET", "/a", "call", 40, (), 2 * MS, -1 * MS, 3 * MS)
    return steep._replace(**changes)


def test_a_slope_has_its_sign_and_interval() -> None:
    assert slope_text(slope()) == "+2.00 ms (−1.00 ms … +3.00 ms)"
    assert slope_text(slope(slope_ns=None)) == ""


def test_a_load_that_never_changed_is_not_drawn() -> None:
    assert under_load((slope(slope_ns=None),)) is None


def test_points_are_seconds_and_milliseconds(written: Write) -> None:
    figure = over_time(pictures(written, [exchange(1, 12.5, sent_ns=3 * S)]))
    assert figure is not None
    assert (figure.traces[0]["x"], figure.traces[0]["y"]) == ([3.0], [12.5])
