"""Readings of the generator: the busiest seconds, users over time."""

from __future__ import annotations

from replay.health import POINTS, Health

SECOND = 1_000_000_000


def run(cpu: list[float], *, beat: float = 0.05) -> Health:
    """A run whose seconds took these shares of a core."""
    health, cpu_ns, now_ns = Health(), 0, 0
    for share in cpu:
        for _ in range(round(1 / beat)):
            health.read(now_ns, cpu_ns, 7)
            now_ns += round(beat * SECOND)
            cpu_ns += round(share * beat * SECOND)
    health.end(now_ns, cpu_ns, 7)
    return health


def test_busiest_share_is_that_of_the_busiest_five_seconds() -> None:
    assert round(run([0.1] * 10 + [0.9] * 5 + [0.1] * 10).busiest_share or 0, 2) == 0.9
    assert round(run([0.1] * 10 + [1.0] + [0.1] * 10).busiest_share or 0, 2) == 0.28
    assert round(run([0.5] * 20).busiest_share or 0, 2) == 0.5


def test_short_run_is_taken_whole_and_a_very_short_one_not_at_all() -> None:
    assert round(run([0.2, 0.8, 0.2]).busiest_share or 0, 2) == 0.4
    assert Health().busiest_share is None
    health = Health()
    health.read(0, 0, 1)
    health.end(SECOND // 2, SECOND // 2, 1)
    assert health.busiest_share is None


def test_curve_of_users_stays_short_and_covers_the_whole_run() -> None:
    health = run([0.1] * 1000, beat=0.5)
    assert POINTS / 2 - 2 <= len(health.alive) <= POINTS + 2
    assert health.alive[0][0] == 0
    assert health.alive[-1][0] == 1000 * SECOND
    moments = [ns for ns, _ in health.alive]
    assert moments == sorted(moments)


def test_late_beats_are_loop_lag() -> None:
    health = Health()
    for lag in (0, 1_000, 5_000_000):
        health.beat(SECOND, SECOND + lag)
    assert health.loop_lags_ns.max_ns == 5_000_000
    assert len(health.loop_lags_ns) == 3
