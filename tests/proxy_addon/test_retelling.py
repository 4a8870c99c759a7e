"""What an import makes of exchanges that another program recorded: order, connections, bodies, endings."""

from __future__ import annotations

from typing import Any

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.foreign import Content, Ending, ForeignExchange, Message
from nestperf.capture.model import Body, Client, Exchange, Frame, Outcome, Packet, Row, Socket, Upstream
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from proxy_addon.recorder import Recorder
from proxy_addon.retelling import Retelling
from tests.proxy_addon.test_recorder import of_type

MS = 1_000_000
BEGAN = 1_795_962_758 * 10**9
APP, API = "http://app.test:80", "http://api.test:80"


def told(at_ms: int, took_ms: int = 10, **changes: Any) -> ForeignExchange:
    """An exchange that was sent so long after the beginning."""
    sent = BEGAN + at_ms * MS
    fields: dict[str, Any] = {
        "client": "qa.har", "connection": None, "upstream": APP, "method": "GET", "target": "/", "version": "HTTP/1.1",
        "request_headers": (("Host", "app.test"), ("User-Agent", "Mozilla/5.0")), "status": 200, "reason": "OK",
        "sent_unix_ns": sent, "request_done_unix_ns": sent, "first_byte_unix_ns": sent + took_ms * MS // 2,
        "done_unix_ns": sent + took_ms * MS,
    }  # fmt: skip
    return ForeignExchange(**(fields | changes))


def retold(*exchanges: ForeignExchange, from_browser: bool = True) -> tuple[list[Row], Recorder]:
    rows: list[Row] = []
    contents = Contents(Redactor(Vault.in_memory()), rows.append)
    upstreams = (Upstream(APP), Upstream(API))
    recorder = Recorder(contents, rows.append, Clock(BEGAN, BEGAN), upstreams)
    retelling = Retelling(recorder, contents, {APP: 0, API: 1})
    for exchange in exchanges:
        retelling.tell(exchange, from_browser=from_browser)
    retelling.finish()
    return rows, recorder


def test_exchanges_side_by_side_have_connections_of_their_own_and_later_ones_the_last_free() -> None:
    rows, _ = retold(told(0, 100), told(10, 20), told(20, 5), told(40, 5), told(200, 5), told(300, 5, upstream=API))
    exchanges = of_type(rows, Exchange)
    assert [exchange.connection for exchange in exchanges] == [1, 2, 3, 2, 1, 4]
    assert [exchange.sent_ns // MS for exchange in exchanges] == [0, 10, 20, 40, 200, 300]
    assert [(exchange.done_ns or 0) // MS for exchange in exchanges] == [100, 30, 25, 45, 205, 305]


def test_connection_that_the_file_names_is_kept_unless_it_was_busy() -> None:
    names = ("a", "b", "a", "a")
    rows, _ = retold(*(told(at, 10, connection=name) for at, name in zip((0, 0, 20, 25), names, strict=True)))
    assert [exchange.connection for exchange in of_type(rows, Exchange)] == [1, 2, 1, 3]


def test_bodies_are_decoded_already_and_keep_what_was_told_of_them() -> None:
    coded = (("Content-Type", "application/json"), ("Content-Encoding", "br"))
    rows, _ = retold(
        told(0, response_headers=coded, response_body=Content(b'{"token":"canary-4711-secret"}', 30, 25)),
        told(20, response_headers=coded, response_body=Content(None, 900, 300)),
    )
    whole, absent = of_type(rows, Body)
    assert (whole.state, whole.coding, whole.size, whole.wire_size) == ("whole", "br", 30, 25)
    assert b"canary" not in (whole.content or b"canary")
    assert (absent.state, absent.content, absent.size, absent.wire_size) == ("omitted", None, 900, 300)
    assert absent.content_id == ""


def test_exchange_without_an_answer_ends_as_the_file_says() -> None:
    refused = Ending(Outcome.CONNECT_ERROR, "the browser had no answer: net::ERR_CONNECTION_REFUSED")
    cut = Ending(Outcome.RESET, "mitmproxy said: gone")
    rows, recorder = retold(
        told(0, status=None, ending=refused),
        told(20, status=200, ending=cut, response_body=Content(b"half", 4, 4)),
        told(40, status=503),
        told(60, status=429),
    )
    exchanges = of_type(rows, Exchange)
    outcomes = [Outcome.CONNECT_ERROR, Outcome.RESET, Outcome.HTTP_ERROR, Outcome.LIMITED]
    assert [exchange.outcome for exchange in exchanges] == outcomes
    assert [exchange.done_ns is None for exchange in exchanges] == [True, True, False, False]
    assert exchanges[0].detail == refused.detail
    assert recorder.tally.failed == 3


def test_socket_is_fed_in_order_of_time_beside_the_polls_that_go_on() -> None:
    poll = "/socket.io/?EIO=4&transport=polling"
    json = (("Content-Type", "text/plain"),)
    opened = told(0, 4, target=poll, response_headers=json, response_body=Content(b'0{"sid":"s1"}', 13, 13))
    upgraded = told(
        10, 2, status=101, target="/socket.io/?EIO=4&transport=websocket&sid=s1", switched="websocket",
        messages=(
            Message("client", BEGAN + 13 * MS, "text", b"2probe"),
            Message("client", BEGAN + 40 * MS, "text", b'42["late",{"token":"canary-4711-secret"}]'),
        ),
        closed_unix_ns=BEGAN + 50 * MS, closing=("client", 1000, "bye"),
    )  # fmt: skip
    event = Content(b'42["early"]', 11, 11)
    polled = told(20, 10, target=f"{poll}&sid=s1", response_headers=json, response_body=event)
    rows, recorder = retold(opened, upgraded, polled)
    (socket,) = of_type(rows, Socket)
    assert (socket.sid, socket.transports, socket.outcome) == ("s1", "polling,websocket", Outcome.OK)
    assert (socket.closed_by, socket.close_code, socket.close_reason) == ("client", 1000, "bye")
    assert socket.closed_ns == 50 * MS
    assert [packet.event for packet in of_type(rows, Packet) if packet.event] == ["early", "late"]
    assert "canary" not in repr(rows)
    assert [frame.wire_size for frame in of_type(rows, Frame)] == [6 + 6, 6 + 41]
    assert recorder.tally.sockets_open == 0


def test_one_user_is_one_client_also_where_a_request_names_no_agent() -> None:
    rows, _ = retold(told(0), told(20, request_headers=(("Host", "app.test"),)))
    (client,) = of_type(rows, Client)
    assert (client.address, client.user_agent) == ("qa.har", "Mozilla/5.0")


def test_call_within_another_one_is_an_applications_only_where_no_browser_wrote_the_file() -> None:
    bare = told(10, 10, upstream=API, request_headers=(("Host", "api.test"),), client="127.0.0.1")
    for from_browser in (True, False):
        rows, _ = retold(told(0, 100), bare, from_browser=from_browser)
        assert [exchange.server_call for exchange in of_type(rows, Exchange)] == [False, not from_browser]
