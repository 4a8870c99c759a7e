"""Captures to replay in benchmarks, written row by row as a recorder would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nestperf.capture import model
from nestperf.capture.contents import Contents
from nestperf.capture.files import remove_capture
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter

MS = 1_000_000
HEADERS = (
    ("Host", "localhost:4000"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36"),
    ("Accept", "application/json"),
    ("Accept-Language", "en-US,en;q=0.9"),
    ("Referer", "http://localhost:3000/dashboard"),
)
UPGRADE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
)

_TRANSPORTS = {"websocket": "websocket", "polling": "polling", "upgrade": "polling,websocket"}


class Written:
    """A capture of one user."""

    def __init__(self, path: Path, url: str) -> None:
        remove_capture(path)
        vault = Vault.create(path)
        run = model.Run(
            uid="benchmark", purpose="record", vantage="proxy", state="finished", version="0", started_unix_ns=1,
            upstreams=(model.Upstream(url),),
        )  # fmt: skip
        self._writer = CaptureWriter.create(path, run, vault=vault)
        self._contents = Contents(Redactor(vault), self._writer.add)
        self._writer.add(model.Client(1, "127.0.0.1", HEADERS[1][1]))
        self._last = 0

    def exchange(
        self,
        target: str,
        sent_ms: float,
        headers: model.Pairs,
        answer: model.Pairs = (),
        body: bytes = b"",
        **changes: object,
    ) -> int:
        """One exchange; its id."""
        stored = self._contents.body(body, media_type="application/json", coding="", chunked=False, request=False)
        self._last += 1
        row = model.Exchange(
            id=self._last, session_id=None, client_id=1, connection=1, upstream=0, kind=model.Kind.CALL,
            server_call=False, method="GET", authority="localhost:4000", target=target, route=target,
            http_version="HTTP/1.1", request_headers=self._contents.headers(headers), request_trailers=None,
            request_body=None, request_bytes=300, status=200, reason="OK",
            response_headers=self._contents.headers((("Content-Type", "application/json"), *answer)),
            response_trailers=None,
            response_body=stored,
            response_bytes=200, interim=None, intended_ns=None, sent_ns=round(sent_ms * MS),
            request_done_ns=round(sent_ms * MS), first_byte_ns=round((sent_ms + 1) * MS),
            done_ns=round((sent_ms + 1) * MS), connect_ns=None, relay_ns=None, outcome=model.Outcome.OK, detail=None,
            source_exchange=None,
        )  # fmt: skip
        self._writer.add(row._replace(**changes))  # type: ignore[arg-type]
        return self._last

    def socket(self, namespaces: tuple[str, ...], open_ms: float, how: str = "websocket") -> None:
        """A Socket.IO connection that joins namespaces and stays open; `how`: `websocket`, `polling`, `upgrade`."""
        target = f"/socket.io/?EIO=4&transport={'websocket' if how == 'websocket' else 'polling&t=abc'}"
        upgrade: dict[str, Any] = {"kind": model.Kind.UPGRADE, "status": 101}
        if how == "websocket":
            opener = self.exchange(target, 0, (*HEADERS, *UPGRADE), **upgrade)
        else:
            opener = self.exchange(target, 0, HEADERS, kind=model.Kind.POLL)
            self.exchange(f"{target}&sid=recorded", 1, HEADERS, kind=model.Kind.POLL)
            text = ("Content-Type", "text/plain;charset=UTF-8")
            fields = (*HEADERS, text, ("Content-Length", "2"))
            self.exchange(f"{target}&sid=recorded", 1, fields, kind=model.Kind.POLL, method="POST")
        if how == "upgrade":
            again = "/socket.io/?EIO=4&transport=websocket&sid=recorded"
            self.exchange(again, 1, (*HEADERS, *UPGRADE), **upgrade)
        self._writer.add(model.Socket(
            id=1, session_id=None, client_id=1, exchange_id=opener, connection=1, upstream=0, protocol="socket.io",
            version=4, authority="localhost:4000", target=target, sid="recorded", transports=_TRANSPORTS[how],
            intended_ns=None, opened_ns=0, connected_ns=1 * MS, closed_ns=round(open_ms * MS), closed_by="client",
            close_code=1001, close_reason=None, outcome=model.Outcome.OK, detail=None, source_socket=None,
        ))  # fmt: skip
        for number, namespace in enumerate(namespaces):
            for sender, at_ms in (("client", 2 + number), ("server", 2.5 + number)):
                self._last += 1
                self._writer.add(model.Packet(
                    id=self._last, socket_id=1, frame_id=None, exchange_id=None, sender=sender,
                    stamp_ns=round(at_ms * MS), done_ns=round(at_ms * MS), engine_type="message", type="connect",
                    namespace=namespace, event=None, ack_id=None, payload='{"sid":"x"}' if sender == "server" else None,
                    attachments=None, size=20, answers=None, intended_ns=None, source_packet=None,
                ))  # fmt: skip

    def close(self) -> None:
        self._writer.close()


def fixed(path: Path, url: str, requests: int, *, every_ms: float = 10) -> Path:
    """Requests that are the same for every user."""
    capture = Written(path, url)
    for number in range(requests):
        capture.exchange("/api/v1/dashboard/status", number * every_ms, HEADERS)
    capture.close()
    return path


def live(path: Path, url: str, requests: int, *, renewed: bool = False) -> Path:
    """Requests with two cookies, one of them live, and a live token, both handed out by the first answer; `renewed`:
    by every answer anew."""
    capture = Written(path, url)
    token = ""
    cookie = ("Set-Cookie", "session=recorded-session-0123456789; Path=/; HttpOnly")
    for number in range(requests):
        headers: model.Pairs = HEADERS
        if number:
            headers = (*HEADERS, ("Cookie", "session=recorded-session-0123456789; theme=dark"), ("X-CSRF-Token", token))
        if renewed or not number:
            token = f"recorded-csrf-token-{number:06d}-0a1b2c3d"
            body = b'{"status":"ok","csrfToken":"%b"}' % token.encode()
            capture.exchange("/live", number * 10, headers, (cookie,), body)
        else:
            capture.exchange("/api/v1/dashboard/status", number * 10, headers)
    capture.close()
    return path


def sockets(path: Path, url: str, namespaces: tuple[str, ...], open_s: float, how: str = "websocket") -> Path:
    """One Socket.IO connection."""
    capture = Written(path, url)
    capture.socket(namespaces, open_s * 1000, how)
    capture.close()
    return path
