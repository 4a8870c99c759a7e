"""Tells a recorder what another program recorded, event by event in order of time, as if it happened now.

Pure. So an import becomes what a recording is: secrets replaced, kinds, routes, sockets with their packets, sessions.
Only exchanges that overlap in time are held at once.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from itertools import count
from typing import TypeAlias

from nestperf.capture.bodies import DecodedBody
from nestperf.capture.contents import Contents
from nestperf.capture.foreign import Content, ForeignExchange, Message
from nestperf.capture.kinds import field
from nestperf.capture.model import Pairs
from nestperf.wire.observations import (
    FrameSeen,
    MessageSeen,
    RequestEnd,
    RequestHead,
    ResponseEnd,
    ResponseHead,
    Sender,
    Switched,
)
from proxy_addon.exchanges import OpenConnection
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What

_DATA = frozenset({"text", "binary"})
_MASK = 4

Story: TypeAlias = Iterator[int]
"""Tells one exchange up to the moment that it gives next."""


class Retelling:
    """Feeds one recorder. Moments are nanoseconds since 1970, like the anchor of the recorder's clock."""

    def __init__(self, recorder: Recorder, contents: Contents, upstreams: dict[str, int]) -> None:
        """`upstreams`: index of each address."""
        self._recorder = recorder
        self._contents = contents
        self._upstreams = upstreams
        self._going: list[tuple[int, int, Story]] = []
        """Stories under way: the moment of their next event, their number."""
        self._numbers = count(1)
        self._lines = _Lines()
        self._agents: dict[str, str] = {}
        """The last User-Agent of each client."""

    def tell(self, exchange: ForeignExchange, *, from_browser: bool) -> None:
        """The next exchange; they come in the order in which they were sent.

        `from_browser`: it is no call that an application made, whatever it looks like.
        """
        self._go_on(exchange.sent_unix_ns)
        self._wait(self._story(exchange, from_browser=from_browser))

    def finish(self) -> None:
        """No exchange follows."""
        self._go_on(None)
        self._recorder.finish()

    def _go_on(self, until_unix_ns: int | None) -> None:
        while self._going and (until_unix_ns is None or self._going[0][0] < until_unix_ns):
            self._wait(heapq.heappop(self._going)[2])

    def _wait(self, story: Story) -> None:
        moment = next(story, None)
        if moment is not None:
            heapq.heappush(self._going, (moment, next(self._numbers), story))

    def _story(self, told: ForeignExchange, *, from_browser: bool) -> Story:
        see, contents = self._recorder.see, self._contents
        sent, done = told.sent_unix_ns, told.done_unix_ns
        agent = field(told.request_headers, "user-agent") or self._agents.get(told.client, "")
        self._agents[told.client] = agent
        number, which = self._connect(told)
        size = told.request_head_size or _head_size(told.request_headers, told.method + told.target)
        head = RequestHead(which, sent, told.method, told.target, told.version, told.request_headers, size)
        connection = see(number, head)
        assert connection is not None, "opened just now"
        exchange = connection.exchanges[which]
        exchange.connect_ns = told.connect_ns
        if from_browser:
            exchange.cause = None
        coding = exchange.sent.get("content-encoding", "")
        exchange.request_body = _collected(contents, told.request_body, coding, request=True)
        size += told.request_body.wire_size if told.request_body is not None else 0
        see(number, RequestEnd(which, told.request_done_unix_ns, told.request_trailers, size, False, True))
        if told.status is None:
            yield done
            assert told.ending is not None, "an exchange without an answer has a reason"
            self._recorder.give_up(exchange, told.ending.outcome, told.ending.detail)
            return
        yield told.first_byte_unix_ns
        size = told.response_head_size or _head_size(told.response_headers, told.reason)
        answer = ResponseHead(
            which, told.first_byte_unix_ns, told.status, told.reason, told.version, told.response_headers, size
        )
        see(number, answer)
        coding = exchange.answered.get("content-encoding", "")
        exchange.response_body = _collected(contents, told.response_body, coding, request=False)
        size += told.response_body.wire_size if told.response_body is not None else 0
        if told.first_byte_unix_ns < done:
            yield done
        if told.ending is not None:
            self._recorder.give_up(exchange, told.ending.outcome, told.ending.detail)
            return
        see(number, ResponseEnd(which, done, told.response_trailers, size, False, True))
        if told.switched:
            see(number, Switched(which, done, told.switched, ()))
            yield from self._socket(connection, told)

    def _socket(self, connection: OpenConnection, told: ForeignExchange) -> Story:
        track = connection.socket
        if track is None:
            return  # a protocol that nobody could follow
        for message in told.messages:
            yield message.unix_ns
            sender: Sender = "client" if message.sender == "client" else "server"
            track.see(sender, _seen(message), message.unix_ns)
        if told.closed_unix_ns is not None:
            yield told.closed_unix_ns
            track.closed_somehow(told.closed_unix_ns, *(told.closing or (None, None, "")))
        connection.socket = None  # nothing follows: the recorder's end is not the connection's

    def _connect(self, told: ForeignExchange) -> tuple[int, int]:
        """The connection that an exchange uses, and its number within it."""
        until = None if told.switched else told.done_unix_ns
        number, which = self._lines.take(told, until)
        if which == 1:
            who = {"client": told.client, "upstream": self._upstreams[told.upstream]}
            self._recorder.feed(Record(What.OPENED, number, told.sent_unix_ns, 0, json.dumps(who).encode()))
        connection = self._recorder.connection(number)
        assert connection is not None
        connection.user_agent = self._agents[told.client]
        return number, which


class _Lines:
    """Which connection carried what: as the file tells, else the one that was free last, as browsers choose it."""

    def __init__(self) -> None:
        self._last = 0
        self._used: dict[int, int] = {}
        """Exchanges so far, by connection."""
        self._busy: dict[int, int | None] = {}
        """Until when; None: for good."""
        self._named: dict[tuple[str, str, str], int] = {}
        self._free: dict[tuple[str, str], list[int]] = {}
        """Connections of one client to one upstream that the file does not tell apart."""

    def take(self, told: ForeignExchange, until: int | None) -> tuple[int, int]:
        """A connection for an exchange that needs it until then, and the exchange's number on it."""
        place = told.client, told.upstream
        number = None
        if told.connection is not None:
            number = self._named.get((*place, told.connection))
            if number is None:
                number = self._named[(*place, told.connection)] = self._new()
        if number is None or not self._is_free(number, told.sent_unix_ns):
            free = [one for one in self._free.get(place, ()) if self._is_free(one, told.sent_unix_ns)]
            number = max(free, key=lambda one: self._busy[one] or 0) if free else self._new()
            if not free:
                self._free.setdefault(place, []).append(number)
        self._busy[number] = until
        self._used[number] += 1
        return number, self._used[number]

    def _new(self) -> int:
        self._last += 1
        self._used[self._last] = self._busy[self._last] = 0
        return self._last

    def _is_free(self, number: int, moment: int) -> bool:
        busy = self._busy[number]
        return busy is not None and busy <= moment


def _collected(contents: Contents, body: Content | None, coding: str, *, request: bool) -> DecodedBody | None:
    if body is None:
        return None
    return contents.decoded(body.content, coding=coding, size=body.size, wire_size=body.wire_size, request=request)


def _head_size(headers: Pairs, line: str) -> int:
    """Bytes of a head as HTTP/1.1 writes it."""
    return len(line) + 13 + sum(len(name) + len(value) + 4 for name, value in headers)


def _seen(message: Message) -> list[FrameSeen | MessageSeen]:
    """A message as one frame, as long as it is on the wire without compression."""
    size = len(message.payload)
    wire_size = size + (2 if size < 126 else 4 if size < 2**16 else 10) + (_MASK if message.sender == "client" else 0)
    at, payload = message.unix_ns, message.payload
    seen: list[FrameSeen | MessageSeen] = [
        FrameSeen(at, at, message.opcode, True, False, wire_size, size, payload, False)
    ]
    if message.opcode in _DATA:
        seen.append(MessageSeen(at, at, message.opcode, payload, 1, False))
    return seen
