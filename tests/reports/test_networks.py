"""What a network allows at best, out of captures of pages that were opened over it."""

from __future__ import annotations

from nestperf.capture.model import Kind, Row
from nestperf.network.lane import transmission_ns
from nestperf.network.profiles import PROFILES
from reports.networks import Opened, read_opened
from reports.pages import read_pages, summarize_pages
from reports.render.pages import impossible_sentence, render_pages
from tests.reports.conftest import S, Write, exchange
from tests.reports.test_pages import page, resource

FAST = PROFILES["wpt-3g-fast"]
LARGE = 800_000
COLD = {"profile": "wpt-3g-fast", "cache": "cold"}


def opened(script: int = LARGE) -> list[Row]:
    """A document of 1,000 bytes and a script, loaded twice cold and once warm, and a picture after the load."""
    return [
        exchange(1, 300, kind=Kind.PAGE, target="/board", response_bytes=1_000),
        exchange(2, 4_400, kind=Kind.ASSET, target="/app.js?v=1", response_bytes=script),
        exchange(3, 900, kind=Kind.ASSET, target="/late.png", response_bytes=5_000_000),
        page(1, 5_000, **COLD),
        page(2, 4_800, **COLD),
        page(3, 600, profile="wpt-3g-fast", cache="warm"),
        page(4, None, **COLD),
        resource(1, 1, 0, 300, exchange_id=1, initiator="navigation"),
        resource(2, 1, 310, 4_900, exchange_id=2),
        resource(3, 1, 5_100, 6_000, exchange_id=3),
        resource(4, 3, 0, 300, exchange_id=1, initiator="navigation"),
    ]


def read(written: Write, rows: list[Row]) -> list[Opened]:
    with written(rows, purpose="browse") as capture:
        return read_opened(capture)


def test_loads_are_sorted_by_page_and_cache_and_those_that_never_came_are_counted(written: Write) -> None:
    cold, warm = read(written, opened())
    assert (cold.route, cold.cache, cold.loads_ns, cold.unloaded) == ("/board", "cold", [4_800_000_000, 5 * S], 1)
    assert (warm.cache, warm.loads_ns) == ("warm", [600_000_000])


def test_a_cold_load_is_bounded_by_its_slowest_answer_and_a_warm_one_by_nothing(written: Write) -> None:
    cold, warm = read(written, opened())
    # What came after the load bounds nothing.
    assert cold.least_ns == 3 * FAST.rtt_ns + transmission_ns(LARGE, FAST.down_bps)
    assert warm.least_ns is None


def test_an_answer_that_breaks_two_seconds_by_itself_is_said_with_the_networks_name(written: Write) -> None:
    (cold, _) = read(written, opened())
    assert impossible_sentence(cold) == (
        "Over WebPageTest 3G Fast 2 s is impossible for /board: its /app.js alone (800 KB) takes 4.56 s."
    )


def test_nothing_is_impossible_where_every_answer_is_small(written: Write) -> None:
    (cold, warm) = read(written, opened(script=100_000))
    assert not cold.too_large
    assert not warm.too_large


def test_a_hand_made_recording_has_no_network_to_bound_it(written: Write) -> None:
    assert read(written, [page(1)]) == []


def test_the_report_says_what_is_impossible(written: Write) -> None:
    with written(opened(), purpose="browse") as capture:
        facts = summarize_pages(capture, read_pages(capture))
    assert "2 s is impossible for /board" in " ".join(" ".join(render_pages(facts, 100)).split())
