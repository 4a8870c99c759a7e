"""The stand-in's Socket.IO server: namespaces, rooms, acks and the status broadcast, named as MediaNest names them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import socketio
from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused

from nestperf.demo.answers import timestamp
from nestperf.demo.catalogue import poster_svg
from nestperf.demo.counts import Counts, ReceivedEvent
from nestperf.demo.faults import Faults
from nestperf.demo.identity import Identity
from nestperf.demo.services import check_services
from nestperf.demo.store import MediaRequest, Store

NAMESPACES = ("/", "/authenticated", "/media", "/status")
STATUS_ROOM = "status-updates"
_STATUS_NAMESPACES = ("/", "/status")
_USER_NAMESPACES = ("/", "/authenticated")
_KNOWN = "/authenticated"
"""Where a connection is counted that may be kicked."""
_KICK_S = 1.5
_CLOSING_S = 2.0
"""How long open sockets get to take their close packet when the application stops."""

Event = Callable[..., Awaitable[object]]


class Sockets:
    """Everything live: who is connected, which rooms they are in, what is pushed to them."""

    def __init__(
        self,
        *,
        store: Store,
        counts: Counts,
        faults: Faults,
        status_interval_s: float,
        identity_of: Callable[[object], Identity | None],
    ) -> None:
        self.checks = 0
        """How often the services were checked."""
        self._store = store
        self._counts = counts
        self._faults = faults
        self._interval_s = status_interval_s
        self._identity_of = identity_of
        self._friends: dict[str, Identity] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._server = socketio.AsyncServer(
            async_mode="aiohttp", ping_interval=25, ping_timeout=60, max_http_buffer_size=1_000_000
        )
        for namespace in NAMESPACES:
            self._listen(namespace)

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application's router."""
        return [web.route("*", "/socket.io/", self._connect_transport)]

    def start(self) -> None:
        """Begin the status broadcasts."""
        self._spawn(self._keep_broadcasting())

    async def stop(self) -> None:
        """Close every socket and end the background tasks."""
        # One by one: engineio's own "all of them" fails when the last one closes by itself in the meantime.
        closing = [self._server.eio.disconnect(socket_id) for socket_id in list(self._server.eio.sockets)]
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), _CLOSING_S)
        await self._server.shutdown()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def broadcast_status(self) -> None:
        """Check the services and tell everybody in the status room."""
        self.checks += 1
        self._counts.broadcasts += 1
        message = {"services": self._statuses(), "check": self.checks, "timestamp": timestamp()}
        for namespace in _STATUS_NAMESPACES:
            await self._server.emit(
                "service:status", message, room=STATUS_ROOM, namespace=namespace, skip_sid=self._muted(namespace)
            )

    async def request_created(self, wish: MediaRequest) -> None:
        """Tell a friend's own sockets about their new wish."""
        await self._tell_user(wish.user_id, "request:created", wish.as_json())

    async def request_status(self, wish: MediaRequest, status: str) -> None:
        """Tell a friend's own sockets what became of a wish."""
        await self._tell_user(wish.user_id, "request:status", {"requestId": wish.id, "status": status})

    # -- events -----------------------------------------------------------------------------------------------------

    def _listen(self, namespace: str) -> None:
        events: dict[str, Event] = {
            "client:ping": self._on_ping,
            "subscribe:status": self._on_subscribe,
            "unsubscribe:status": self._on_unsubscribe,
            "status:get": self._on_status_get,
            "request:refresh": self._on_refresh,
            "requests:history": self._on_history,
            "request:cancel": self._on_cancel,
            "join-media-room": self._on_join_room,
            "media-status": self._on_media_status,
            "poster:get": self._on_poster,
        }
        for name, event in events.items():
            self._server.on(name, self._counted(namespace, name, event), namespace=namespace)
        self._server.on("connect", self._connecting(namespace), namespace=namespace)
        self._server.on("disconnect", self._disconnected, namespace=namespace)
        self._server.on("*", self._other_event(namespace), namespace=namespace)

    def _counted(self, namespace: str, name: str, event: Event) -> Event:
        async def receive(sid: str, *arguments: Any) -> object:
            self._counts.event_arrived(ReceivedEvent(socket=sid, namespace=namespace, event=name))
            return await event(namespace, sid, *arguments[:1])

        return receive

    def _other_event(self, namespace: str) -> Callable[..., Awaitable[None]]:
        async def receive(name: str, sid: str, *_: Any) -> None:
            self._counts.event_arrived(ReceivedEvent(socket=sid, namespace=namespace, event=name))

        return receive

    def _connecting(self, namespace: str) -> Callable[..., Awaitable[None]]:
        async def connect(sid: str, _: dict[str, Any], auth: object = None) -> None:
            friend = self._identity_of(auth.get("token") if isinstance(auth, dict) else None)
            if friend is None and namespace != "/":
                self._counts.refused_namespaces[namespace] += 1
                raise Refused("Authentication required")
            self._counts.namespaces[namespace] += 1
            if friend is not None:
                self._friends[sid] = friend
                self._counts.socket_users.add(friend.user_id)
                await self._server.enter_room(sid, _user_room(friend.user_id), namespace=namespace)
            if self._is_kicked(namespace):
                self._spawn(self._kick(self._server.manager.eio_sid_from_sid(sid, namespace)))
            self._spawn(self._greet(namespace, sid))

        return connect

    async def _disconnected(self, sid: str, _: str = "") -> None:
        self._friends.pop(sid, None)

    async def _greet(self, namespace: str, sid: str) -> None:
        # A task of its own runs after the connect packet has been queued, so that the greeting comes behind it.
        await asyncio.sleep(0)
        greeting = {"socketId": sid, "timestamp": timestamp(), "serverTime": _milliseconds()}
        await self._server.emit("connection:established", greeting, to=sid, namespace=namespace)

    async def _on_ping(self, _namespace: str, _sid: str, sent: object = None) -> object:
        step = self._faults.silent_every
        if step and self._counts.events["client:ping"] % step == 0:
            self._counts.silenced += 1
            return self._server.not_handled  # the one answer that sends no ack
        return {"pong": True, "sent": sent, "serverTime": _milliseconds()}

    async def _on_subscribe(self, namespace: str, sid: str, _: object = None) -> None:
        most = self._faults.forget_after
        if most and self._counts.events["subscribe:status"] > most:
            self._counts.forgotten += 1
        else:
            await self._server.enter_room(sid, STATUS_ROOM, namespace=namespace)
        await self._server.emit("status:current", self._statuses(), to=sid, namespace=namespace)

    async def _on_unsubscribe(self, namespace: str, sid: str, _: object = None) -> None:
        await self._server.leave_room(sid, STATUS_ROOM, namespace=namespace)

    async def _on_status_get(self, namespace: str, sid: str, _: object = None) -> None:
        await self._server.emit("status:current", self._statuses(), to=sid, namespace=namespace)

    async def _on_refresh(self, _namespace: str, _sid: str, _: object = None) -> None:
        await self.broadcast_status()

    async def _on_history(self, _namespace: str, sid: str, options: object = None) -> object:
        friend = self._friends.get(sid)
        if friend is None:
            return {"success": False, "error": "User ID not found"}
        wanted = options.get("limit", 50) if isinstance(options, dict) else 50
        limit = min(wanted, 100) if isinstance(wanted, int) and wanted > 0 else 50
        total = await self._store.count_requests(friend.user_id)
        wishes = [wish.as_json() for wish in await self._store.requests(friend.user_id, limit=limit)]
        return {"success": True, "data": {"requests": wishes, "total": total, "hasMore": total > len(wishes)}}

    async def _on_cancel(self, _namespace: str, sid: str, request_id: object = None) -> object:
        friend = self._friends.get(sid)
        wish = await self._store.request(request_id) if isinstance(request_id, str) else None
        if friend is None or wish is None or wish.user_id != friend.user_id:
            return {"success": False, "error": "Request not found"}
        await self._store.delete_request(wish.id)
        await self.request_status(wish, "cancelled")
        return {"success": True}

    async def _on_join_room(self, namespace: str, sid: str, room: object = None) -> None:
        name = str(room)[:100]
        await self._server.enter_room(sid, f"media:{name}", namespace=namespace)
        await self._server.emit("joined-room", {"room": name, "timestamp": timestamp()}, to=sid, namespace=namespace)

    async def _on_media_status(self, namespace: str, sid: str, status: object = None) -> None:
        room = str(status.get("room", ""))[:100] if isinstance(status, dict) else ""
        await self._server.emit("media-status", status, room=f"media:{room}", namespace=namespace, skip_sid=sid)

    async def _on_poster(self, _namespace: str, _sid: str, tmdb_id: object = None) -> object:
        title = await self._store.poster_title(tmdb_id) if isinstance(tmdb_id, int) else None
        if title is None:
            return {"success": False, "error": "Media not found"}
        return {"success": True, "mediaType": "image/svg+xml", "image": poster_svg(title).encode()}

    # -- the server ---------------------------------------------------------------------------------------------------

    async def _connect_transport(self, request: web.Request) -> web.StreamResponse:
        # MediaNest does not accept permessage-deflate when a browser offers it; aiohttp would.
        headers = request.headers.copy()
        headers.popall("Sec-WebSocket-Extensions", None)
        response = await self._server.handle_request(request.clone(headers=headers))
        assert isinstance(response, web.StreamResponse)
        return response

    async def _keep_broadcasting(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.broadcast_status()

    async def _tell_user(self, user_id: str, event: str, message: dict[str, object]) -> None:
        for namespace in _USER_NAMESPACES:
            await self._server.emit(event, message, room=_user_room(user_id), namespace=namespace)

    def _statuses(self) -> list[dict[str, object]]:
        return [service.as_json() for service in check_services(self.checks, timestamp())]

    def _muted(self, namespace: str) -> list[str]:
        step = self._faults.mute_every
        if not step:
            return []
        # python-socketio keeps a room's members in the order in which they entered it.
        members = (sid for sid, _ in self._server.manager.get_participants(namespace, STATUS_ROOM))
        return list(islice(members, step - 1, None, step))

    def _is_kicked(self, namespace: str) -> bool:
        step = self._faults.kick_every
        return bool(step) and namespace == _KNOWN and self._counts.namespaces[namespace] % step == 0

    async def _kick(self, socket_id: str) -> None:
        await asyncio.sleep(_KICK_S)
        self._counts.kicked += 1
        await self._server.eio.disconnect(socket_id)

    def _spawn(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _user_room(user_id: str) -> str:
    return f"user:{user_id}"


def _milliseconds() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
