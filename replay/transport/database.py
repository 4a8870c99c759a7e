"""One connection to a PostgreSQL server: logs in, sends what it is told, and lets the decoder of recordings tell what
came of it. So a query that is asked again is measured exactly as one that passed the recorder.

Never decides what to send, and keeps no rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from typing import NamedTuple, cast

from nestperf.capture.clock import Clock
from nestperf.wire import postgres_sent as sent
from nestperf.wire.observations import QuerySeen
from nestperf.wire.postgres import PostgresDecoder
from nestperf.wire.postgres_login import Login
from replay.transport.dial import Target, describe_refusal, dial

APPLICATION = "nestperf"


class Person(NamedTuple):
    """Who logs in, where, and how."""

    user: str
    password: str | None
    database: str
    tls: ssl.SSLContext | None
    must_tls: bool

    def __repr__(self) -> str:
        return "Person"


class LoginRefused(Exception):
    """No connection came about; `str()` says why, without the password."""

    def __init__(self, reason: str, sqlstate: str | None = None) -> None:
        super().__init__(reason)
        self.sqlstate = sqlstate


class ConnectionOver(Exception):
    """The connection ended before the answer did."""


class DatabaseConnection(asyncio.Protocol):
    """Open with `open_database`; ask one thing at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._decoder: PostgresDecoder | None = None
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[None] | None = None
        self._came = bytearray()
        """What came before the login was through."""
        self._seen: list[QuerySeen] = []
        self._over = False

    async def ask(self, messages: bytes) -> list[QuerySeen]:
        """Send messages that end with a Sync or are a simple query, and wait for all of the answer; the queries that
        were in them.

        Raises:
            ConnectionOver: it ended first.
        """
        transport, decoder = self._transport, self._decoder
        assert transport is not None
        assert decoder is not None
        if self._over:
            raise ConnectionOver
        self._seen = []
        self._answer = asyncio.get_running_loop().create_future()
        now_ns = self._clock.now_ns()
        transport.write(messages)
        decoder.receive("client", messages, now_ns)
        await self._answer
        return self._seen

    def under_way(self) -> list[QuerySeen]:
        """The queries without a complete answer."""
        decoder = self._decoder
        return [] if decoder is None else [one for one in decoder.unfinished() if isinstance(one, QuerySeen)]

    def close(self) -> None:
        """Say good-bye and close."""
        self._over = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(sent.TERMINATE)
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._over = True
        if self._transport is not None:
            self._transport.abort()

    async def log_in(self, person: Person, host: str) -> None:
        """Turn to TLS where that is wanted, and log in.

        Raises:
            LoginRefused: the server, or what it asks for, says no.
            OSError: the connection failed.
        """
        assert self._transport is not None
        is_safe = False
        if person.tls is not None:
            self._transport.write(sent.SSL_REQUEST)
            answer = await self._next_bytes()
            if answer == b"S":
                loop = asyncio.get_running_loop()
                hostname = host if person.tls.check_hostname else None
                self._transport = await loop.start_tls(self._transport, self, person.tls, server_hostname=hostname)
                is_safe = True
            elif person.must_tls:
                raise LoginRefused("the server does not speak TLS")
        hello = sent.startup(user=person.user, database=person.database, application_name=APPLICATION)
        login = Login(person.user, person.password, secrets.token_urlsafe(18), clear=is_safe or _is_here(host))
        assert self._transport is not None
        self._transport.write(hello)
        while not login.done:
            answer = login.receive(await self._next_bytes())
            if login.refusal:
                raise LoginRefused(login.refusal, login.sqlstate)
            if answer:
                self._transport.write(answer)
        self._decoder = PostgresDecoder()
        self._decoder.receive("client", hello, self._clock.now_ns())

    async def _next_bytes(self) -> bytes:
        if not self._came and not self._over:
            self._answer = asyncio.get_running_loop().create_future()
            with contextlib.suppress(ConnectionOver):
                await self._answer
        if not self._came:
            raise LoginRefused("the server closed the connection")
        came, self._came = bytes(self._came), bytearray()
        return came

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, or has turned to TLS."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """The server said something."""
        decoder = self._decoder
        if decoder is None:
            self._came += data
            self._settle()
            return
        now_ns = self._clock.now_ns()
        self._seen += [one for one in decoder.receive("server", data, now_ns) if isinstance(one, QuerySeen)]
        if not decoder.waiting:
            self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._over = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionOver())

    def _settle(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)


async def open_database(target: Target, person: Person, clock: Clock, timeout_s: float) -> DatabaseConnection:
    """A connection that is logged in.

    Raises:
        LoginRefused: it did not come about; says why.
    """
    connection = DatabaseConnection(clock)
    try:
        async with asyncio.timeout(timeout_s):
            await dial(target, None, lambda: connection)
            await connection.log_in(person, target.host)
    except TimeoutError:
        connection.abort()
        raise LoginRefused("it did not answer in time") from None
    except OSError as error:
        connection.abort()
        raise LoginRefused(describe_refusal(target, error)) from error
    except BaseException:
        connection.abort()
        raise
    return connection


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
