"""Socket.IO through python-socketio's own client, both transports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import socketio

from nestperf.demo.app import DemoApp
from nestperf.demo.browser import LiveConnection, SessionFailed
from nestperf.demo.faults import Faults

SIGNED_IN_NAMESPACES = ("/authenticated", "/media", "/status")
Connect = Callable[..., Awaitable[LiveConnection]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open Socket.IO connections that are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_one(app: DemoApp, token: str, *namespaces: str) -> LiveConnection:
            live = LiveConnection(app.url, aiohttp.CookieJar(unsafe=True))
            stack.push_async_callback(live.close)
            await live.open(namespaces, {"token": token} if token else {})
            return live

        yield open_one


async def test_connection_is_greeted_in_every_namespace(app: DemoApp, friend: Any, connect: Connect) -> None:
    live = await connect(app, friend.token, "/", *SIGNED_IN_NAMESPACES)
    for namespace in ("/", *SIGNED_IN_NAMESPACES):
        assert (await live.expect(namespace, "connection:established"))["socketId"]
    assert app.counts.sockets == 1
    assert app.counts.namespaces == dict.fromkeys(("/", *SIGNED_IN_NAMESPACES), 1)
    assert app.counts.socket_users == {friend.user["id"]}


async def test_default_namespace_needs_no_token(app: DemoApp, connect: Connect) -> None:
    live = await connect(app, "", "/")
    assert (await live.ask("/", "client:ping"))["pong"] is True
    assert (await live.ask("/", "requests:history", {})) == {"success": False, "error": "User ID not found"}


@pytest.mark.parametrize("token", ["", "wrong", "a.b.c"])
@pytest.mark.parametrize("namespace", SIGNED_IN_NAMESPACES)
async def test_wrong_token_is_refused_by_connect_error(
    app: DemoApp, connect: Connect, namespace: str, token: str
) -> None:
    with pytest.raises(SessionFailed, match="refused"):
        await connect(app, token, namespace)
    assert app.counts.refused_namespaces == {namespace: 1}


async def test_connect_error_says_why(app: DemoApp) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{app.url}/socket.io/?EIO=4&transport=websocket") as ws,
    ):
        opened = await ws.receive_str()
        assert opened[0] == "0"
        settings = json.loads(opened[1:])
        assert (settings["pingInterval"], settings["pingTimeout"], settings["maxPayload"]) == (25000, 60000, 1000000)
        await ws.send_str('40/media,{"token":"x"}')
        assert await ws.receive_str() == '44/media,{"message":"Authentication required"}'
        await ws.send_str("40/admin,{}")
        assert (await ws.receive_str()).startswith("44/admin,")


async def test_permessage_deflate_is_not_accepted(app: DemoApp) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{app.url}/socket.io/?EIO=4&transport=websocket", compress=15) as ws,
    ):
        assert ws.compress == 0
        assert (await ws.receive_str()).startswith("0{")


async def test_subscribe_answers_with_the_current_status(app: DemoApp, friend: Any, connect: Connect) -> None:
    live = await connect(app, friend.token, "/status")
    await live.emit("/status", "subscribe:status")
    services = await live.expect("/status", "status:current")
    assert [service["name"] for service in services] == ["plex", "overseerr", "uptime-kuma", "youtube"]


async def test_status_comes_by_the_clock_to_subscribers_only(start_app: Any, new_client: Any, connect: Connect) -> None:
    app = await start_app(status_interval_s=0.05)
    friend = await new_client(app, signed_in=True)
    watching, idle = [await connect(app, friend.token, "/status") for _ in range(2)]
    await watching.emit("/status", "subscribe:status")
    first = await watching.expect("/status", "service:status")
    second = await watching.expect("/status", "service:status")
    assert second["check"] == first["check"] + 1
    await watching.emit("/status", "unsubscribe:status")
    await watching.ask("/status", "client:ping")
    watching.forget("/status", "service:status")
    await asyncio.sleep(0.15)
    assert watching.forget("/status", "service:status") == 0
    assert idle.forget("/status", "service:status") == 0


async def test_refresh_reaches_all_twenty_who_watch(app: DemoApp, new_client: Any, connect: Connect) -> None:
    friend = await new_client(app, signed_in=True)
    lives = await asyncio.gather(*(connect(app, friend.token, "/status") for _ in range(20)))
    for live in lives:
        await live.emit("/status", "subscribe:status")
        await live.expect("/status", "status:current")
    await lives[0].emit("/status", "request:refresh")
    heard = await asyncio.gather(*(live.expect("/status", "service:status") for live in lives))
    assert all(message == heard[0] for message in heard)
    assert app.counts.broadcasts == 1


async def test_each_fourth_receiver_is_left_out_when_that_is_broken(
    start_app: Any, new_client: Any, connect: Connect
) -> None:
    app = await start_app(Faults(mute_every=4))
    friend = await new_client(app, signed_in=True)
    lives = [await connect(app, friend.token, "/status") for _ in range(8)]
    for live in lives:
        await live.emit("/status", "subscribe:status")
        await live.expect("/status", "status:current")
    await app.broadcast_status()
    for live in lives:
        await live.ask("/status", "client:ping")
    assert [live.forget("/status", "service:status") for live in lives] == [1, 1, 1, 0, 1, 1, 1, 0]


async def test_request_is_told_to_its_own_friend_only(
    app: DemoApp, friend: Any, new_client: Any, connect: Connect
) -> None:
    other = await new_client(app, signed_in=True)
    mine, theirs = await connect(app, friend.token, "/authenticated"), await connect(app, other.token, "/authenticated")
    wish = (await friend.ask_for()).json["data"]
    assert await mine.expect("/authenticated", "request:created") == wish
    await friend.send("DELETE", f"/api/v1/media/requests/{wish['id']}")
    told = await mine.expect("/authenticated", "request:status")
    assert told == {"requestId": wish["id"], "status": "cancelled"}
    await theirs.ask("/authenticated", "client:ping")
    assert theirs.forget("/authenticated", "request:created") == 0


async def test_history_and_cancel_are_acknowledged(
    app: DemoApp, friend: Any, new_client: Any, connect: Connect
) -> None:
    wish = (await friend.ask_for()).json["data"]
    live = await connect(app, friend.token, "/authenticated")
    history = await live.ask("/authenticated", "requests:history", {"limit": 10})
    assert history == {"success": True, "data": {"requests": [wish], "total": 1, "hasMore": False}}
    stranger = await new_client(app, signed_in=True)
    elsewhere = await connect(app, stranger.token, "/authenticated")
    assert (await elsewhere.ask("/authenticated", "request:cancel", wish["id"]))["success"] is False
    assert await live.ask("/authenticated", "request:cancel", wish["id"]) == {"success": True}
    assert await friend.api("media/requests") == []


async def test_room_hears_what_its_other_members_say(app: DemoApp, friend: Any, connect: Connect) -> None:
    inside, also_inside, outside = [await connect(app, friend.token, "/media") for _ in range(3)]
    for live in (inside, also_inside):
        await live.emit("/media", "join-media-room", "movie:36877")
        assert (await live.expect("/media", "joined-room"))["room"] == "movie:36877"
    await inside.emit("/media", "media-status", {"room": "movie:36877", "status": "playing"})
    assert (await also_inside.expect("/media", "media-status"))["status"] == "playing"
    for live in (inside, outside):
        await live.ask("/media", "client:ping")
        assert live.forget("/media", "media-status") == 0


async def test_poster_is_acknowledged_with_bytes(app: DemoApp, friend: Any, connect: Connect) -> None:
    live = await connect(app, friend.token, "/media")
    answer = await live.ask("/media", "poster:get", 36877)
    assert isinstance(answer["image"], bytes)
    assert answer["image"].startswith(b"<svg")
    assert (await live.ask("/media", "poster:get", "x"))["success"] is False


async def test_events_nobody_knows_are_counted(app: DemoApp, friend: Any, connect: Connect) -> None:
    live = await connect(app, friend.token, "/media")
    await live.emit("/media", "connection:status", {"connected": True})
    await live.ask("/media", "client:ping")
    assert app.counts.events == {"connection:status": 1, "client:ping": 1}
    assert [row.event for row in app.counts.event_order] == ["connection:status", "client:ping"]


async def test_polling_with_upgrade_works_too(app: DemoApp, friend: Any) -> None:
    client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
    greeted = asyncio.Event()
    client.on("connection:established", lambda _: greeted.set(), namespace="/media")
    await client.connect(app.url, auth={"token": friend.token}, namespaces=["/media"])
    await asyncio.wait_for(greeted.wait(), 5)
    assert client.transport() == "websocket"
    assert (await client.call("client:ping", 1, namespace="/media"))["sent"] == 1
    await client.disconnect()
    assert app.counts.sockets == 1


async def test_stop_closes_open_sockets_at_once(start_app: Any, new_client: Any) -> None:
    async with DemoApp() as app:
        friend = await new_client(app, signed_in=True)
        live = LiveConnection(app.url, aiohttp.CookieJar(unsafe=True))
        await live.open(("/media",), {"token": friend.token})
        loop = asyncio.get_running_loop()
        began = loop.time()
        await app.stop()
        assert loop.time() - began < 1.5
    await live.close()
