"""A replay goes by the names of its recording: marks that somebody set, and tests that named themselves."""

from __future__ import annotations

from collections.abc import Callable

from nestperf.capture.reader import Capture
from tests.replay.conftest import CountingServer, Recording, Replays


async def test_replay_keeps_the_names_of_what_it_repeats(
    server: CountingServer, recordings: Callable[..., Recording], replay: Replays
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/before", 0, 5)
    recording.exchange("GET", "/films", 10, 15, headers=(("x-nestperf-test", "lists films"),))
    recording.exchange("GET", "/films/1", 20, 25)
    recording.mark(9, "now requesting The Matrix")
    result = await replay(recording.finish(), "--users", "6")
    with Capture.open(result.path) as capture:
        named = {(one.source, one.text): one.exchanges for one in capture.named()}
        targets = {exchange.id: exchange.target for exchange in capture.exchanges()}
    films = sorted(number for number, target in targets.items() if target == "/films")
    one = sorted(number for number, target in targets.items() if target == "/films/1")
    assert len(films) == len(one) == 6
    assert named == {
        ("key", "now requesting The Matrix"): tuple(sorted((*films, *one))),
        ("test", "lists films"): tuple(films),
    }
    # What named the test goes out again, as it was recorded.
    assert {r.target for r in server.requests if ("x-nestperf-test", "lists films") in r.headers} == {"/films"}
