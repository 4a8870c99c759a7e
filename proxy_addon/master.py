"""The lean mitmproxy master: listeners, our relay, nothing else of mitmproxy's addons.

`RelayMode` is a mitmproxy proxy mode of our own, `relay:SCHEME://HOST:PORT@LISTEN_HOST:LISTEN_PORT`. Unlike mitmproxy's
reverse mode it opens the upstream connection as soon as a client connects, so that the first request does not wait
for it, and it leaves a failed connect to the relay layer, which still takes down what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import signal
from collections.abc import Callable, Sequence
from typing import Literal

from mitmproxy import ctx, options
from mitmproxy.addons import core, next_layer, proxyserver
from mitmproxy.master import Master
from mitmproxy.net import server_spec
from mitmproxy.proxy import layer, mode_servers, mode_specs
from mitmproxy.proxy.context import Context

from nestperf.errors import UsageError
from proxy_addon.addon import NestperfAddon, Wakeups
from proxy_addon.browser import Browser
from proxy_addon.listen import Listener

_CLOSING_S = 2.0
"""How long open connections may take to close when a recording ends."""


class RelayMode(mode_specs.ProxyMode):
    """Relay everything to one upstream; the mode's data is `INDEX=SCHEME://HOST:PORT`."""

    description = "relay"
    transport_protocol: Literal["tcp", "udp", "both"] = "tcp"

    def __post_init__(self) -> None:
        _, (_, self.address) = _parse_mode(self.data)


class RelayInstance(mode_servers.AsyncioServerInstance[RelayMode]):
    """A listener in relay mode."""

    def make_top_layer(self, context: Context) -> layer.Layer:
        addon = ctx.master.addons.get("nestperfaddon")
        assert isinstance(addon, NestperfAddon)
        upstream, (_, context.server.address) = _parse_mode(self.mode.data)
        return addon.relay(context, upstream)


def _parse_mode(text: str) -> tuple[int, server_spec.ServerSpec]:
    index, _, url = text.partition("=")
    return int(index), server_spec.parse(url, "http")


class WatchedSelector(selectors.DefaultSelector):
    """Notes when the event loop wakes up: the moment from which the relay holds what has arrived."""

    def __init__(self, wakeups: Wakeups) -> None:
        super().__init__()
        self._wakeups = wakeups

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        self._wakeups.note()
        return ready


class CannotListen(UsageError):
    """A port cannot be listened on."""


class LeanMaster(Master):
    """Listens, relays, and ends on the first SIGINT or SIGTERM."""

    def __init__(
        self, listeners: Sequence[Listener], addon: NestperfAddon, ready: Callable[[], Browser | None]
    ) -> None:
        super().__init__(options.Options())
        self.refused: str | None = None
        self._ready = ready
        self._browsing: asyncio.Task[None] | None = None
        self.addons.add(core.Core(), proxyserver.Proxyserver(), next_layer.NextLayer(), addon)
        for name in ("mitmproxy", "asyncio"):
            # A log line for every connection would cost more than relaying it.
            logging.getLogger(name).setLevel(logging.ERROR)
            logging.getLogger(name).addHandler(addon.faults)
        self.options.update(
            mode=[
                f"relay:{index}={listener.url}@{host}:{listener.port}"
                for index, listener in enumerate(listeners)
                for host in listener.hosts
            ]
        )

    async def running(self) -> None:
        """The listeners are up, or one of them is not."""
        servers = list(self.addons.get("proxyserver").servers)
        failed = [server for server in servers if not server.is_running]
        if failed:
            self.refused = str(failed[0].last_exception)
            self.should_exit.set()
            return
        await super().running()
        browser = self._ready()
        if browser is not None:
            self._browsing = asyncio.create_task(self._end_with(browser))

    async def _end_with(self, browser: Browser) -> None:
        """The recording ends when the browser is closed, and the browser when the recording ends."""
        try:
            while not browser.closed:
                await asyncio.sleep(0.2)
            self.should_exit.set()
        finally:
            browser.close()

    async def done(self) -> None:
        """Stop listening, let the addons finish (what is open now stays `unfinished`), then close what is open."""
        if self._browsing is not None:
            self._browsing.cancel()
            await asyncio.wait([self._browsing])
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
    listeners: Sequence[Listener], recorder: Sequence[str], ready: Callable[[], Browser | None]
) -> NestperfAddon:
    """Relay until SIGINT or SIGTERM; gives the addon: what it lost, and its recorder process.

    Raises:
        CannotListen: a port was taken in the meantime; nothing was recorded.
    """
    wakeups = Wakeups()
    addon = NestperfAddon(recorder, wakeups)
    loop = asyncio.SelectorEventLoop(WatchedSelector(wakeups))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_relay(listeners, addon, ready))
    return addon


async def _relay(listeners: Sequence[Listener], addon: NestperfAddon, ready: Callable[[], Browser | None]) -> None:
    master = LeanMaster(listeners, addon, ready)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, master.shutdown)
    await master.run()
    if master.refused is not None:
        raise CannotListen(f"Cannot listen: {master.refused}.")
