"""Asks recorded reads on several connections at once and stores what came of it.

Every read has a transaction of its own, `BEGIN READ ONLY` before and `ROLLBACK` behind it: what writes is refused by
the server. A connection never asks before it knows that such a transaction is open, and has only one thing under way.
The loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nestperf.capture.clock import Clock
from nestperf.capture.model import Query
from nestperf.capture.queries import build_query
from nestperf.capture.writer import CaptureWriter
from nestperf.wire import postgres_sent as sent
from nestperf.wire.observations import QuerySeen
from replay.database.reads import Read
from replay.database.tally import Spent, Tally
from replay.process import signals, undisturbed, used_cpu_ns
from replay.transport.database import (
    APPLICATION,
    ConnectionOver,
    DatabaseConnection,
    LoginRefused,
    Person,
    open_database,
)
from replay.transport.dial import Target

_PATIENCE_S = 5.0
"""How much longer than the server we wait: it ends a read that takes too long by itself."""
_INTERRUPTED_S = 2.0
"""What is under way when Ctrl-C comes may take so long."""
_AT_ONCE = 256
"""Rows stored together."""
_MOST_PREPARED = 500
"""Statements prepared on one connection; the server holds a plan for each."""
_ROLLBACK = sent.query("ROLLBACK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a run was asked for."""

    target: Target
    person: Person
    concurrency: int
    loops: int
    """How often all reads; without effect where there is a duration."""
    duration_ns: int | None
    timeout_s: float
    """Of one read."""
    together: bool = False
    """In rounds: as many reads as there are connections are sent at the same moment, and nobody goes on alone."""

    def turns(self, reads: int) -> int | None:
        """How many reads are asked in all; None where time ends it. Rounds are whole."""
        if self.duration_ns is not None:
            return None
        turns = self.loops * reads
        return -(-turns // self.concurrency) * self.concurrency if self.together else turns

    @property
    def begin(self) -> bytes:
        """What opens a transaction; the time limit ends with it."""
        limit_ms = max(1, round(self.timeout_s * 1e3))
        return sent.query(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {limit_ms}")


class DatabaseRun:
    """One run. Connect first, then run."""

    def __init__(self, reads: Sequence[Read], asking: Asking, clock: Clock) -> None:
        self.tally = Tally()
        self._reads = reads
        self._asking = asking
        self._begin = asking.begin
        self._clock = clock
        self._turn = 0
        self._most = asking.turns(len(reads))
        self._end_ns: int | None = None
        self._connections: list[DatabaseConnection] = []
        self._rows: list[Query] = []
        self._next_row = 1
        self._interrupts = 0
        self._workers: list[asyncio.Task[None]] = []
        self._gate = asyncio.Barrier(asking.concurrency) if asking.together else None

    async def connect(self) -> None:
        """Open all connections.

        Raises:
            LoginRefused: one of them did not come about; none is left open.
        """
        opening = [self._open() for _ in range(self._asking.concurrency)]
        opened = await asyncio.gather(*opening, return_exceptions=True)
        self._connections = [one for one in opened if isinstance(one, DatabaseConnection)]
        for failure in opened:
            if isinstance(failure, BaseException):
                for connection in self._connections:
                    connection.close()
                raise failure

    async def run(self, writer: CaptureWriter) -> Spent:
        """Ask until all is asked, the time is over or Ctrl-C; everything is stored when this returns."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread, signals(loop, self._interrupt):
            with undisturbed():
                begun_ns, begun_cpu_ns = self._clock.now_ns(), used_cpu_ns()
                if self._asking.duration_ns is not None:
                    self._end_ns = begun_ns + self._asking.duration_ns
                self._workers = [
                    loop.create_task(self._work(number, connection, writer, thread))
                    for number, connection in enumerate(self._connections, 1)
                ]
                await asyncio.gather(*self._workers, return_exceptions=True)
                spent = Spent(self._clock.now_ns() - begun_ns, used_cpu_ns() - begun_cpu_ns)
            for connection in self._connections:
                connection.close()
            self._store(writer, thread)
        for worker in self._workers:
            if not worker.cancelled() and (error := worker.exception()) is not None:
                raise error
        return spent

    @property
    def interrupts(self) -> int:
        """How often Ctrl-C came."""
        return self._interrupts

    async def _open(self) -> DatabaseConnection:
        asking = self._asking
        self.tally.connections += 1
        return await open_database(asking.target, asking.person, self._clock, asking.timeout_s)

    async def _work(
        self, number: int, connection: DatabaseConnection, writer: CaptureWriter, thread: ThreadPoolExecutor
    ) -> None:
        """Take turns until there are none; after a lost connection, with another one."""
        prepared: dict[tuple[str, tuple[int, ...]], str] = {}
        while (read := self._take()) is not None:
            try:
                async with asyncio.timeout(self._asking.timeout_s + _PATIENCE_S):
                    await self._ask(number, connection, read, prepared)
            except asyncio.BrokenBarrierError:
                return
            except (ConnectionOver, TimeoutError, asyncio.CancelledError) as why:
                if self._gate is not None:
                    await self._gate.abort()
                for one in connection.under_way():
                    if one.protocol != "simple":  # those are the transaction's
                        self._note(number, read, one)
                connection.abort()
                self.tally.cut += 1
                if isinstance(why, asyncio.CancelledError):
                    raise
                if self._gate is not None:
                    self.tally.trouble("a connection was lost, and with it the round")
                    return
                try:
                    connection = self._connections[number - 1] = await self._open()
                except LoginRefused as refusal:
                    self.tally.trouble(f"a connection was lost and did not come back: {refusal}")
                    return
                prepared = {}
            if len(self._rows) >= _AT_ONCE:
                self._store(writer, thread)
        if self._interrupts and self._gate is not None:
            await self._gate.abort()  # nobody waits for who has left

    def _take(self) -> Read | None:
        if self._interrupts or (self._most is not None and self._turn >= self._most):
            return None
        if self._end_ns is not None and self._clock.now_ns() >= self._end_ns:
            return None
        self._turn += 1
        return self._reads[(self._turn - 1) % len(self._reads)]

    async def _ask(
        self,
        number: int,
        connection: DatabaseConnection,
        read: Read,
        prepared: dict[tuple[str, tuple[int, ...]], str],
    ) -> None:
        begun = await connection.ask(self._begin)
        if not _is_open(begun):
            failed = next((one.sqlstate for one in begun if one.sqlstate), None)
            self.tally.trouble(f"no read-only transaction could begin (SQLSTATE {failed}): the read was not asked")
            await connection.ask(_ROLLBACK)
            if self._gate is not None:
                await self._gate.abort()
            return
        name, seen = await self._prepare(connection, read, prepared)
        if self._gate is not None:
            await self._gate.wait()
        if not seen:
            parse = b"" if name else sent.parse(read.text, types=read.types)
            ask = parse + sent.bind(read.values, name) + sent.DESCRIBE_PORTAL + sent.EXECUTE_ALL + sent.SYNC
            seen = await connection.ask(ask)
        for one in seen:
            self._note(number, read, one)
        await connection.ask(_ROLLBACK)

    async def _prepare(
        self, connection: DatabaseConnection, read: Read, prepared: dict[tuple[str, tuple[int, ...]], str]
    ) -> tuple[str, list[QuerySeen]]:
        """The name of its statement on this connection (empty where it is parsed each time), and what came of it where
        it could not be prepared."""
        key = (read.text, read.types)
        if not read.prepared or (key not in prepared and len(prepared) >= _MOST_PREPARED):
            return "", []
        name = prepared.get(key)
        if name is None:
            name = f"{APPLICATION}_{len(prepared)}"
            seen = await connection.ask(sent.parse(read.text, name, read.types) + sent.SYNC)
            if any(one.outcome != "ok" for one in seen):
                return name, [one._replace(protocol="prepared") for one in seen]
            prepared[key] = name
        return name, []

    def _note(self, number: int, read: Read, seen: QuerySeen) -> None:
        row = build_query(
            self._next_row,
            seen,
            connection=number,
            upstream=0,
            database=self._asking.person.database,
            application=APPLICATION,
            statement_id=read.statement or None,
            stamp=lambda stamp_ns: stamp_ns,
        )
        self._next_row += 1
        self._rows.append(row)
        self.tally.count(row)

    def _store(self, writer: CaptureWriter, thread: ThreadPoolExecutor) -> None:
        rows, self._rows = self._rows, []
        self.tally.times_ns.fold()
        # What cannot be stored now stays with the writer, which tries again; the last time it says so.
        thread.submit(_write, writer, rows)

    def _interrupt(self) -> None:
        """Ctrl-C: nothing new is asked; what is under way has a moment, or none when it comes again."""
        self._interrupts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(0 if self._interrupts > 1 else _INTERRUPTED_S, self._cut)

    def _cut(self) -> None:
        for worker in self._workers:
            worker.cancel()


def _is_open(begun: Sequence[QuerySeen]) -> bool:
    """Whether the transaction is there: both of its statements went well and the server says that it is open."""
    return len(begun) == 2 and all(one.outcome == "ok" for one in begun) and begun[-1].transaction == "open"


def _write(writer: CaptureWriter, rows: Sequence[Query]) -> None:
    writer.extend(rows)
    writer.commit()
