"""The mitmproxy addon: a layer that relays bytes first and puts a copy of each chunk, with its stamp, into the spool.

It decodes nothing and decides nothing, and it changes nothing that passes. It runs in nestperf's own lean master
(`proxy_addon.master`) and in stock `mitmdump -s`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import TypeAlias

from mitmproxy import connection, ctx
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.mode_specs import ReverseMode

from proxy_addon.cuts import Cuts, opens_websocket
from proxy_addon.shortcut import Stream, read_less, shorten
from proxy_addon.spool import Spool
from proxy_addon.tap import What
from proxy_addon.tls import ClientTls, Relay, UpstreamTls, close
from proxy_addon.wakeups import Wakeups

Streams: TypeAlias = Callable[[Context], tuple[Stream, Stream] | None]
"""The client's and the server's side of a connection."""

_LAG_EVERY_S = 0.1
_READY_S = 20
RECORDER_DIED = "NOT RECORDING ANY MORE: the recorder process ended unexpectedly."
_WAIT_FOR_REQUEST_S = 0.25
"""A client whose upstream cannot be reached is let go after this time even if it sent nothing: what it asked for
belongs into the recording."""


class RelayLayer(Relay):
    """Opens the upstream connection and forwards chunks, half-closes and closes between both sides."""

    def __init__(
        self,
        context: Context,
        spool: Spool,
        number: int,
        upstream: int,
        wakeups: Wakeups | None,
        cuts: Cuts | None = None,
        streams: Streams | None = None,
    ) -> None:
        super().__init__(context)
        self._cuts = cuts
        """None once the connection is known to be a WebSocket: its wakeup is on the way."""
        self._spool = spool
        self._number = number
        self._upstream = upstream
        self._wakeups = wakeups
        self._streams = streams

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        assert isinstance(event, events.Start)
        client, server = self.context.client, self.context.server
        opened_ns = time.perf_counter_ns()
        who = {"client": client.peername[0] if client.peername else "", "upstream": self._upstream}
        self._spool.put(What.OPENED, self._number, opened_ns, 0, json.dumps(who).encode())
        error = server.error
        handshake_due = server.tls and not server.tls_established
        if error is None and (server.timestamp_start is None or handshake_due):
            error = yield commands.OpenConnection(server)
        connected_ns = time.perf_counter_ns()
        text = str(error).encode() if error else b""
        self._spool.put(What.CONNECTED, self._number, connected_ns, connected_ns - opened_ns, text)
        if error:
            self._handle_event = self._refuse  # type: ignore[method-assign]
            yield commands.RequestWakeup(_WAIT_FOR_REQUEST_S)
        else:
            self._handle_event = self._relay  # type: ignore[method-assign]
            self._shorten(client, server)

    def _shorten(self, client: connection.Client, server: connection.Server) -> None:
        """Take the short way where nobody stands between: without TLS, without cuts on purpose, and where the streams
        are known."""
        wakeups = self._wakeups
        pair = None if self._streams is None else self._streams(self.context)
        if pair is None or wakeups is None:
            return
        read_less(*pair)
        if client.tls or server.tls or self._cuts is not None:
            return
        put, number = self._spool.put, self._number

        def from_client(data: bytes) -> None:
            # Read and handed on in one turn of the loop, which began when the bytes were there.
            woke_ns = wakeups.woke_ns
            put(What.CLIENT_BYTES, number, woke_ns, time.perf_counter_ns() - woke_ns, data)

        def from_server(data: bytes) -> None:
            woke_ns = wakeups.woke_ns
            put(What.SERVER_BYTES, number, woke_ns, time.perf_counter_ns() - woke_ns, data)

        shorten(*pair, from_client, from_server)

    def _relay(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            arrived_ns = self._wakeups.before_ns if self._wakeups else time.perf_counter_ns()
            if event.connection is self.context.client:
                yield commands.SendData(self.context.server, event.data)
                what = What.CLIENT_BYTES
            else:
                yield commands.SendData(self.context.client, event.data)
                what = What.SERVER_BYTES
            self._spool.put(what, self._number, arrived_ns, time.perf_counter_ns() - arrived_ns, event.data)
            if self._cuts is not None and what is What.SERVER_BYTES and opens_websocket(event.data):
                cuts, self._cuts = self._cuts, None
                yield commands.RequestWakeup(cuts.until_next_s(time.perf_counter_ns()))
        elif isinstance(event, events.Wakeup):
            self._spool.put(What.CUT, self._number, time.perf_counter_ns())
            yield from self._let_go()
        elif isinstance(event, events.ConnectionClosed):
            yield from self._end(event)

    def _end(self, event: events.ConnectionClosed) -> layer.CommandGenerator[None]:
        client, server, ended = self.context.client, self.context.server, event.connection
        what = What.CLIENT_END if ended is client else What.SERVER_END
        self._spool.put(what, self._number, time.perf_counter_ns())
        if (client.state | server.state) & connection.ConnectionState.CAN_READ:
            # The other side may still have something to say.
            yield close(server if ended is client else client, event, half_close=True)
            return
        yield from self._let_go(event)

    def _let_go(self, event: events.ConnectionClosed | None = None) -> layer.CommandGenerator[None]:
        """Close both sides: because one has ended, or without a word to either."""
        self._spool.put(What.CLOSED, self._number, time.perf_counter_ns())
        self._handle_event = self._ignore  # type: ignore[method-assign]
        for side in (self.context.server, self.context.client):
            if side.state is not connection.ConnectionState.CLOSED:
                yield commands.CloseConnection(side) if event is None else close(side, event)

    def handshake_failed(self, reason: str) -> None:
        """The connection is over."""
        now_ns = time.perf_counter_ns()
        if reason:
            self._spool.put(What.HANDSHAKE_FAILED, self._number, now_ns, 0, reason.encode())
        self._spool.put(What.CLOSED, self._number, now_ns)
        self._handle_event = self._ignore  # type: ignore[method-assign]

    def _refuse(self, event: events.Event) -> layer.CommandGenerator[None]:
        """The upstream cannot be reached: take down what was asked, then close as it would have."""
        now_ns = time.perf_counter_ns()
        if isinstance(event, events.DataReceived):
            self._spool.put(What.CLIENT_BYTES, self._number, now_ns, 0, event.data)
        self._spool.put(What.CLOSED, self._number, now_ns)
        self._handle_event = self._ignore  # type: ignore[method-assign]
        yield commands.CloseConnection(self.context.client)

    def _ignore(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from ()


class FaultCounter(logging.Handler):
    """Counts what mitmproxy and asyncio report as errors, instead of printing it over the tester's screen."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One more error."""
        self.count += 1


class NestperfAddon:
    """Puts the relay layer in place for every connection and watches the event loop's lag."""

    def __init__(
        self, recorder: Iterable[str], wakeups: Wakeups | None = None, *, cut_every_ns: int | None = None
    ) -> None:
        """`cut_every_ns`: cut live WebSockets that often."""
        self._cuts = None
        if cut_every_ns is not None:
            self._cuts = Cuts(every_ns=cut_every_ns, begun_ns=time.perf_counter_ns())
        self.spool = Spool()
        self.faults = FaultCounter()
        self._recorder = list(recorder)
        self._wakeups = wakeups
        self.streams: Streams | None = None
        """How to get at both sides of an open connection; None where mitmproxy is not ours."""
        self._numbers = count(1)
        self._lag: asyncio.TimerHandle | None = None
        self._told = False

    def relay(self, context: Context, upstream: int, *, client_tls: bool, upstream_tls: str | None) -> layer.Layer:
        """The layers for a new connection, the outermost: TLS to either side, as asked for, and the relay inside.
        The context knows the upstream's address; `upstream_tls` is the name that its certificate has to have."""
        number = next(self._numbers)
        relay = RelayLayer(context, self.spool, number, upstream, self._wakeups, self._cuts, self.streams)
        outermost: layer.Layer = ClientTls(context, relay) if client_tls else relay
        if upstream_tls is not None:
            outermost = UpstreamTls(context, upstream_tls, outermost)
        return outermost

    def next_layer(self, data: layer.NextLayer) -> None:
        """Stock mitmproxy: relay whatever arrives on any of its reverse modes."""
        mode = data.context.client.proxy_mode
        if data.layer is None and isinstance(mode, ReverseMode):
            modes = [spec.partition("@")[0] for spec in ctx.options.mode]
            data.layer = self.relay(
                data.context,
                modes.index(mode.full_spec.partition("@")[0]),
                client_tls=starts_like_tls_record(data.data_client()),
                upstream_tls=mode.address[0] if mode.scheme == "https" else None,
            )

    async def running(self) -> None:
        """The listeners are up: start the recorder."""
        await self.spool.start(self._recorder, ready_s=_READY_S)
        self._watch_lag(0.0)

    async def done(self) -> None:
        """Everything is over: the recorder gets the rest."""
        if self._lag is not None:
            self._lag.cancel()
        await self.spool.finish(self.spool.state, self.faults.count)

    def _watch_lag(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if due:
            self.spool.put(What.LAG, 0, time.perf_counter_ns(), int((now - due) * 1e9))
        if self.spool.lost_recorder and not self._told:
            self._told = True
            # Nobody redraws the screen any more, and the tester may go on for hours.
            print(f"\n{RECORDER_DIED} The application is relayed as before. End with Ctrl-C.", flush=True)  # noqa: T201
        due = now + _LAG_EVERY_S
        self._lag = loop.call_at(due, self._watch_lag, due)
