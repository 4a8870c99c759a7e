from __future__ import annotations

from nestperf.demo.services import check_services


def test_same_check_finds_the_same() -> None:
    assert check_services(7, "at") == check_services(7, "at")
    assert check_services(7, "at") != check_services(8, "at")


def test_services_are_mostly_up_and_degraded_only_when_slow() -> None:
    seen = [service for number in range(110) for service in check_services(number, "at")]
    degraded = [service for service in seen if service.status == "degraded"]
    assert 0 < len(degraded) < len(seen) / 8
    for service in degraded:
        usual = max(s.response_time_ms for s in seen if s.name == service.name and s.status == "up")
        assert service.response_time_ms > usual
