"""A Socket.IO server that does nothing but let clients in: for counting what ten thousand of them cost their own side.

`python -m benchmarks.engine PORT`: WebSocket transport only, every namespace is accepted, pings every 25 s.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from typing import cast

import uvloop

from nestperf.wire.observations import MessageSeen
from nestperf.wire.websocket import WebSocketDecoder, encode_frame

PING_S = 25
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class Engine(asyncio.Protocol):
    """One client."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._decoder: WebSocketDecoder | None = None
        self._head = b""

    def data_received(self, data: bytes) -> None:
        if self._decoder is not None:
            for seen in self._decoder.receive(data, 0):
                if isinstance(seen, MessageSeen):
                    self._message(seen.payload.decode())
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        fields = dict(line.split(": ", 1) for line in self._head.decode().split("\r\n")[1:-2])
        key = next(value for name, value in fields.items() if name.lower() == "sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT).digest()).decode()
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept.encode()
        )
        self._decoder = WebSocketDecoder("client")
        Engine.count += 1
        told = {"sid": f"engine-{Engine.count}", "upgrades": [], "pingInterval": PING_S * 1000, "pingTimeout": 60_000}
        self._say("0" + json.dumps(told))
        self._pinging = asyncio.get_running_loop().call_later(PING_S, self._ping)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._decoder is not None:
            self._pinging.cancel()

    def _message(self, text: str) -> None:
        if text.startswith("40"):
            namespace = text[2:].split(",")[0] if text.startswith("40/") else ""
            self._say(f"40{namespace}{',' if namespace else ''}" + json.dumps({"sid": f"socket-{Engine.count}"}))

    def _say(self, text: str) -> None:
        self._transport.write(encode_frame("text", text.encode(), mask=None))

    def _ping(self) -> None:
        self._say("2")
        self._pinging = asyncio.get_running_loop().call_later(PING_S, self._ping)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Engine, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
