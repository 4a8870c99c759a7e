from __future__ import annotations

from nestperf.network.floor import Asked, impossible, least_ns, least_of_page_ns
from nestperf.network.lane import transmission_ns
from nestperf.network.profiles import MS, PROFILES

FAST = PROFILES["wpt-3g-fast"]
RTT = 150 * MS


def asked(size: int, *, tls: bool = False, is_document: bool = False) -> Asked:
    return Asked("/app.js", size, tls, is_document)


def test_a_document_takes_its_handshake_its_round_trip_and_its_bytes() -> None:
    assert least_ns(asked(100_000, is_document=True), FAST) == 2 * RTT + transmission_ns(100_000, 1_600_000)


def test_tls_takes_one_more_round_trip_and_what_a_document_asks_for_another() -> None:
    assert least_ns(asked(0, tls=True, is_document=True), FAST) == 3 * RTT
    assert least_ns(asked(0), FAST) == 3 * RTT
    assert least_ns(asked(0, tls=True), FAST) == 4 * RTT


def test_devtools_latency_is_added_to_each_request_and_to_no_connection() -> None:
    assert least_ns(asked(0, tls=True), PROFILES["devtools-3g"]) == 2 * 2_000 * MS


def test_all_of_a_page_shares_the_line() -> None:
    answers = [asked(1_000, is_document=True), asked(150_000), asked(150_000)]
    assert least_of_page_ns(answers, FAST) == 2 * RTT + transmission_ns(301_000, 1_600_000)


def test_an_answer_that_cannot_keep_a_limit_is_named_and_one_that_can_is_not() -> None:
    found = impossible([asked(1_000, is_document=True), asked(200_000), asked(400_000)], FAST, 2_000 * MS)
    assert [(floor.name, floor.size) for floor in found] == [("/app.js", 400_000)]
    assert found[0].least_ns == 3 * RTT + transmission_ns(400_000, 1_600_000)
