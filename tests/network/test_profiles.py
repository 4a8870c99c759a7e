from __future__ import annotations

import pytest

from nestperf.errors import UsageError
from nestperf.network.profiles import PROFILES, parse_network


def test_profiles_have_the_published_numbers() -> None:
    found = {key: (p.down_bps, p.up_bps, p.rtt_ns // 1_000) for key, p in PROFILES.items()}
    assert found == {
        "wpt-3g": (1_600_000, 768_000, 300_000),
        "wpt-3g-fast": (1_600_000, 768_000, 150_000),
        "wpt-3g-slow": (780_000, 330_000, 200_000),
        "lighthouse-3g": (700_000, 700_000, 300_000),
        "devtools-3g": (50_000 * 8, 50_000 * 8, 2_000_000),
        "devtools-slow-4g": (180_000 * 8, 84_375 * 8, 562_500),
    }


def test_a_network_is_chosen_by_its_key() -> None:
    assert parse_network("wpt-3g-fast") is PROFILES["wpt-3g-fast"]
    assert parse_network("none") is None


def test_an_unknown_network_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="wpt-3g-fast"):
        parse_network("3g")


def test_a_profile_says_its_numbers() -> None:
    assert PROFILES["wpt-3g-fast"].summary == "1.6 Mbit/s down, 768 kbit/s up, 150 ms round trip"
    assert PROFILES["devtools-3g"].summary == "400 kbit/s down, 400 kbit/s up, 2,000 ms per request"
