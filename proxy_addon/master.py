"""The lean mitmproxy master: listeners, our relay, nothing else of mitmproxy's addons.

`RelayMode` is a mitmproxy proxy mode of our own, `relay:INDEX@LISTEN_HOST:LISTEN_PORT`; the index is a listener's.
Unlike mitmproxy's reverse mode it opens the upstream connection as soon as a client connects, so that the first request
does not wait for it, and it leaves a failed connect to the relay layer, which still takes down what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from mitmproxy import ctx, options
from mitmproxy.proxy import layer, mode_servers, mode_specs, server
from mitmproxy.proxy.context import Context

from nestperf.errors import UsageError
from proxy_addon.addon import NestperfAddon
from proxy_addon.addons import Master, core, next_layer, proxyserver
from proxy_addon.browser import Browser
from proxy_addon.companion import Companion
from proxy_addon.listen import Listener
from proxy_addon.shortcut import Stream
from proxy_addon.spool import Spool
from proxy_addon.terminal import Terminal
from proxy_addon.tls import RecorderTlsConfig
from proxy_addon.trust import Trust
from proxy_addon.wakeups import Wakeups, WatchedSelector
from proxy_addon.watching import Watching

NEVER_S = 10 * 365 * 24 * 3600
"""mitmproxy closes a connection on which nothing moved for ten minutes. An event stream or a pool's connection may be
silent for longer, and only the two ends decide when it is over."""
_CLOSING_S = 2.0
"""How long open connections may take to close when a recording ends."""


class RelayMode(mode_specs.ProxyMode):
    """Relay everything to one upstream; the mode's data is the index of its listener."""

    description = "relay"
    transport_protocol: Literal["tcp", "udp", "both"] = "tcp"

    def __post_init__(self) -> None:
        int(self.data)


class RelayInstance(mode_servers.AsyncioServerInstance[RelayMode]):
    """A listener in relay mode."""

    def make_top_layer(self, context: Context) -> layer.Layer:
        assert isinstance(ctx.master, LeanMaster)
        return ctx.master.relay(context, int(self.mode.data))


class CannotListen(UsageError):
    """A port cannot be listened on."""


class LeanMaster(Master):
    """Listens, relays, and ends on the first SIGINT or SIGTERM."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        addon: NestperfAddon,
        ready: Callable[[Spool], Companion | None],
        *,
        trust: Trust,
        authority: Path | None,
        keys: bool = False,
    ) -> None:
        super().__init__(options.Options())
        self.refused: str | None = None
        self._listeners = listeners
        self._addon = addon
        self._ready = ready
        self._companion: Companion | None = None
        self._accompanied: asyncio.Task[None] | None = None
        self._terminal = Terminal(addon.spool) if keys else None
        addon.streams = self._streams
        self.addons.add(core.Core(), proxyserver.Proxyserver(), next_layer.NextLayer(), addon)
        for name in ("mitmproxy", "asyncio"):
            # A log line for every connection would cost more than relaying it.
            logging.getLogger(name).setLevel(logging.ERROR)
            logging.getLogger(name).addHandler(addon.faults)
        if "tcp_timeout" in self.options:
            self.options.update(tcp_timeout=NEVER_S)
        else:  # mitmproxy 11 has a constant for it
            server.TCP_TIMEOUT = NEVER_S  # type: ignore[attr-defined,unused-ignore]
        if authority is not None or any(listener.application_tls for listener in listeners):
            self._speak_tls(trust, authority)
        self.options.update(
            mode=[
                f"relay:{index}@{host}:{listener.port}"
                for index, listener in enumerate(listeners)
                for host in listener.hosts
            ]
        )

    def relay(self, context: Context, index: int) -> layer.Layer:
        """The layers for a new connection at one of the listeners."""
        listener = self._listeners[index]
        application = urlsplit(listener.target or listener.url)
        assert application.hostname is not None
        assert application.port is not None
        context.server.address = listener.by_way_of or (application.hostname, application.port)
        host = application.hostname if listener.application_tls else None
        return self._addon.relay(context, index, client_tls=listener.tls, upstream_tls=host)

    def _streams(self, context: Context) -> tuple[Stream, Stream] | None:
        """Both sides of a connection that has been opened; None where one of them is no stream of asyncio's."""
        relayed = self.addons.get("proxyserver").connections.get(context.client.id)
        if relayed is None:
            return None
        sides = [relayed.transports.get(side) for side in (context.client, context.server)]
        found = [
            Stream(side.reader, cast(asyncio.Transport, side.writer.transport))
            for side in sides
            if side is not None
            and isinstance(side.reader, asyncio.StreamReader)
            and isinstance(side.writer, asyncio.StreamWriter)
        ]
        return (found[0], found[1]) if len(found) == 2 else None

    def _speak_tls(self, trust: Trust, authority: Path | None) -> None:
        self.addons.add(RecorderTlsConfig(certificates=authority is not None))
        if authority is not None:
            self.options.update(confdir=str(authority))
        self.options.update(upstream_cert=False, **trust.options())

    async def running(self) -> None:
        """The listeners are up, or one of them is not."""
        servers = list(self.addons.get("proxyserver").servers)
        failed = [server for server in servers if not server.is_running]
        if failed:
            self.refused = str(failed[0].last_exception)
            self.should_exit.set()
            return
        await super().running()
        if self._terminal is not None:
            self._terminal.start()
        self._companion = self._ready(self._addon.spool)
        if self._companion is not None:
            self._accompanied = asyncio.create_task(self._end_with(self._companion))

    async def _end_with(self, companion: Companion) -> None:
        """The recording ends when its companion does, and the companion when the recording ends."""
        watching = None
        if isinstance(companion, Browser) and companion.watch is not None:
            watching = Watching(companion, self._addon.spool)
        try:
            while not companion.closed:
                await asyncio.sleep(0.1)
            self.should_exit.set()
        finally:
            if watching is not None:
                await watching.end()
            companion.close()
            if watching is not None:
                await watching.ended()

    def interrupt(self, number: int) -> None:
        """A signal: it ends the recording, unless it is its companion's."""
        if self._companion is None or not self._companion.interrupt(number):
            self.should_exit.set()

    async def done(self) -> None:
        """Stop listening, let the addons finish (what is open now stays `unfinished`), then close what is open."""
        if self._accompanied is not None:
            self._accompanied.cancel()
            await asyncio.wait([self._accompanied])
        if self._terminal is not None:
            self._terminal.stop()
        if self.refused is None:
            proxy = self.addons.get("proxyserver")
            await proxy.servers.update([])
            await super().done()
            await _close_connections(proxy)


async def _close_connections(proxy: proxyserver.Proxyserver) -> None:
    deadline = asyncio.get_running_loop().time() + _CLOSING_S
    while proxy.connections and asyncio.get_running_loop().time() < deadline:
        for connection in list(proxy.connections.values()):
            for side in list(connection.transports.values()):
                if side.handler is not None:
                    side.handler.cancel("the recording is over")
        await asyncio.sleep(0.01)


def run_relay(
    listeners: Sequence[Listener],
    recorder: Sequence[str],
    ready: Callable[[Spool], Companion | None],
    *,
    trust: Trust,
    authority: Path | None,
    keys: bool = False,
    cut_every_ns: int | None = None,
) -> NestperfAddon:
    """Relay until SIGINT or SIGTERM; gives the addon: what it lost, and its recorder process.

    Args:
        listeners: where to listen, and what is behind.
        recorder: command line of the recorder process.
        ready: called once everything listens, with the way to the recorder process.
        trust: which certificates of applications to accept.
        authority: folder of the authority that signs for browsers; None where no listener speaks TLS.
        cut_every_ns: cut live WebSockets that often.
        keys: take the keys of the terminal on standard input: they name moments.

    Raises:
        CannotListen: a port was taken in the meantime; nothing was recorded.
    """
    wakeups = Wakeups()
    addon = NestperfAddon(recorder, wakeups, cut_every_ns=cut_every_ns)
    loop = asyncio.SelectorEventLoop(WatchedSelector(wakeups, gives_way=lambda: addon.spool.is_behind))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_run(lambda: LeanMaster(listeners, addon, ready, trust=trust, authority=authority, keys=keys)))
    return addon


async def _run(make: Callable[[], LeanMaster]) -> None:
    master = make()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, master.interrupt, number)
    await master.run()
    if master.refused is not None:
        raise CannotListen(f"Cannot listen: {master.refused}.")
