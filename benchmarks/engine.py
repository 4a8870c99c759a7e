"""A Socket.IO server that does nothing but let clients in: for counting what ten thousand of them cost their own side.

`python -m benchmarks.engine PORT`: WebSocket transport, or long-polling with or without the upgrade; every namespace is
accepted, pings every 25 s.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import sys
from typing import cast

import uvloop

from nestperf.wire.http1 import Http1Connection
from nestperf.wire.observations import MessageSeen, RequestBody, RequestEnd, RequestHead
from nestperf.wire.websocket import WebSocketDecoder, encode_frame

PING_S = 25
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_SID = re.compile(r"[?&]sid=([^&]+)")


class Session:
    """One client, whatever transports it uses."""

    count = 0
    known: dict[str, Session] = {}  # noqa: RUF012 - one process, one server

    def __init__(self) -> None:
        Session.count += 1
        self.sid = f"engine-{Session.count}"
        Session.known[self.sid] = self
        self.socket: Engine | None = None
        self.poll: Engine | None = None
        self.probed = False
        """A WebSocket is about to take over: no poll is left hanging."""
        self.waiting: list[str] = []
        self.pinging = asyncio.get_running_loop().call_later(PING_S, self._ping)

    def greeting(self, *, upgrades: bool) -> str:
        told = {
            "sid": self.sid, "upgrades": ["websocket"] * upgrades, "pingInterval": PING_S * 1000,
            "pingTimeout": 60_000, "maxPayload": 1_000_000,
        }  # fmt: skip
        return "0" + json.dumps(told)

    def say(self, text: str) -> None:
        if self.socket is not None:
            self.socket.frame(text)
        else:
            self.waiting.append(text)
            self.flush()

    def flush(self) -> None:
        if self.poll is not None and self.probed and not self.waiting:
            self.waiting = ["6"]
        if self.poll is not None and self.waiting:
            (poll, self.poll), (told, self.waiting) = (self.poll, None), (self.waiting, [])
            poll.answer("\x1e".join(told).encode())

    def take(self, text: str) -> None:
        if text.startswith("40"):
            namespace = text[2:].split(",")[0] if text.startswith("40/") else ""
            self.say(f"40{namespace}{',' if namespace else ''}" + json.dumps({"sid": f"socket-{self.sid}"}))
        elif text == "1":
            self.end()

    def end(self) -> None:
        self.pinging.cancel()
        Session.known.pop(self.sid, None)
        if self.poll is not None:
            self.poll.answer(b"6")
            self.poll = None

    def _ping(self) -> None:
        self.say("2")
        self.pinging = asyncio.get_running_loop().call_later(PING_S, self._ping)


class Engine(asyncio.Protocol):
    """One connection: requests of any session, until one of them makes it a WebSocket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._http: Http1Connection | None = Http1Connection()
        self._decoder: WebSocketDecoder | None = None
        self._session: Session | None = None
        self._head: RequestHead | None = None
        self._body = b""

    def data_received(self, data: bytes) -> None:
        if self._decoder is not None:
            for seen in self._decoder.receive(data, 0):
                if isinstance(seen, MessageSeen):
                    self._message(seen.payload.decode())
            return
        assert self._http is not None
        for one in self._http.receive("client", data, 0):
            if isinstance(one, RequestHead):
                self._head, self._body = one, b""
                if any(name.lower() == "upgrade" for name, _ in one.headers):
                    self._switch(one)
                    return
            elif isinstance(one, RequestBody):
                self._body += one.data
            elif isinstance(one, RequestEnd):
                self._requested()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._session is not None and self._session.socket is self:
            self._session.end()

    def frame(self, text: str) -> None:
        self._transport.write(encode_frame("text", text.encode(), mask=None))

    def answer(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        # Answers are written by hand, so the reader starts anew: nobody pipelines here.
        self._http = Http1Connection()

    def _requested(self) -> None:
        assert self._head is not None
        session = self._known(self._head.target)
        if session is None:
            self.answer(Session().greeting(upgrades=True).encode())
        elif self._head.method == "POST":
            texts = self._body.decode().split("\x1e")
            self.answer(b"ok")
            for text in texts:
                session.take(text)
        else:
            session.poll = self
            session.flush()

    def _switch(self, head: RequestHead) -> None:
        key = next(value for name, value in head.headers if name.lower() == "sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT).digest()).decode()
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept.encode()
        )
        self._http = None
        self._decoder = WebSocketDecoder("client")
        self._session = self._known(head.target)
        if self._session is None:
            self._session = Session()
            self._session.socket = self
            self.frame(self._session.greeting(upgrades=False))

    def _message(self, text: str) -> None:
        session = self._session
        assert session is not None
        if text == "2probe":
            self.frame("3probe")
            session.probed = True
            session.flush()
        elif text == "5":
            session.socket = self
            waiting, session.waiting = session.waiting, []
            for one in waiting:
                self.frame(one)
        else:
            session.take(text)

    @staticmethod
    def _known(target: str) -> Session | None:
        match = _SID.search(target)
        return Session.known.get(match[1]) if match else None


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Engine, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
