"""Which exchanges go by which name: a mark's, from its moment to the next, or a test's, that names itself in a header.

The header is only read: nestperf puts it nowhere. In a replay an exchange goes by the names of the one it repeats.
"""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from nestperf.capture.model import Mark

TEST_HEADER = "X-Nestperf-Test"
"""Names the test that sends a request; what is no ASCII is URL-encoded."""
TEST = "test"
"""The source of names that stand in that header."""
_LONGEST = 300


class Named(NamedTuple):
    """What goes by one name."""

    text: str
    source: str
    """As `Mark.source`."""
    stamps_ns: tuple[int, ...]
    """When it was given; empty for tests and in replays."""
    exchanges: tuple[int, ...]
    """Ids, ascending."""


class Row(NamedTuple):
    """What decides of an exchange which names it goes by."""

    id: int
    sent_ns: int
    request_headers: int | None
    source_exchange: int | None


def test_name(value: str) -> str:
    """The name in a header's value (decoded as latin-1)."""
    with contextlib.suppress(ValueError):  # then latin-1 it is
        value = value.encode("latin-1").decode()
    return unquote(value).strip()[:_LONGEST]


def name_exchanges(marks: Sequence[Mark], tests: Mapping[int, str], rows: Iterable[Row]) -> tuple[Named, ...]:
    """Everything that has a name, in the order it was given or first used.

    Args:
        marks: of the capture.
        tests: header set to the test that it names.
        rows: the capture's exchanges, by id.
    """
    found: dict[tuple[str, str], list[int]] = {}
    stamps: dict[tuple[str, str], list[int]] = {}
    lasting, spans, replayed = _sorted_out(marks)
    for mark in (*lasting, *spans):
        stamps.setdefault(_key(mark), []).append(mark.stamp_ns or 0)
    begins = [mark.stamp_ns or 0 for mark in lasting]
    ranges = [(_key(mark), *_ranges(mark)) for mark in replayed]
    for mark in (*sorted((*lasting, *spans), key=_moment), *replayed):
        found.setdefault(_key(mark), [])
    for row in rows:
        keys = {key for key, firsts, lasts in ranges if _is_within(row.source_exchange, firsts, lasts)}
        if (at := bisect_right(begins, row.sent_ns) - 1) >= 0:
            keys.add(_key(lasting[at]))
        keys |= {_key(mark) for mark in spans if (mark.stamp_ns or 0) <= row.sent_ns < (mark.end_ns or 0)}
        if (test := tests.get(row.request_headers or 0)) is not None:
            keys.add((TEST, test))
        for key in keys:
            found.setdefault(key, []).append(row.id)
    return tuple(
        Named(text, source, tuple(stamps.get((source, text), ())), tuple(ids)) for (source, text), ids in found.items()
    )


def _sorted_out(marks: Iterable[Mark]) -> tuple[list[Mark], list[Mark], list[Mark]]:
    """Those that last until the next one and those that end by themselves, in order of time; and those of a replay."""
    timed = sorted((mark for mark in marks if mark.stamp_ns is not None), key=_moment)
    lasting, spans = ([m for m in timed if (m.end_ns is None) is endless] for endless in (True, False))
    return lasting, spans, [mark for mark in marks if mark.source_exchanges is not None]


def _moment(mark: Mark) -> tuple[int, int]:
    return mark.stamp_ns or 0, mark.id or 0


def _key(mark: Mark) -> tuple[str, str]:
    return mark.source, mark.text


def _is_within(source: int | None, firsts: list[int], lasts: list[int]) -> bool:
    if source is None:
        return False
    at = bisect_right(firsts, source) - 1
    return at >= 0 and lasts[at] >= source


def for_a_replay(named: Iterable[Named]) -> Iterator[Mark]:
    """The marks of a replay of a capture in which these names were given."""
    for one in named:
        if one.exchanges:
            ranges = json.dumps(list(_runs(one.exchanges)), separators=(",", ":"))
            yield Mark(None, None, None, one.text, one.source, ranges)


def _ranges(mark: Mark) -> tuple[list[int], list[int]]:
    pairs = sorted((int(first), int(last)) for first, last in json.loads(mark.source_exchanges or "[]"))
    return [first for first, _ in pairs], [last for _, last in pairs]


def _runs(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending ids as first and last of each run without a gap."""
    first = last = ids[0]
    for number in ids[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
