"""A page's clock on the run's: bounds narrow, contradictions are other exchanges."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nestperf.pages.alignment import Alignment
from nestperf.pages.snapshots import SeenResource

MS = 1_000_000


def resource(start: float, sent: float | None, first_byte: float | None, done: float) -> SeenResource:
    return SeenResource(
        url="http://a/", initiator="fetch", start=start, sent=sent, first_byte=first_byte, done=done, bytes=None,
        blocking=False,
    )  # fmt: skip


def test_alignment_before_any_exchange_is_the_wall_clocks() -> None:
    alignment = Alignment(7 * MS)
    assert alignment.stamp_ns(2.0) == 9 * MS
    assert alignment.error_ns is None


def test_alignment_lies_in_the_middle_of_what_both_sides_saw() -> None:
    alignment = Alignment(0)
    # Sent at 10 ms of the page, at the relay at 111; answered at the relay at 121, at the browser at 22.
    assert alignment.learn(resource(9, 10, 22, 24), 111 * MS, 121 * MS, 123 * MS)
    assert alignment.zero_ns == 100 * MS
    assert alignment.error_ns == MS


def test_alignment_of_another_origin_rests_on_start_and_end() -> None:
    alignment = Alignment(0)
    assert alignment.learn(resource(10, None, None, 30), 114 * MS, 120 * MS, 126 * MS)
    assert alignment.zero_ns == 100 * MS
    assert alignment.error_ns == 4 * MS


def test_alignment_narrows_with_every_exchange() -> None:
    alignment = Alignment(0)
    assert alignment.learn(resource(10, 10, 30, 30), 114 * MS, 126 * MS, 126 * MS)
    assert alignment.learn(resource(40, 40, 50, 50), 141 * MS, 149 * MS, 149 * MS)
    assert alignment.error_ns == MS
    assert alignment.zero_ns == 100 * MS


def test_alignment_that_is_known_refuses_an_exchange_of_another_time() -> None:
    alignment = Alignment(0)
    assert alignment.learn(resource(10, 10, 30, 30), 111 * MS, 129 * MS, 129 * MS)
    assert not alignment.learn(resource(10, 10, 30, 30), 511 * MS, 529 * MS, 529 * MS)
    assert alignment.zero_ns == 100 * MS


def test_alignment_refuses_what_cannot_have_been_the_same_exchange() -> None:
    """The browser had its answer before the relay did."""
    assert not Alignment(0).learn(resource(10, 10, 12, 12), 111 * MS, 150 * MS, 150 * MS)


@settings(deadline=None)
@given(
    zero=st.integers(-(10**6), 10**9),
    there=st.lists(st.tuples(*[st.integers(0, 40)] * 5), min_size=1, max_size=20),
)
def test_alignment_never_claims_more_than_it_knows(zero: int, there: list[tuple[int, ...]]) -> None:
    """Whatever the ways there and back take, the true zero is within the error that is told."""
    alignment = Alignment(zero)
    at = 0
    for wait, out, served, body, back in there:
        sent = at + wait
        first, done = sent + out + served + back, sent + out + served + body + back
        at_relay = zero + (sent + out) * MS
        answered = at_relay + served * MS
        assert alignment.learn(resource(at, sent, first, done), at_relay, answered, answered + body * MS)
        at = done
    assert alignment.error_ns is not None
    assert abs(alignment.zero_ns - zero) <= alignment.error_ns + 1
