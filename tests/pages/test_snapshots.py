"""What pages tell: read where it makes sense, else nothing; never an error."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nestperf.pages.snapshots import Element, SeenResource, Snapshot, read_snapshot

SAID: dict[str, Any] = {
    "number": 0, "kind": "load", "origin": 1e12, "start": 0, "url": "http://a/x", "hidden": False, "firstByte": 12.5,
    "domLoaded": 40, "load": 60.1, "fcp": 55, "lcp": {"at": 70, "element": "img.big", "url": "http://a/p", "text": ""},
    "cls": 0.1, "inp": {"duration": 24, "element": "button"}, "interactions": 2, "longTasks": 1, "longTaskTime": 80,
    "errors": 1, "ended": True, "end": 900,
    "document": {"url": "http://a/x", "initiator": "navigation", "start": 0, "sent": 1, "firstByte": 12, "done": 15,
                 "bytes": 300, "blocking": False},
    "resources": [{"url": "http://a/s.js", "initiator": "script", "start": 16, "sent": None, "firstByte": None,
                   "done": 30, "bytes": None, "blocking": True}],
    "timings": [{"kind": "render", "name": "list", "start": 50, "duration": 12.25, "items": 3, "detail": None,
                 "call": {"url": "http://a/api", "start": 40}}],
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(SAID)), inner, max_size=6),
    max_leaves=20,
)


def test_read_snapshot_takes_everything_that_is_told() -> None:
    found = read_snapshot(SAID)
    assert found is not None
    assert (found.load, found.fcp, found.lcp, found.cls, found.inp) == (60.1, 55, 70, 0.1, 24)
    assert found.lcp_element == Element(selector="img.big", url="http://a/p")
    assert found.ended == 900
    assert found.document is not None
    assert found.resources == (
        SeenResource(url="http://a/s.js", initiator="script", start=16, sent=None, first_byte=None, done=30, bytes=None,
                     blocking=True),
    )  # fmt: skip
    (timing,) = found.timings
    assert (timing.name, timing.duration, timing.items, timing.call) == ("list", 12.25, 3, ("http://a/api", 40))


def test_read_snapshot_of_a_page_that_only_began() -> None:
    found = read_snapshot({"number": 0, "origin": 1e12, "start": 0, "url": "http://a/"})
    assert found is not None
    assert (found.load, found.lcp_element, found.inp_element, found.ended, found.resources) == (
        *(None, None, None, None),
        (),
    )


def test_read_snapshot_cuts_what_a_page_made_too_long() -> None:
    found = read_snapshot(SAID | {"url": "http://a/" + "x" * 10**6, "lcp": {"at": 1, "element": "y" * 10**6}})
    assert found is not None
    assert found.lcp_element is not None
    assert len(found.url) + len(found.lcp_element.selector) < 10_000


@settings(deadline=None)
@given(said=st.dictionaries(st.sampled_from(sorted(SAID)), JSON))
def test_read_snapshot_of_anything_is_a_snapshot_or_nothing(said: dict[str, Any]) -> None:
    assert isinstance(read_snapshot(SAID | said), Snapshot | None)
