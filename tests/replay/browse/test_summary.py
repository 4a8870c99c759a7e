from __future__ import annotations

from dataclasses import replace

import pytest

from replay.browse.sign_in import Person
from replay.browse.summary import median_interval, summarize, tabulate_results
from replay.browse.tour import stops_of
from replay.browse.tour_run import Visited, explain
from reports.networks import Opened
from tests.replay.browse.test_tour import UPSTREAMS, page
from tests.replay.conftest import Recording

S = 1_000_000_000


@pytest.mark.parametrize(
    ("loads", "interval"),
    [
        ([1], ""),
        ([1, 2, 3], "1.00 s to 3.00 s (75 %)"),
        ([1, 2, 3, 4, 5], "1.00 s to 5.00 s (94 %)"),
        ([1, 2, 3, 4, 5, 6], "1.00 s to 6.00 s (95 %)"),
        (list(range(1, 11)), "2.00 s to 9.00 s (95 %)"),
    ],
    ids=["one says nothing", "three say little", "five nearly enough", "six are", "more let the extremes go"],
)
def test_a_median_comes_with_what_is_certain_about_it(loads: list[int], interval: str) -> None:
    assert median_interval([load * S for load in loads]) == interval


def test_the_table_has_a_line_for_each_page_and_cache() -> None:
    results = [
        Opened(
            route="/dashboard",
            profile="wpt-3g-fast",
            cache="cold",
            loads_ns=[1 * S, 2 * S, 3 * S],
            least_ns=475_000_000,
        ),
        Opened(route="/dashboard", profile="wpt-3g-fast", cache="warm", loads_ns=[]),
    ]
    lines = tabulate_results(results, 100)
    assert lines[2].split()[:5] == ["cold", "/dashboard", "3", "2.00", "s"]
    assert lines[2].endswith("475 ms")
    assert lines[3].split() == ["warm", "/dashboard", "0"]


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("Page.goto: net::ERR_EMPTY_RESPONSE at http://127.0.0.1:4000/?token=1\nCall log:", "closed without an answer"),
        ("Page.goto: net::ERR_SOMETHING_ELSE at http://127.0.0.1/?token=1\nCall log:", "net::ERR_SOMETHING_ELSE"),
    ],
)
def test_what_the_browser_says_comes_in_words_and_without_addresses(said: str, meaning: str) -> None:
    explained = explain(Exception(said))
    assert meaning in explained
    assert "token" not in explained


def test_a_page_that_led_elsewhere_than_recorded_is_said_with_what_to_do(recording: Recording) -> None:
    page(recording, "/dashboard", 0)
    session = recording.plan().sessions[0]
    (stop,) = stops_of(session, UPSTREAMS)
    person = Person(session, (stop,), (), UPSTREAMS)
    there = Visited(
        stop=stop,
        person=person,
        round=1,
        cache="cold",
        url="http://localhost:4000/dashboard#top",
        load_ms=900,
        trouble="",
    )
    elsewhere = replace(there, url="http://localhost:4000/signin?from=/dashboard")
    assert list(summarize([there, there], "qa.db")) == []
    (said,) = summarize([there, elsewhere], "qa.db")
    assert said.startswith("/dashboard led on to /signin in 1 of 2 visits, in the recording to /dashboard")
    assert "--storage session:KEY=NAME" in said


def test_visits_that_did_not_load_are_counted_with_the_first_reason(recording: Recording) -> None:
    page(recording, "/dashboard", 0)
    session = recording.plan().sessions[0]
    (stop,) = stops_of(session, UPSTREAMS)
    person = Person(session, (stop,), (), UPSTREAMS)
    good = Visited(stop=stop, person=person, round=1, cache="cold", url=stop.url, load_ms=900, trouble="")
    bad = replace(good, load_ms=None, trouble="did not load within 60 s")
    (said,) = summarize([good, bad, bad], "qa.db")
    assert said == "2 visits of 3 did not load; the first, /dashboard: did not load within 60 s."
