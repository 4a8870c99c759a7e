"""The stand-in for MediaNest as a whole: `python -m nestperf.demo.app --port 0`, or `async with DemoApp()` in a test.

It answers on one address of this machine, keeps its database in memory unless told otherwise, and counts what it
received under `/_demo/counts`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any, Self

import click
from aiohttp import web

from nestperf.demo.answers import json_answer, rejected
from nestperf.demo.api import Api
from nestperf.demo.counts import Counts
from nestperf.demo.database import open_database
from nestperf.demo.faults import Faults, parse_faults
from nestperf.demo.gate import Gate, peer_of
from nestperf.demo.pages import Pages
from nestperf.demo.sockets import Sockets
from nestperf.demo.store import Store
from nestperf.errors import NestperfError, UsageError

LISTENING = "listening on "
"""The line that says where, begins so."""
DATABASE = "NESTPERF_DEMO_DATABASE"
"""Environment variable with the database's URL: a password belongs into no command line."""
_STOPPING_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the stand-in runs when nothing is broken."""

    status_interval_s: float = 5.0
    """Seconds between two status broadcasts."""
    window_s: float = 60.0
    """Seconds in which a user has `Faults.limit` requests."""
    database: str = ":memory:"
    wishes: int = 0
    """Requests that every new friend has made already."""


class DemoApp:
    """One running stand-in.

    >>> async with DemoApp(faults=Faults(limit=3)) as app:
    ...     await session.get(app.url + "/health")
    ...     assert app.counts.requests["GET /health"] == 1
    """

    def __init__(self, *, settings: Settings | None = None, faults: Faults | None = None) -> None:
        self.settings = settings or Settings()
        self.faults = faults or Faults()
        self.counts = Counts()
        self.url = ""
        """Where it answers, once started."""
        self._store: Store | None = None
        self._sockets: Sockets | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, on a free port for 0; the URL.

        Raises:
            UsageError: the address cannot be had.
        """
        store = await Store.open(await open_database(self.settings.database), wishes=self.settings.wishes)
        gate = Gate(secret=os.urandom(32), counts=self.counts, faults=self.faults, window_s=self.settings.window_s)
        sockets = Sockets(
            store=store,
            counts=self.counts,
            faults=self.faults,
            status_interval_s=self.settings.status_interval_s,
            identity_of=gate.identity_of,
        )
        app = web.Application(middlewares=(gate.observe, gate.admit))
        for part in (Api(gate, store, sockets), Pages(gate, store, sockets), sockets):
            app.add_routes(part.routes())
        app.add_routes([web.get("/_demo/counts", self._show_counts), web.delete("/_demo/counts", self._clear_counts)])
        self._store, self._sockets = store, sockets
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOPPING_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=1024).start()
        except OSError as error:
            await self.stop()
            raise UsageError(f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port.") from error
        sockets.start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        """Close every connection and forget everything."""
        if self._sockets is not None:
            await self._sockets.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._store is not None:
            await self._store.close()
        self._sockets = self._runner = self._store = None

    async def broadcast_status(self) -> None:
        """Send a status broadcast now, besides those by the clock."""
        assert self._sockets is not None, "start() comes first"
        await self._sockets.broadcast_status()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _show_counts(self, request: web.Request) -> web.Response:
        _require_loopback(request)
        return json_answer(self.counts.as_json())

    async def _clear_counts(self, request: web.Request) -> web.Response:
        _require_loopback(request)
        self.counts.clear()
        return json_answer({"success": True})


def _require_loopback(request: web.Request) -> None:
    address = peer_of(request)[0]
    if not address or not ipaddress.ip_address(address).is_loopback:
        raise rejected(403, "LOOPBACK_ONLY", "The counts are for this machine only")


async def _serve(app: DemoApp, host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    url = await app.start(host, port)
    click.echo(LISTENING + url)
    sys.stdout.flush()
    await stopped.wait()
    await app.stop()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--status-interval", default=5.0, show_default=True, help="Seconds between two status broadcasts.")
@click.option("--window", "window_s", default=60.0, show_default=True, help="Seconds of the rate limit's window.")
@click.option(
    "--database",
    default=":memory:",
    show_default=True,
    help="SQLite file or postgresql:// URL to keep friends and wishes in; also from NESTPERF_DEMO_DATABASE.",
    envvar=DATABASE,
)
@click.option(
    "--wishes", default=0, type=click.IntRange(0, 120), help="Requests that every new friend has made already."
)
@click.option("--faults", default="", help="Promises to break, e.g. slow_path=/api/v1/media/,slow_ms=300,limit=20.")
def main(host: str, port: int, faults: str, status_interval: float, **settings: Any) -> None:
    """A small stand-in for MediaNest, to try nestperf on. Serves until Ctrl-C or SIGTERM."""
    try:
        chosen = Settings(status_interval_s=max(status_interval, 0.05), **settings)
        asyncio.run(_serve(DemoApp(settings=chosen, faults=parse_faults(faults)), host, port))
    except NestperfError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
