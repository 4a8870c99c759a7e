from __future__ import annotations

from nestperf.demo.limits import RateLimit


def test_limit_reached_refuses_until_the_window_ends() -> None:
    limit = RateLimit(2, 60.0)
    assert [limit.admit("a", now).admitted for now in (0.0, 1.0, 2.0, 59.9)] == [True, True, False, False]
    assert limit.admit("a", 60.0).admitted


def test_admission_says_what_is_left_and_when_it_ends() -> None:
    limit = RateLimit(3, 60.0)
    limit.admit("a", 100.0)
    assert limit.admit("a", 115.0) == (True, 3, 1, 45.0)


def test_keys_are_counted_apart() -> None:
    limit = RateLimit(1, 60.0)
    assert limit.admit("a", 0.0).admitted
    assert limit.admit("b", 0.0).admitted
    assert not limit.admit("a", 0.0).admitted


def test_ended_windows_are_forgotten_when_there_are_many() -> None:
    limit = RateLimit(1, 1.0)
    for number in range(3000):
        limit.admit(f"key {number}", float(number))
    assert len(limit._windows) <= 1025
