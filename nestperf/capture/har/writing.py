"""Writes a capture as a HAR, entry by entry: for DevTools and everything else that reads HAR.

Secrets stay placeholders unless a vault is given. The file grows beside its name and takes it when it is whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from nestperf import __version__
from nestperf.capture.har import building
from nestperf.capture.har.building import Object
from nestperf.capture.har.polling import POSTED, encode_polls
from nestperf.capture.kinds import is_poll
from nestperf.capture.model import Body, Client, Exchange, Kind, Packet, Socket
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.errors import CaptureEmpty, UsageError

_SID = re.compile(r"[?&]sid=([^&]*)")
_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


def write_har(capture: Capture, target: Path, vault: Vault | None, *, contents: bool = True) -> int:
    """Write the exchanges and sockets of a capture to `target`; how many entries that were.

    `vault`: put the originals where placeholders are. `contents` False: leave out bodies and messages.

    Raises:
        CaptureEmpty: there is no exchange. CaptureTruncated: the capture is damaged.
        UsageError: the file cannot be written; what was there before is still there.
    """
    if not capture.count(Exchange):
        raise CaptureEmpty(f"{capture.path} holds no exchanges: there is nothing for a HAR.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if vault is not None else 0o666)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            count = _write(_Entries(capture, vault, contents=contents), file)
        part.replace(target)
    except OSError as error:
        raise UsageError(f"Cannot write {target}: {error.strerror}. Nothing was changed; name another file.") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _write(entries: _Entries, file: IO[str]) -> int:
    head = {
        "version": "1.2",
        "creator": {"name": "nestperf", "version": __version__, "comment": f"stamps of the {entries.vantage}"},
        "pages": entries.pages(),
    }
    file.write('{"log": ' + json.dumps(head)[:-1] + ', "entries": [')
    count = 0
    for count, entry in enumerate(entries.all(), 1):
        file.write((",\n" if count > 1 else "\n") + json.dumps(entry))
    file.write("\n]}}\n")
    return count


class _Entries:
    """The entries of one capture."""

    def __init__(self, capture: Capture, vault: Vault | None, *, contents: bool) -> None:
        self.vantage = capture.run.vantage
        self._capture = capture
        self._vault = vault
        self._contents = contents
        sockets = [socket for socket in capture.sockets() if _is_websocket(socket)]
        self._opened = {socket.exchange_id: socket for socket in sockets if socket.transports == "websocket"}
        self._upgraded = {(socket.upstream, socket.sid): socket for socket in sockets if socket.sid}
        """Those that began with polling: the exchange that upgraded one names its session."""
        self._labels: dict[int | None, str] = {session.id: session.label for session in capture.sessions()}
        self._clients: dict[int | None, Client] = {client.id: client for client in capture.clients()}
        polled = contents and any(socket.transports.startswith("polling") for socket in capture.sockets())
        self._polls = encode_polls(_polled(capture), self._attachment) if polled else {}

    def pages(self) -> list[Object]:
        """A page for each session, so that viewers show them apart."""
        began = self._capture.run.started_unix_ns
        return [
            {
                "startedDateTime": building.moment(began + (session.started_ns or 0)),
                "id": f"session_{session.id}",
                "title": session.label,
                "pageTimings": {"onContentLoad": building.NOTHING, "onLoad": building.NOTHING},
            }
            for session in self._capture.sessions()
        ]

    def all(self) -> Iterator[Object]:
        """An entry for each exchange, in their order."""
        for exchange in self._capture.exchanges():
            yield self._entry(exchange)

    def _entry(self, e: Exchange) -> Object:
        capture = self._capture
        request_headers, response_headers = (
            tuple((name, self._reveal(value)) for name, value in capture.headers(header_set))
            for header_set in (e.request_headers, e.response_headers)
        )
        socket = self._socket(e)
        started_ns, timings = building.timings_of(e, at_client=self.vantage == "client")
        asked, answered = capture.body(e.request_body), capture.body(e.response_body)
        session = e.session_id if e.session_id is not None else e.client_id
        entry: Object = {
            "startedDateTime": building.moment(capture.run.started_unix_ns + started_ns),
            "time": building.total_of(timings),
            "request": building.request_of(
                e, self._url(e, socket), request_headers, asked, self._content(e, asked, "client")
            ),
            "response": building.response_of(e, response_headers, answered, self._content(e, answered, "server")),
            "cache": {},
            "timings": timings,
            "_resourceType": building.resource_type(e, response_headers, request_headers),
            "_outcome": str(e.outcome),
        }
        if session is not None and not e.server_call:
            entry["pageref"] = f"session_{session}"
        if e.connection is not None:
            entry["connection"] = str(e.connection)
        client = self._clients.get(e.client_id)
        if client is not None:
            entry["_clientAddress"] = client.address
        elif session in self._labels:
            entry["_user"] = self._labels[session]
        if socket is not None:
            entry |= self._told_of(socket)
        return entry

    def _socket(self, e: Exchange) -> Socket | None:
        """The connection that an exchange became."""
        if e.status != 101:
            return None
        sid = _SID.search(e.target)
        return self._opened.get(e.id) or (self._upgraded.get((e.upstream, sid[1])) if sid is not None else None)

    def _told_of(self, socket: Socket) -> Object:
        told: Object = {"_webSocketMessages": []}
        if self._contents:
            frames = self._capture.frames(socket.id)
            began = self._capture.run.started_unix_ns
            told["_webSocketMessages"] = building.messages_of(frames, began, self._reveal_bytes)
        if socket.closed_ns is not None:
            told["_closing"] = {
                "time": (self._capture.run.started_unix_ns + socket.closed_ns) / 1e9,
                "by": socket.closed_by,
                "code": socket.close_code,
                "reason": self._reveal(socket.close_reason or ""),
            }
        return told

    def _url(self, e: Exchange, socket: Socket | None) -> str:
        target = self._reveal(e.target)
        if "://" in target[:10]:
            return target
        upstreams = self._capture.run.upstreams
        base = upstreams[e.upstream].url if e.upstream < len(upstreams) else f"http://{e.authority}"
        scheme, _, rest = base.partition("://")
        if socket is not None or e.kind is Kind.UPGRADE:
            scheme = _SOCKET_SCHEMES.get(scheme, scheme)
        return f"{scheme}://{rest}{target if target.startswith('/') else '/' + target}"

    def _content(self, e: Exchange, body: Body | None, sender: str) -> bytes | None:
        if not self._contents:
            return None
        content = body.content if body is not None else None
        if content is None and is_poll(e.target):
            content = self._polls.get((e.id, sender))
            if content is None and body is not None and sender == "server" and e.method == "POST":
                content = POSTED
        return self._reveal_bytes(content) if content is not None else None

    def _attachment(self, number: int) -> bytes:
        body = self._capture.body(number)
        return (body.content or b"") if body is not None else b""

    def _reveal(self, text: str) -> str:
        return self._vault.reveal(text) if self._vault is not None else text

    def _reveal_bytes(self, content: bytes) -> bytes:
        return self._vault.reveal_bytes(content) if self._vault is not None else content


def _is_websocket(socket: Socket) -> bool:
    return "websocket" in socket.transports and socket.protocol in ("socket.io", "websocket")


def _polled(capture: Capture) -> Iterator[Packet]:
    return (packet for packet in capture.packets() if packet.exchange_id is not None)
