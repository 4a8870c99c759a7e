"""Reports of pages and exchanges of the relay become rows, in whatever order they come."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.contents import Contents
from nestperf.capture.model import Body, Page, Resource, Row, Timing, Upstream
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from nestperf.pages.tracks import PageTracks, SeenExchange
from tests.pages.test_snapshots import SAID

MS = 1_000_000
BEGAN_UNIX_NS = 10**18 - 5_000 * MS
"""The pages' zero is 5 s after the run began, by the wall clock; by the exchanges 40 ms later."""
ZERO_NS = 5_040 * MS


class Run:
    """Page tracks, and the rows that stand in the capture by now."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[tuple[type[Any], int], Row] = {}
        self.redactor = Redactor(Vault.create(path))
        ids = itertools.count(1)
        contents = Contents(self.redactor, self.add)
        next_id: Callable[[str], int] = lambda _: next(ids)  # noqa: E731
        self.tracks = PageTracks(contents, self.add, BEGAN_UNIX_NS, next_id, (Upstream("http://a:80"),))

    def add(self, row: Row) -> None:
        assert isinstance(row.id, int)
        self.rows[type(row), row.id] = row

    def of(self, kind: type[Any]) -> list[Any]:
        return [
            row for (row_type, _), row in sorted(self.rows.items(), key=lambda item: item[0][1]) if row_type is kind
        ]

    @property
    def page(self) -> Page:
        (page,) = self.of(Page)
        assert isinstance(page, Page)
        return page

    def tell(self, said: dict[str, Any], tab: int = 1, **more: Any) -> None:
        self.tracks.told({"tab": tab, "said": SAID | {"origin": 1e12} | said} | more, 0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "qa.db")


def exchange(number: int, target: str, sent_ms: float, done_ms: float, authority: str = "a") -> SeenExchange:
    """Seen by the relay a millisecond after the browser sent it and before it had the answer."""
    sent, done = (ZERO_NS + round(ms * MS) for ms in (sent_ms, done_ms))
    return SeenExchange(number, 4, 0, authority, target, sent + MS, done - MS, done - MS)


EXCHANGES = (
    exchange(7, "/x", 1, 12),
    exchange(8, "/s.js", 16, 30),
    exchange(9, "/api", 40, 50),
    exchange(3, "/x", -9000, -8900),
)
API = {"url": "http://a/api", "initiator": "fetch", "start": 40, "sent": 40, "firstByte": 50, "done": 50, "bytes": 9,
       "blocking": False}  # fmt: skip


@pytest.mark.parametrize("order", ["page first", "exchanges first"])
def test_page_is_tied_to_its_exchanges_and_their_clock(run: Run, order: str) -> None:
    said = {"resources": [*SAID["resources"], API]}
    if order == "page first":
        run.tell(said)
        run.tracks.settle(0)
    for one in EXCHANGES:
        run.tracks.saw(one)
    if order != "page first":
        run.tell(said)
    run.tracks.settle(0)
    page = run.page
    assert (page.exchange_id, page.client_id, page.upstream) == (7, 4, 0)
    assert page.clock_error_ns == MS
    assert page.started_ns == ZERO_NS
    assert page.load_ns == ZERO_NS + round(60.1 * MS)
    assert {row.url: row.exchange_id for row in run.of(Resource)} == {
        "http://a/x": 7, "http://a/s.js": 8, "http://a/api": 9,
    }  # fmt: skip
    (render,) = run.of(Timing)
    assert (render.kind, render.exchange_id, render.duration_ns) == ("render", 9, 12_250_000)
    assert render.started_ns == ZERO_NS + 50 * MS


def test_page_told_again_replaces_its_row_and_adds_what_is_new(run: Run) -> None:
    run.tracks.saw(EXCHANGES[0])
    run.tell({"load": None, "lcp": None})
    run.tracks.settle(0)
    begun = run.page
    assert begun.load_ns is None
    run.tell({"resources": [API], "timings": []})
    run.tracks.settle(0)
    assert (run.page.id, run.page.load_ns) == (begun.id, ZERO_NS + round(60.1 * MS))
    assert len(run.of(Resource)) == 3
    assert len(run.of(Timing)) == 1


def test_navigation_within_a_page_is_a_page_without_a_document(run: Run) -> None:
    run.tracks.saw(EXCHANGES[0])
    run.tell({})
    run.tell({"number": 1, "kind": "navigation", "start": 1000, "load": 1200, "url": "http://a/list/17", "ended": False,
              "document": None, "firstByte": None, "resources": [], "timings": []})  # fmt: skip
    run.tracks.settle(0)
    _, navigation = run.of(Page)
    assert (navigation.kind, navigation.route, navigation.exchange_id) == ("navigation", "/list/{id}", None)
    assert navigation.load_ns - navigation.started_ns == 200 * MS
    assert navigation.client_id == 4


@pytest.mark.parametrize("stored_before", [True, False])
def test_what_a_click_asked_for_before_the_address_changed_belongs_to_the_navigation(
    run: Run, stored_before: bool
) -> None:
    sign_in = API | {"url": "http://a/sign-in", "start": 1000, "sent": 1000, "firstByte": 1010, "done": 1010}
    run.tell({"resources": [*SAID["resources"], API, sign_in]})
    for one in (*EXCHANGES, exchange(11, "/sign-in", 1000, 1010)):
        run.tracks.saw(one)
    if stored_before:
        run.tracks.settle(0)
    run.tell({"number": 1, "kind": "navigation", "start": 990, "document": None, "resources": [], "timings": []})
    run.tracks.settle(0)
    load, navigation = run.of(Page)
    assert {(row.page_id, row.url, row.exchange_id) for row in run.of(Resource)} == {
        (load.id, "http://a/x", 7), (load.id, "http://a/s.js", 8), (load.id, "http://a/api", 9),
        (navigation.id, "http://a/sign-in", 11),
    }  # fmt: skip
    (render,) = run.of(Timing)
    assert render.exchange_id == 9


def test_what_came_from_the_browsers_cache_is_no_exchange(run: Run) -> None:
    run.tracks.saw(EXCHANGES[0])
    run.tracks.saw(EXCHANGES[1])
    run.tell({"resources": [SAID["resources"][0] | {"bytes": 0}]})
    run.tracks.settle(0)
    assert [row.exchange_id for row in run.of(Resource)] == [7, None]


def test_one_exchange_is_one_resource(run: Run) -> None:
    twice = [API, API | {"start": 41, "sent": 41}]
    for one in EXCHANGES:
        run.tracks.saw(one)
    run.tell({"resources": twice})
    run.tracks.settle(0)
    assert [row.exchange_id for row in run.of(Resource)] == [7, 9, None]


def test_pages_of_addresses_that_nobody_recorded_are_not_stored(run: Run) -> None:
    run.tell({"url": "http://elsewhere/private", "document": None, "resources": []})
    run.tracks.settle(0)
    assert run.rows == {}


def test_page_that_is_closed_or_left_without_a_word_has_ended(run: Run) -> None:
    run.tell({"ended": False, "load": None, "end": None})
    run.tracks.told({"tab": 1, "closed": True}, 8_000 * MS)
    run.tell({"ended": False}, tab=2)
    run.tell({"ended": False, "origin": 1e12 + 9_000}, tab=2)
    run.tracks.settle(0)
    closed, left, stays = run.of(Page)
    assert (closed.load_ns, closed.ended_ns) == (None, 8_000 * MS)
    assert left.ended_ns == 5_000 * MS + 9_000 * MS
    assert stays.ended_ns is None


def test_page_says_what_it_was_opened_for_and_how_it_looked(run: Run) -> None:
    about = {"profile": "wpt-3g-fast", "round": 2, "cache": "cold", "cpu_factor": 4}
    run.tell({}, about=about, screenshot=base64.b64encode(b"picture").decode())
    run.tracks.settle(0)
    page = run.page
    assert (page.profile, page.round, page.cache, page.cpu_factor) == ("wpt-3g-fast", 2, "cold", 4.0)
    (body,) = run.of(Body)
    assert (page.screenshot, body.content, body.media_type) == (body.id, b"picture", "image/png")


def test_secrets_are_taken_out_of_addresses_elements_and_messages(run: Run) -> None:
    secret = "8f14e45fceea167a5a36dedd4bea2543"
    run.redactor.field("Authorization", f"Bearer {secret}")
    timing = {"kind": "error", "name": f"bad token {secret}", "start": 1, "duration": None,
              "detail": f"http://a/x?t={secret}"}  # fmt: skip
    other = {"kind": "error", "name": 'refused: {"password":"Blue-kettle-77"}', "start": 1, "duration": None}
    run.tell({"url": f"http://a/x?access_token=abc-{secret}&y=1", "lcp": {"at": 1, "element": "p", "text": secret},
              "timings": [timing, other], "resources": [API | {"url": f"http://a/api/{secret}"}]})  # fmt: skip
    run.tracks.settle(0)
    assert run.of(Page)
    assert secret not in repr(run.rows)
    assert "Blue-kettle-77" not in repr(run.rows)
    assert "y=1" in run.page.url


@pytest.mark.parametrize(
    "report",
    [{}, {"tab": "1"}, {"tab": 1}, {"tab": 1, "said": 3}, {"tab": 1, "said": {}}, {"tab": 1, "closed": True},
     {"tab": 1, "said": SAID | {"url": "http://[half"}}, {"tab": 1, "said": SAID, "screenshot": "no base64"},
     {"tab": 1, "said": SAID, "about": {"round": "x", "cpu_factor": "y", "profile": 7}}],
)  # fmt: skip
def test_report_that_makes_no_sense_stores_nothing_wrong(run: Run, report: dict[str, Any]) -> None:
    run.tracks.told(report, 0)
    run.tracks.settle(0)
    for page in run.of(Page):
        assert (page.round, page.cpu_factor, page.profile, page.screenshot) == (None, None, "", None)


def test_page_that_was_quiet_for_long_is_still_the_same(run: Run) -> None:
    run.tell({"inp": None})
    run.tracks.settle(0)
    run.tracks.saw(exchange(1, "/elsewhere", 1, 2))
    run.tracks.settle(120_000 * MS)
    run.tell({"inp": {"duration": 48, "element": "a"}})
    run.tracks.settle(120_000 * MS)
    assert run.page.inp_ns == 48 * MS


def test_pages_that_were_left_long_ago_are_forgotten(run: Run) -> None:
    run.tell({})
    run.tracks.told({"tab": 1, "closed": True}, 0)
    run.tracks.settle(120_000 * MS)
    run.tracks.saw(EXCHANGES[0])
    run.tracks.settle(120_000 * MS)
    assert run.page.exchange_id is None


def test_halves_of_characters_are_written_out(run: Run) -> None:
    run.tell({"url": "http://a/\ud83d", "lcp": {"at": 1, "element": "p", "text": "half \ud83d"}})
    run.tracks.settle(0)
    assert "half \\ud83d" in str(run.page.lcp_element)
    run.page.url.encode()


def test_page_that_nothing_can_be_made_of_keeps_out_no_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    store = run.tracks._store

    def fail_first(document: Any) -> None:
        if 0 in document.parts and document.parts[0].state.url.endswith("/bad"):
            raise RuntimeError("a fault")
        store(document)

    monkeypatch.setattr(run.tracks, "_store", fail_first)
    run.tell({"url": "http://a/bad"})
    run.tell({"url": "http://a/good"}, tab=2)
    with pytest.raises(RuntimeError):
        run.tracks.settle(0)
    run.tracks.settle(0)
    assert run.page.route == "/good"
