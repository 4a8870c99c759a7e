"""What waits for what: no cycles, no release that ended later, a graph that a replay of the replay has again; and
what a browser held back for want of a connection was released with those before it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.structure import Span, connection_limits, ready_times, release_order

MS = 1_000_000

SPANS = st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(0, 25))), min_size=1, max_size=25).map(
    lambda rows: sorted(((a, None if b is None else a + b) for a, b in rows), key=lambda row: row[0])
)


@settings(deadline=None)
@given(spans=SPANS)
def test_steps_wait_only_for_earlier_ones_that_had_ended(spans: list[tuple[int, int | None]]) -> None:
    for index, release in enumerate(release_order(spans, spans[0][0])):
        for other in release.after:
            done_ns = spans[other][1]
            assert other < index
            assert done_ns is not None
            assert done_ns <= spans[index][0]
        assert release.think_ns >= 0


@settings(deadline=None)
@given(spans=SPANS)
def test_everything_that_had_ended_is_waited_for_and_nothing_twice(spans: list[tuple[int, int | None]]) -> None:
    releases = release_order(spans, spans[0][0])
    before: list[set[int]] = []
    for index, release in enumerate(releases):
        ancestors = set(release.after).union(*(before[other] for other in release.after))
        before.append(ancestors)
        ended = {
            other
            for other, (_, done_ns) in enumerate(spans[:index])
            if done_ns is not None and done_ns <= spans[index][0]
        }
        assert ancestors == ended
        for other in release.after:
            assert not any(other in before[further] for further in release.after)


@settings(deadline=None)
@given(spans=SPANS)
def test_replay_with_the_recorded_durations_has_the_recorded_times_and_graph(
    spans: list[tuple[int, int | None]],
) -> None:
    releases = release_order(spans, spans[0][0])
    live: list[tuple[int, int | None]] = []
    for (sent_ns, done_ns), release in zip(spans, releases, strict=True):
        released_ns = max((live[other][1] or 0 for other in release.after), default=spans[0][0])
        intended_ns = released_ns + release.think_ns
        live.append((intended_ns, None if done_ns is None else intended_ns + done_ns - sent_ns))
    assert live == spans
    assert release_order(live, live[0][0]) == releases


def burst(count: int, *, connections: int, may_wait: bool = True, pause: float = 1) -> list[Span]:
    """A page, then so many exchanges of 50 ms each, as many at once as there are connections."""
    spans = [Span(0, 10 * MS, 0, 0)]
    free = [10 * MS] * connections
    for number in range(count):
        place = number % connections
        sent_ns = round(free[place] + (pause if number >= connections else number * 0.1) * MS)
        free[place] = sent_ns + 50 * MS
        spans.append(Span(sent_ns, free[place], 0, place, may_wait))
    return sorted(spans)


def test_assets_that_waited_for_a_connection_are_released_with_the_page() -> None:
    spans = burst(14, connections=6)
    ready = ready_times(spans)
    assert ready[:7] == tuple(span.sent_ns for span in spans[:7])
    assert set(ready[7:]) == {ready[6]}
    ordered = [(ns, span.done_ns) for ns, span in zip(ready, spans, strict=True)]
    assert [release.after for release in release_order(ordered, 0)] == [(), *[(0,)] * 14]
    assert list(ready) == sorted(ready)
    assert connection_limits(spans) == {0: 6}


def test_nothing_was_held_back_where_connections_were_free_or_the_client_thought() -> None:
    for spans in (
        burst(10, connections=3),
        burst(14, connections=6, pause=30),
        burst(14, connections=6, may_wait=False),
    ):
        assert ready_times(spans) == tuple(span.sent_ns for span in spans)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 200), st.one_of(st.none(), st.integers(0, 60)), st.integers(0, 7), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_ready_times_are_never_later_than_sent_and_keep_the_order_of_what_was_held_back(
    rows: list[tuple[int, int | None, int, bool]],
) -> None:
    spans = sorted(
        (Span(a * MS, None if b is None else (a + b) * MS, 0, c, may) for a, b, c, may in rows),
        key=lambda span: span.sent_ns,
    )
    ready = ready_times(spans)
    assert all(at <= span.sent_ns for at, span in zip(ready, spans, strict=True))
    held = [at for at, span in zip(ready, spans, strict=True) if at < span.sent_ns]
    assert held == sorted(held)
    assert all(at in {span.sent_ns for span in spans} for at in ready)


def test_limit_is_what_was_in_flight_where_that_is_more_than_a_browsers() -> None:
    assert connection_limits([Span(number, 100 * MS, 0, number) for number in range(9)]) == {0: 9}
    assert connection_limits([Span(0, 5, 3, 1), Span(10, 15, 3, 1)]) == {3: 6}
