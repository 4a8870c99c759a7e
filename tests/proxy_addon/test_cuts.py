"""WebSockets that the recorder cuts on purpose: when, and whose doing it is."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Run
from nestperf.capture.remarks import CUT_EVERY, remarks_of
from proxy_addon.cuts import Cuts, opens_websocket

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "


@pytest.mark.parametrize(
    ("now", "left"), [(0, 60), (1, 59), (59.5, 0.5), (60, 60), (61, 59), (180, 60)]
)  # fmt: skip
def test_all_are_cut_at_the_same_moments_and_none_at_once(now: float, left: float) -> None:
    cuts = Cuts(every_ns=60 * 10**9, begun_ns=5 * 10**9)
    assert cuts.until_next_s(round((5 + now) * 10**9)) == left


@pytest.mark.parametrize(
    ("data", "opens"),
    [
        (SWITCH + b"websocket\r\n\r\n", True),
        (SWITCH.lower().replace(b"http", b"HTTP") + b"WebSocket\r\n\r\n\x81\x00", True),
        (SWITCH + b"h2c\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\n", False),
        (b"", False),
    ],
)
def test_websockets_are_known_by_the_answer_that_makes_them(data: bytes, opens: bool) -> None:
    assert opens_websocket(data) is opens


def test_every_reader_of_the_capture_is_told_whose_doing_it_was() -> None:
    run = Run(uid="x", purpose="record", vantage="proxy", state="finished", version="0", started_unix_ns=1)
    assert remarks_of(run, "qa.db") == ()
    cut = run._replace(settings={CUT_EVERY: 60 * 10**9}, relay={"sockets_cut": 3})
    (sentence,) = remarks_of(cut, "qa.db")
    assert sentence == "CUT ON PURPOSE: 3 WebSockets were cut by nestperf, every 60 s (--cut-sockets-every)."
