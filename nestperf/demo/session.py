"""The scripted QA session: what a tester would click in the demo application, in some seven seconds.

`python -m nestperf.demo.session URL` runs it against an application, or against the recorder in front of it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from nestperf.demo.browser import Browser, LiveConnection, SessionFailed, origin_of
from nestperf.errors import NestperfError

NAMESPACES = ("/authenticated", "/media", "/status")
_POSTER = re.compile(r'src="(/posters/[^"]+)"')
_LINKED = re.compile(r'(?:src|href)="(/_next/static/[^"]+)"')
_SEARCH = "star"
_LOOKED_AT = 4
"""Titles whose details are opened, all at once."""

Say = Callable[[str], None]


class QaSession:
    """One tester at one application; each method is something a tester would do."""

    def __init__(self, browser: Browser, say: Say, *, pace: float = 1.0) -> None:
        self._browser = browser
        self._say = say
        self._pace = pace
        self._began_s = time.perf_counter()
        self._broadcasts_by_clock = 0

    async def run(self) -> None:
        """All of it.

        Raises:
            SessionFailed: the application did not do what the tester expected.
        """
        await self.open_door()
        await self._think(0.7)
        await self.sign_in()
        live = await self.open_dashboard()
        await self._think(0.9)
        await self.look_at_status(live)
        await self._think(0.8)
        titles = await self.search()
        await self._think(0.9)
        await self.ask_for(titles[0], live)
        await self._think(0.7)
        request_id = await self.list_requests()
        await self._think(0.6)
        await self.check_services(live)
        await self._think(0.8)
        await self.take_back(request_id, live)
        await self._think(0.7)
        await self.wait_for_broadcast(live)
        await self.sign_out(live)

    async def open_door(self) -> None:
        """The sign-in page and what it refers to."""
        html = await self._browser.page("/signin")
        loaded = await self._load_linked(html)
        self._tell(f"opens the sign-in page ({loaded} assets)")

    async def sign_in(self) -> None:
        """CSRF token, Plex pin, verification: a new friend."""
        call = self._browser.call
        await call("GET", "csrf/token")
        pin = (await call("POST", "auth/plex/pin", {}))["data"]
        signed_in = (await call("POST", "auth/plex/verify", {"pinId": pin["id"]}))["data"]
        self._browser.token = signed_in["token"]
        self._tell(f"signs in with Plex as {signed_in['user']['username']}")

    async def open_dashboard(self) -> LiveConnection:
        """The dashboard with its pictures, three calls at once, and the Socket.IO connection with its subscription."""
        html = await self._browser.page("/dashboard")
        loaded = await self._load_linked(html) + await self._browser.assets(_POSTER.findall(html), "image")
        self._tell(f"looks at the dashboard ({loaded} pictures)")
        parts = ("dashboard/status", "dashboard/stats", "dashboard/notifications")
        calls = [self._browser.call("GET", part) for part in parts]
        found: list[Any] = await asyncio.gather(self._browser.go_live(NAMESPACES), *calls)
        live: LiveConnection = found[0]
        # A page subscribes as soon as it has joined; MediaNest's does within 10 ms.
        await live.emit("/status", "subscribe:status")
        for namespace in NAMESPACES:
            await live.expect(namespace, "connection:established")
        self._tell(f"sees status, figures and news; the page goes live at {', '.join(NAMESPACES)}")
        return live

    async def look_at_status(self, live: LiveConnection) -> None:
        """See the services' status come in and measure the round trip."""
        services = await live.expect("/status", "status:current")
        pong = await live.ask("/authenticated", "client:ping", {"sent": 1})
        _require(pong.get("pong"), "client:ping was acknowledged without a pong")
        self._tell(f"watches {len(services)} services; the ping is acknowledged")

    async def search(self) -> list[dict[str, object]]:
        """Search, with the results' pictures, and look at some of them at once."""
        titles: list[dict[str, object]] = (await self._browser.call("GET", f"media/search?query={_SEARCH}"))["data"]
        _require(len(titles) >= _LOOKED_AT, f"the search for {_SEARCH} found {len(titles)} titles")
        pictures = await self._browser.assets([str(title["posterPath"]) for title in titles], "image")
        self._tell(f"searches for “{_SEARCH}”: {len(titles)} titles ({pictures} new pictures)")
        await self._think(0.7)
        looked_at = titles[:_LOOKED_AT]
        await asyncio.gather(
            *(self._browser.call("GET", f"media/{title['mediaType']}/{title['tmdbId']}") for title in looked_at)
        )
        self._tell(f"opens {len(looked_at)} of them side by side")
        return titles

    async def ask_for(self, title: dict[str, object], live: LiveConnection) -> None:
        """Request a title; the news comes back by Socket.IO, in the title's room too."""
        await live.emit("/media", "join-media-room", f"{title['mediaType']}:{title['tmdbId']}")
        await live.expect("/media", "joined-room")
        poster = await live.ask("/media", "poster:get", title["tmdbId"])
        wanted = {"mediaType": title["mediaType"], "tmdbId": title["tmdbId"]}
        await self._browser.call("POST", "media/request", wanted, expect=201)
        created = await live.expect("/authenticated", "request:created")
        _require(created["title"] == title["title"], "another title was requested than asked for")
        self._tell(f"asks for {title['title']} (its poster comes as {len(poster['image'])} bytes by Socket.IO)")

    async def list_requests(self) -> str:
        """The friend's requests, and the newest of them; its id."""
        wishes = (await self._browser.call("GET", "media/requests?page=1&pageSize=20"))["data"]
        _require(len(wishes) == 1, f"the list holds {len(wishes)} requests, not 1")
        request_id = str(wishes[0]["id"])
        await self._browser.call("GET", f"media/requests/{request_id}")
        self._tell("finds it in the list of requests and opens it")
        return request_id

    async def check_services(self, live: LiveConnection) -> None:
        """Ask for a check now: everybody who watches hears of it; and the history, by an ack."""
        self._broadcasts_by_clock = live.forget("/status", "service:status")
        await live.emit("/status", "request:refresh", "all")
        await live.expect("/status", "service:status")
        history = await live.ask("/authenticated", "requests:history", {"limit": 10})
        _require(history["data"]["total"] == 1, "the history does not know the request")
        self._tell("presses “Check now”: the new status comes to everybody who watches")

    async def take_back(self, request_id: str, live: LiveConnection) -> None:
        """Delete the request."""
        await self._browser.call("DELETE", f"media/requests/{request_id}")
        await live.expect("/authenticated", "request:status")
        self._tell("takes the request back")

    async def wait_for_broadcast(self, live: LiveConnection) -> None:
        """One status broadcast that nobody asked for; it may have come already."""
        self._broadcasts_by_clock += live.forget("/status", "service:status")
        if not self._broadcasts_by_clock:
            await live.expect("/status", "service:status")
            self._broadcasts_by_clock = 1
        self._tell(f"has seen {self._broadcasts_by_clock} check(s) of the services come in by itself")

    async def sign_out(self, live: LiveConnection) -> None:
        """Sign out; the page closes its connection and goes back to the door."""
        await self._browser.call("POST", "auth/logout")
        self._browser.token = ""
        await live.close()
        await self._browser.page("/signin")
        self._tell("signs out")

    async def _load_linked(self, html: str) -> int:
        linked = {"style": ".css", "script": ".js", "image": ".svg"}
        paths = _LINKED.findall(html)
        counts = await asyncio.gather(
            *(
                self._browser.assets([path for path in paths if path.endswith(ending)], destination)
                for destination, ending in linked.items()
            )
        )
        return sum(counts)

    async def _think(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace)

    def _tell(self, what: str) -> None:
        self._say(f"{time.perf_counter() - self._began_s:5.1f} s  {what}")


def _require(fulfilled: object, otherwise: str) -> None:
    if not fulfilled:
        raise SessionFailed(f"The session cannot go on: {otherwise}.")


async def run_session(url: str, *, say: Say = click.echo, pace: float = 1.0) -> None:
    """Run the session once.

    `pace` multiplies the think times; `say` gets a line for everything the tester does.

    Raises:
        SessionFailed: the application did not do what the tester expected.
    """
    async with Browser(origin_of(url)) as browser:
        await QaSession(browser, say, pace=pace).run()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url")
@click.option("--pace", default=1.0, show_default=True, type=click.FloatRange(0), help="Factor of the think times.")
def main(url: str, pace: float) -> None:
    """Click through the demo application at URL as a tester would, once."""
    try:
        asyncio.run(run_session(url, pace=pace))
    except NestperfError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
