from __future__ import annotations

import numpy as np
import pytest

from nestperf.capture.model import Kind
from reports.concurrency import routes_under_load, theil_sen, under_way
from reports.samples import Samples
from tests.reports.conftest import MS, Write, exchange


def test_what_is_under_way_when_each_is_sent_counts_itself(written: Write) -> None:
    rows = [
        exchange(1, 100, sent_ns=0),
        exchange(2, 10, sent_ns=50 * MS),
        exchange(3, 10, sent_ns=80 * MS),
        exchange(4, 10, sent_ns=200 * MS),
    ]
    assert under_way(Samples.read(written(rows)).exchanges).tolist() == [1, 2, 2, 1]


def test_other_upstreams_polls_and_upgrades_are_not_under_way(written: Write) -> None:
    rows = [
        exchange(1, 100, sent_ns=0, upstream=1),
        exchange(2, 900, sent_ns=0, kind=Kind.POLL),
        exchange(3, 900, sent_ns=0, kind=Kind.UPGRADE),
        exchange(4, 10, sent_ns=50 * MS),
    ]
    assert under_way(Samples.read(written(rows)).exchanges)[3] == 1


def test_the_slope_of_a_line_is_exact() -> None:
    x = np.repeat(np.arange(1.0, 9.0), 5)
    assert theil_sen(x, 3 * x + 10) == (3.0, 3.0, 3.0)


def test_a_few_odd_answers_do_not_turn_the_slope() -> None:
    x = np.repeat(np.arange(1.0, 11.0), 10)
    y = 2 * x + np.tile(np.linspace(-0.1, 0.1, 10), 10)
    y[::17] = 900.0
    found = theil_sen(x, y)
    assert found is not None
    assert found[0] == pytest.approx(2, abs=0.1)


def test_a_load_that_never_changes_has_no_slope() -> None:
    assert theil_sen(np.ones(30), np.arange(30.0)) is None


def test_the_interval_holds_a_true_slope_of_0_most_times() -> None:
    chance = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        found = theil_sen(chance.integers(1, 6, 60).astype(float), chance.exponential(1.0, 60))
        assert found is not None
        held += found[1] <= 0 <= found[2]
    assert held >= 180


def test_routes_are_ordered_by_slope_and_few_samples_are_left_out(written: Write) -> None:
    rows, number = [], 0
    for level in range(1, 6):
        for turn in range(6):
            begin = (level * 100 + turn * 10) * 10**9
            for place in range(level):
                number += 1
                steep = place == level - 1
                rows.append(
                    exchange(number, 10 + (20 * level if steep else level), sent_ns=begin + place * MS,
                             route="/steep" if steep else "/flat")
                )  # fmt: skip
    rows.append(exchange(number + 1, 5, route="/rare", sent_ns=0))
    found = routes_under_load(Samples.read(written(rows)))
    assert [route.route for route in found] == ["/steep", "/flat"]
    assert found[0].slope_ns == pytest.approx(20 * MS)
    assert found[0].n == 30
    assert [(level.least, level.n) for level in found[0].levels] == [(level, 6) for level in range(1, 6)]
    assert [level.p50_ns for level in found[0].levels] == [(10 + 20 * level) * MS for level in range(1, 6)]
