from __future__ import annotations

from operator import itemgetter

from hypothesis import given, settings
from hypothesis import strategies as st

from nestperf.network.lane import HEADS, INITIAL_WINDOW, PAYLOAD, Delivery, Lane, transmission_ns

MS = 1_000_000
S = 1_000 * MS
BPS = 1_200_000
"""A full packet of 1,500 bytes takes 10 ms."""
DELAY = 75 * MS


def drain(lane: Lane) -> list[Delivery]:
    """Everything that ever comes out, asking only when the lane says so."""
    found: list[Delivery] = []
    while (moment := lane.next_ns()) is not None:
        found += lane.deliveries(moment)
    return found


def test_a_packet_comes_out_after_its_transmission_and_half_a_round_trip() -> None:
    lane = Lane(BPS, DELAY)
    lane.offer(1, PAYLOAD, 5 * MS)
    assert lane.next_ns() == 90 * MS
    assert lane.deliveries(90 * MS - 1) == []
    assert lane.deliveries(90 * MS) == [Delivery(1, PAYLOAD, 90 * MS)]
    assert lane.next_ns() is None


def test_every_packet_carries_its_heads() -> None:
    lane = Lane(8_000, 0)  # a byte a millisecond
    lane.offer(1, 1, 0)
    assert drain(lane) == [Delivery(1, 1, (1 + HEADS) * MS)]
    assert transmission_ns(PAYLOAD + 1, 8_000) == (PAYLOAD + 1 + 2 * HEADS) * MS


def test_packets_of_one_flow_follow_each_other_without_a_gap() -> None:
    lane = Lane(BPS, DELAY)
    lane.offer(1, 3 * PAYLOAD, 0)
    assert [delivery.at_ns for delivery in drain(lane)] == [DELAY + 10 * MS, DELAY + 20 * MS, DELAY + 30 * MS]


def test_two_flows_take_turns_and_each_gets_half() -> None:
    lane = Lane(BPS, DELAY, slow_start=False)
    lane.offer(1, 20 * PAYLOAD, 0)
    lane.offer(2, 20 * PAYLOAD, 0)
    found = drain(lane)
    # The first packet had left before the second flow was there.
    assert [delivery.flow for delivery in found[1:9]] == [1, 2, 1, 2, 1, 2, 1, 2]
    ends = {delivery.flow: delivery.at_ns for delivery in found}
    assert abs(ends[1] - ends[2]) <= 20 * MS
    assert max(ends.values()) == DELAY + 40 * 10 * MS


def test_a_small_answer_does_not_wait_for_the_whole_of_a_large_one() -> None:
    lane = Lane(BPS, DELAY, slow_start=False)
    lane.offer(1, 100 * PAYLOAD, 0)
    lane.offer(2, 100, 1 * MS)
    small = next(delivery for delivery in drain(lane) if delivery.flow == 2)
    assert small.at_ns <= DELAY + 22 * MS


def test_an_idle_lane_begins_anew_when_something_is_offered() -> None:
    lane = Lane(BPS, DELAY)
    lane.offer(1, PAYLOAD, 0)
    assert drain(lane)[-1].at_ns == 85 * MS
    lane.offer(1, PAYLOAD, 10 * S)
    assert drain(lane)[-1].at_ns == 10 * S + 85 * MS


def test_slow_start_sends_ten_packets_and_then_waits_for_the_first_acknowledgement() -> None:
    lane = Lane(12_000_000, DELAY)  # a packet takes a millisecond, so the window fills long before a round trip
    lane.offer(1, 40 * PAYLOAD, 0)
    out = [delivery.at_ns // MS for delivery in drain(lane)]
    assert out[:10] == [76 + n for n in range(10)]
    # Acknowledged 75 ms after each came out; each lets two go.
    assert out[10:14] == [151 + 1 + 75, 151 + 2 + 75, 151 + 3 + 75, 151 + 4 + 75]
    assert INITIAL_WINDOW == 10 * PAYLOAD


def test_slow_start_costs_nothing_once_the_window_covers_the_line() -> None:
    paced, free = Lane(BPS, DELAY), Lane(BPS, DELAY, slow_start=False)
    for lane in (paced, free):
        lane.offer(1, 400 * PAYLOAD, 0)
    slow, fast = drain(paced)[-1].at_ns, drain(free)[-1].at_ns
    assert fast == DELAY + 4 * S
    assert fast < slow <= fast + 2 * DELAY


def test_what_is_left_of_a_forgotten_flow_never_comes_out_and_the_others_go_on() -> None:
    lane = Lane(BPS, DELAY)
    lane.offer(1, 5 * PAYLOAD, 0)
    lane.offer(2, 2 * PAYLOAD, 0)
    lane.forget(1)
    assert {delivery.flow for delivery in drain(lane)} == {2}
    assert lane.backlog(1) == 0


def test_backlog_counts_what_has_not_come_out() -> None:
    lane = Lane(BPS, DELAY)
    lane.offer(1, 3 * PAYLOAD, 0)
    assert lane.backlog(1) == 3 * PAYLOAD
    lane.deliveries(85 * MS)
    assert lane.backlog(1) == 2 * PAYLOAD


offers = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 40_000), st.integers(0, 400 * MS)), min_size=1, max_size=25
)


@settings(deadline=None)
@given(offers, st.booleans(), st.integers(0, 200 * MS))
def test_whatever_is_offered_comes_out_once_in_order_and_never_faster_than_the_line(
    asked: list[tuple[int, int, int]], slow_start: bool, delay_ns: int
) -> None:
    lane = Lane(BPS, delay_ns, slow_start=slow_start)
    now, begins, found = 0, None, []
    for flow, size, after in asked:
        now += after
        begins = now if begins is None else begins
        found += lane.deliveries(now)
        lane.offer(flow, size, now)
    found += drain(lane)
    for flow in {flow for flow, _, _ in asked}:
        offered = sum(size for which, size, _ in asked if which == flow)
        assert sum(delivery.size for delivery in found if delivery.flow == flow) == offered
    stamps = [delivery.at_ns for delivery in found]
    assert stamps == sorted(stamps)
    total = sum(size for _, size, _ in asked)
    assert stamps[-1] >= (begins or 0) + delay_ns + transmission_ns(total, BPS) - len(stamps)


@settings(deadline=None)
@given(offers, st.booleans(), st.lists(st.integers(1, 50 * MS), max_size=40))
def test_how_often_it_is_asked_changes_nothing(
    asked: list[tuple[int, int, int]], slow_start: bool, looks: list[int]
) -> None:
    calm, watched = Lane(BPS, DELAY, slow_start=slow_start), Lane(BPS, DELAY, slow_start=slow_start)
    offered_at, now = [], 0
    for flow, size, after in asked:
        now += after
        offered_at.append((now, flow, size))
    moments = []
    look = 0
    for step in looks:
        look += step
        moments.append(look)
    for at, flow, size in offered_at:
        calm.offer(flow, size, at)
    found = []
    for at, flow, size in sorted([*offered_at, *((moment, 0, 0) for moment in moments)], key=itemgetter(0)):
        if flow:
            watched.offer(flow, size, at)
        else:
            found += watched.deliveries(at)
    assert sorted(found + drain(watched)) == sorted(drain(calm))
