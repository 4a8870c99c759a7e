from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nestperf.capture.model import Outcome
from nestperf.percentiles import nearest_rank
from reports.broadcasts import find_broadcasts
from reports.curves import TAIL, curves, points_of
from reports.measures import Measures
from reports.samples import Samples
from reports.thresholds import parse_thresholds
from reports.verdict import judge_samples
from tests.reports.conftest import MS, Write, exchange, exchanges

PROMISES = """
[[threshold]]
name = "Fast"
expression = "p95(latency) < 50ms"
kind = "call"

[[threshold]]
name = "Never slow"
expression = "max(latency) < 1s"
kind = "call"

[[threshold]]
name = "Nothing fails"
expression = "rate(failed) < 1%"

[[threshold]]
name = "Pages"
expression = "p95(latency) < 2s"
kind = "page"
"""


def test_every_point_is_the_nearest_rank_of_its_share() -> None:
    ordered = np.sort(np.random.default_rng(1).integers(1, 10**9, 5_000))
    points = points_of(ordered)
    assert len(points) > 100
    for share, took_ns in points:
        assert nearest_rank(ordered, Fraction(share).limit_denominator(5_000)) == took_ns


def test_the_slowest_are_points_of_the_curve() -> None:
    ordered = np.arange(1, 10_001)
    assert [point.took_ns for point in points_of(ordered)][-TAIL:] == list(range(10_001 - TAIL, 10_001))


def test_a_curve_ends_where_failures_begin() -> None:
    points = points_of(np.arange(1, 91), failed=10)
    assert points[-1] == (0.9, 90)


def test_nothing_has_no_points() -> None:
    assert points_of(np.zeros(0, dtype=np.int64)) == ()


def test_promises_about_the_same_share_a_curve_with_their_limits(written: Write) -> None:
    rows = [*exchanges(range(1, 101)), exchange(200, 5, outcome=Outcome.RESET)]
    samples = Samples.read(written(rows))
    broadcasts = find_broadcasts(samples)
    judgement = judge_samples(samples, broadcasts, parse_thresholds(PROMISES, "promises.toml"), "run.db")
    (curve,) = curves(judgement.judged, Measures(samples, broadcasts))
    assert (curve.title, curve.n, curve.failed) == ("Fast", 101, 1)
    assert curve.points[-1].share == pytest.approx(100 / 101)
    assert curve.points[-1].took_ns == 100 * MS
    assert [(limit.name, limit.share, limit.limit_ns) for limit in curve.limits] == [
        ("Fast", 0.95, 50 * MS),
        ("Never slow", 1.0, 1000 * MS),
    ]
    assert curve.limits[0].measured_ns == 96 * MS


def test_a_baseline_is_a_curve_of_all_its_runs(written: Write) -> None:
    new = Samples.read(written(exchanges(range(1, 41)), name="new.db"))
    old = [Samples.read(written(exchanges(range(1, 31)), name=f"old{run}.db", uid=f"o{run}")) for run in (1, 2)]
    judgement = judge_samples(new, (), parse_thresholds(PROMISES, "promises.toml"), "new.db", old)
    (curve,) = curves(judgement.judged, Measures(new, ()), tuple(map(Measures, old)))
    assert curve.baseline_n == 60
    assert curve.baseline[-1] == (1.0, 30 * MS)
