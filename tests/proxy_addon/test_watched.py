"""The recorder's part in watching pages: reports become rows, faults become sentences, and the recording goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Exchange, Page, Resource, Row, Upstream
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from proxy_addon.watched import INCOMPLETE
from tests.pages.test_snapshots import SAID

MS = 1_000_000
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nSec-Fetch-Dest: document\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"


class Recorded:
    """A recorder that watches, and its rows."""

    def __init__(self, vault: Vault) -> None:
        self.rows: dict[tuple[type[Any], object], Row] = {}
        contents = Contents(Redactor(vault), self.add)
        # The pages' zero (SAID's origin) is the run's own beginning.
        self.recorder = Recorder(contents, self.add, Clock(0, 10**18), (Upstream("http://a:80"),), watched=True)

    def add(self, row: Row) -> None:
        self.rows[type(row), row.id] = row

    def of(self, kind: type[Any]) -> list[Any]:
        return [row for (row_type, _), row in self.rows.items() if row_type is kind]

    def exchange(self) -> None:
        """A document, asked for at 2 ms and answered at 12 ms."""
        who = json.dumps({"client": "127.0.0.1", "upstream": 0}).encode()
        for what, ms, payload in (
            (What.OPENED, 1, who), (What.CONNECTED, 1, b""), (What.CLIENT_BYTES, 2, REQUEST),
            (What.SERVER_BYTES, 12, ANSWER),
        ):  # fmt: skip
            self.recorder.feed(Record(what, 1, ms * MS, 0, payload))

    def report(self, payload: dict[str, Any]) -> None:
        self.recorder.feed(Record(What.PAGE, 0, 20 * MS, 0, json.dumps(payload).encode()))


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(Vault.create(tmp_path / "qa.db"))


@pytest.mark.parametrize("page_first", [True, False])
def test_page_and_its_document_meet_in_the_recorder(recorded: Recorded, page_first: bool) -> None:
    report = {"tab": 1, "said": SAID | {"resources": []}}
    if page_first:
        recorded.report(report)
        recorded.recorder.look(30 * MS)
    recorded.exchange()
    if not page_first:
        recorded.report(report)
    recorded.recorder.look(60 * MS)
    (exchange,) = recorded.of(Exchange)
    (page,) = recorded.of(Page)
    assert (page.exchange_id, page.client_id) == (exchange.id, exchange.client_id)
    assert [row.exchange_id for row in recorded.of(Resource)] == [exchange.id]
    assert recorded.recorder.tally.pages == 1


def test_last_reports_are_stored_when_the_recording_ends(recorded: Recorded) -> None:
    recorded.exchange()
    recorded.report({"tab": 1, "said": SAID})
    recorded.recorder.finish()
    assert len(recorded.of(Page)) == 1


def test_trouble_of_the_watcher_is_said_and_nothing_is_lost(recorded: Recorded) -> None:
    recorded.report({"trouble": "Pages are not watched (no browser)."})
    assert recorded.recorder.tally.notices == {"Pages are not watched (no browser).": 1}
    assert not recorded.recorder.tally.losses


def test_fault_of_ours_costs_page_timings_only(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    assert recorded.recorder._pages is not None
    monkeypatch.setattr(recorded.recorder._pages._tracks, "told", fail)
    recorded.exchange()
    recorded.report({"tab": 1, "said": SAID})
    recorded.recorder.look(60 * MS)
    assert recorded.recorder.tally.notices == {INCOMPLETE: 1}
    assert len(recorded.of(Exchange)) == 1


def test_recorder_that_watches_nobody_passes_reports_over(tmp_path: Path) -> None:
    rows: list[Row] = []
    contents = Contents(Redactor(Vault.create(tmp_path / "qa.db")), rows.append)
    recorder = Recorder(contents, rows.append, Clock(0, 10**18))
    recorder.feed(Record(What.PAGE, 0, 1, 0, json.dumps({"tab": 1, "said": SAID}).encode()))
    recorder.look(10**9)
    assert rows == []
