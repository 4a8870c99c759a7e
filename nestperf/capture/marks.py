"""Which exchanges go by which name: a mark's, from its moment to the next, or a test's, that names itself in a header.

The header is only read: nestperf puts it nowhere. In a replay an exchange goes by the names of the one it repeats.
"""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_left, bisect_right
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
        rows: the capture's exchanges.
    """
    by_time = sorted(rows, key=lambda row: (row.sent_ns, row.id))
    found: dict[tuple[str, str], set[int]] = {}
    stamps: dict[tuple[str, str], list[int]] = {}
    sent = [row.sent_ns for row in by_time]
    for mark, begin_ns, end_ns in _spans(marks):
        key = (mark.source, mark.text)
        stamps.setdefault(key, []).append(begin_ns)
        last = len(sent) if end_ns is None else bisect_left(sent, end_ns)
        found.setdefault(key, set()).update(row.id for row in by_time[bisect_left(sent, begin_ns) : last])
    replayed = [(mark, _ranges(mark)) for mark in marks if mark.source_exchanges is not None]
    for mark, _ in replayed:
        found.setdefault((mark.source, mark.text), set())
    for row in by_time:
        if (test := tests.get(row.request_headers or 0)) is not None:
            found.setdefault((TEST, test), set()).add(row.id)
        for mark, (firsts, lasts) in replayed if row.source_exchange is not None else ():
            at = bisect_right(firsts, row.source_exchange or 0) - 1
            if at >= 0 and lasts[at] >= (row.source_exchange or 0):
                found[mark.source, mark.text].add(row.id)
    return tuple(
        Named(text, source, tuple(stamps.get((source, text), ())), tuple(sorted(ids)))
        for (source, text), ids in found.items()
    )


def for_a_replay(named: Iterable[Named]) -> Iterator[Mark]:
    """The marks of a replay of a capture in which these names were given."""
    for one in named:
        if one.exchanges:
            ranges = json.dumps(list(_runs(one.exchanges)), separators=(",", ":"))
            yield Mark(None, None, None, one.text, one.source, ranges)


def _spans(marks: Iterable[Mark]) -> Iterator[tuple[Mark, int, int | None]]:
    """Marks with their beginning and end; the last one has none."""
    timed = sorted((mark.stamp_ns, mark.id or 0, mark) for mark in marks if mark.stamp_ns is not None)
    nexts = [stamp_ns for stamp_ns, _, mark in timed if mark.end_ns is None]
    at = 0
    for stamp_ns, _, mark in timed:
        if mark.end_ns is not None:
            yield mark, stamp_ns, mark.end_ns
            continue
        at += 1
        yield mark, stamp_ns, nexts[at] if at < len(nexts) else None


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
