"""Reads captures, also while they are written: every method gives rows of `nestperf.capture.model`."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from nestperf.capture import model, repeats, schema
from nestperf.capture.marks import TEST_HEADER, Named, name_exchanges, test_name
from nestperf.capture.marks import Row as NameRow
from nestperf.capture.sessions import derive_sessions
from nestperf.errors import CaptureEmpty, CaptureForeign, CaptureMissing, CaptureNewer, CaptureTruncated
from nestperf.printable import printable

_TRACE = re.compile(r'"traceparent", ?"[0-9a-f]{2}-([0-9a-f]{32})-', re.IGNORECASE)

R = TypeVar("R", bound=tuple[Any, ...])

SQLITE = b"SQLite format 3\0"
"""What a database file begins with (https://www.sqlite.org/fileformat.html)."""
DAMAGE = (sqlite3.DatabaseError, ValueError, TypeError)
"""What a damaged file makes of itself: pages that are none, text that is no UTF-8 or JSON, words nobody wrote."""


class Capture:
    """One capture file, opened for reading."""

    def __init__(self, path: Path, connection: sqlite3.Connection, run: model.Run, version: int) -> None:
        self.path = path
        self.version = version
        """Of its format."""
        self.run = run
        self._connection = connection
        self._headers: dict[int, model.Pairs] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a capture.

        Raises:
            CaptureMissing, CaptureForeign, CaptureEmpty, CaptureNewer, CaptureTruncated: it cannot be used, and why.
        """
        if _beginning(path) != SQLITE:
            raise _foreign(path)
        try:
            connection = connect(path)
        except DAMAGE as error:
            raise _truncated(path, error) from error
        try:
            application_id = _pragma(connection, "application_id")
            version = _pragma(connection, "user_version")
            if application_id != schema.APPLICATION_ID:
                raise _foreign(path)
            if version > schema.FORMAT:
                raise CaptureNewer(
                    f"{path} has format {version}, this nestperf reads up to {schema.FORMAT}: upgrade nestperf."
                )
            begun = connection.execute("select 1 from sqlite_master where name = 'run'").fetchone()
            rows = connection.execute("select * from run").fetchall() if begun else []
            if not rows:
                raise CaptureEmpty(f"{path} ended before anything was stored: record again.")
            if version >= schema.SINCE["repeats"] and repeats.exist(connection):
                repeats.show_unpacked(connection)
            return cls(path, connection, _run(rows[0]), version)
        except BaseException as error:
            connection.close()
            if isinstance(error, DAMAGE):
                raise _truncated(path, error) from error
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def check(self) -> None:
        """Read the whole file once for damage.

        Raises:
            CaptureTruncated: it is damaged.
        """
        try:
            verdict = self._connection.execute("pragma quick_check").fetchone()[0]
        except DAMAGE as error:
            raise _truncated(self.path, error) from error
        if verdict != "ok":
            raise _truncated(self.path, verdict)

    def count(self, row_type: type[Any]) -> int:
        """Rows of a table."""
        return int(self._fetch(f"select count(*) from {self._table(row_type)}").fetchone()[0])  # noqa: S608

    def columns(self, row_type: type[Any], *names: str) -> list[tuple[Any, ...]]:
        """All rows of a table by id, only the named columns: what reports turn into arrays."""
        unknown = set(names) - set(row_type._fields)
        assert not unknown, unknown
        return self._fetch(f"select {', '.join(names)} from {self._table(row_type)} order by id").fetchall()  # noqa: S608

    def column_batches(self, row_type: type[Any], *names: str, size: int = 4_000) -> Iterator[list[tuple[Any, ...]]]:
        """As `columns`, `size` rows at a time: few enough to stay in the processor's cache, which is a fifth faster."""
        unknown = set(names) - set(row_type._fields)
        assert not unknown, unknown
        cursor = self._fetch(f"select {', '.join(names)} from {self._table(row_type)} order by id")  # noqa: S608
        try:
            while rows := cursor.fetchmany(size):
                yield rows
        except DAMAGE as error:
            raise _truncated(self.path, error) from error

    def clients(self) -> Iterator[model.Client]:
        """All clients by id."""
        return self._rows(model.Client)

    def sessions(self) -> tuple[model.Session, ...]:
        """The users' visits: as stored by a replay, derived from the clients of a recording."""
        stored = tuple(self._rows(model.Session))
        if stored or self.run.purpose not in ("record", "import", "browse"):
            return stored
        return derive_sessions(self.clients(), self.exchanges(), self.sockets())

    def exchanges(self) -> Iterator[model.Exchange]:
        """All exchanges by id."""
        return self._rows(model.Exchange)

    def exchange(self, exchange_id: int) -> model.Exchange | None:
        """One exchange."""
        return next(self._rows(model.Exchange, "where id = ?", exchange_id), None)

    def headers(self, header_set: int | None) -> model.Pairs:
        """A head's fields as sent; empty for None."""
        if header_set is None:
            return ()
        pairs = self._headers.get(header_set)
        if pairs is None:
            row = next(self._rows(model.HeaderSet, "where id = ?", header_set), None)
            try:
                pairs = tuple((str(name), str(value)) for name, value in json.loads(row.pairs)) if row else ()
            except DAMAGE as error:
                raise _truncated(self.path, error) from error
            self._headers[header_set] = pairs
        return pairs

    def body(self, body_id: int | None) -> model.Body | None:
        """A body; None for None. Of one that was still growing when the run was killed, all that had come."""
        body = next(self._rows(model.Body, "where id = ?", body_id), None)
        if body is None or body.state != "cut":
            return body
        parts = b"".join(part.content for part in self._rows(model.BodyPart, "where body_id = ?", body_id))
        return body._replace(content=(body.content or b"") + parts)

    def sockets(self) -> Iterator[model.Socket]:
        """All WebSocket and Socket.IO connections by id."""
        return self._rows(model.Socket)

    def frames(self, socket_id: int | None = None) -> Iterator[model.Frame]:
        """Frames in order, of one socket or of all."""
        if socket_id is None:
            return self._rows(model.Frame)
        return self._rows(model.Frame, "where socket_id = ?", socket_id)

    def packets(self, socket_id: int | None = None) -> Iterator[model.Packet]:
        """Packets in order, of one socket or of all."""
        if socket_id is None:
            return self._rows(model.Packet)
        return self._rows(model.Packet, "where socket_id = ?", socket_id)

    def statements(self) -> Iterator[model.Statement]:
        """All shapes of SQL by id."""
        return self._rows(model.Statement)

    def traces(self) -> dict[int, str]:
        """Trace id (32 hexadecimal digits) of the `traceparent` in each header set that has one."""
        rows = self._fetch("select id, pairs from header_sets where pairs like '%traceparent%'")
        found = {header_set: _TRACE.search(pairs) for header_set, pairs in rows}
        return {header_set: match[1].lower() for header_set, match in found.items() if match is not None}

    def queries(self) -> Iterator[model.Query]:
        """All queries by id."""
        return self._rows(model.Query)

    def wordings(self) -> Iterator[model.Wording]:
        """All statements as they were asked, by id."""
        return self._rows(model.Wording)

    def literals(self) -> Iterator[model.Literals]:
        """How each query filled its wording, by the query's id."""
        return self._rows(model.Literals)

    def relations(self) -> Iterator[model.Relation]:
        """What secrets are made of, by the number in their placeholders."""
        return self._rows(model.Relation)

    def tests(self) -> dict[int, str]:
        """The test that each header set names, where it names one."""
        rows = self._fetch("select id from header_sets where pairs like ? order by id", f"%{TEST_HEADER}%").fetchall()
        found = {}
        for (header_set,) in rows:
            for name, value in self.headers(header_set):
                if name.lower() == TEST_HEADER.lower() and (test := test_name(value)):
                    found[header_set] = test
        return found

    def named(self) -> tuple[Named, ...]:
        """Which exchanges go by which name: marks', and tests'."""
        marks, tests = tuple(self.marks()), self.tests()
        if not marks and not tests:
            return ()
        batches = self.column_batches(model.Exchange, *NameRow._fields)
        rows = (NameRow._make(row) for batch in batches for row in batch)
        try:
            return name_exchanges(marks, tests, rows)
        except DAMAGE as error:
            raise _truncated(self.path, error) from error

    def marks(self) -> Iterator[model.Mark]:
        """Moments that somebody gave a name, by id."""
        return self._rows(model.Mark)

    def pages(self) -> Iterator[model.Page]:
        """What a browser saw of its pages, by id."""
        return self._rows(model.Page)

    def resources(self, page_id: int | None = None) -> Iterator[model.Resource]:
        """What a page asked for, or all pages, by id."""
        if page_id is None:
            return self._rows(model.Resource)
        return self._rows(model.Resource, "where page_id = ?", page_id)

    def timings(self) -> Iterator[model.Timing]:
        """Named moments of all pages, by id."""
        return self._rows(model.Timing)

    def one(self, row_type: type[R], row_id: int) -> R | None:
        """One row of a table."""
        return next(self._rows(row_type, "where id = ?", row_id), None)

    def during(self, row_type: type[R], stamp: str, begin_ns: int, end_ns: int, **same: Any) -> Iterator[R]:
        """The rows whose column `stamp` lies in a span, ends included, and other columns are the `same`, by id."""
        conditions = "".join(f" and {name} = ?" for name in _columns_of(row_type, stamp, *same)[1:])
        return self._rows(row_type, f"where {stamp} between ? and ?{conditions}", begin_ns, end_ns, *same.values())

    def nearest(
        self, row_type: type[R], stamp: str, moment_ns: int, row_id: int, count: int, *, later: bool, **same: Any
    ) -> list[R]:
        """Up to `count` rows before (or after) a row at `moment_ns`, of those whose columns are the `same`."""
        conditions = "".join(f"{name} = ? and " for name in _columns_of(row_type, stamp, *same)[1:])
        sign, way = (">", "asc") if later else ("<", "desc")
        ids = self._fetch(
            f"select id from {self._table(row_type)} where {conditions}({stamp}, id) {sign} (?, ?) "  # noqa: S608
            f"order by {stamp} {way}, id {way} limit ?",
            *same.values(), moment_ns, row_id, count,
        )  # fmt: skip
        found = [self.one(row_type, row_id) for (row_id,) in ids.fetchall()]
        rows = [row for row in found if row is not None]
        return rows if later else rows[::-1]

    def _table(self, row_type: type[Any]) -> str:
        """Where rows of a type stand: nothing, in a capture whose format did not have them."""
        table = schema.TABLES[row_type]
        if schema.SINCE.get(table, 1) <= self.version:
            return table
        return f"(select {', '.join(f'null as {name}' for name in row_type._fields)} where false)"

    def _rows(self, row_type: type[R], where: str = "", *values: Any) -> Iterator[R]:
        table = self._table(row_type)
        names = ", ".join(row_type._fields)  # type: ignore[attr-defined]
        cursor = self._fetch(f"select {names} from {table} {where} order by id", *values)  # noqa: S608
        make: Callable[[Any], R] = _MAKE.get(row_type) or row_type._make  # type: ignore[attr-defined]
        try:
            yield from map(make, cursor)
        except DAMAGE as error:
            raise _truncated(self.path, error) from error

    def _fetch(self, sql: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except DAMAGE as error:
            raise _truncated(self.path, error) from error


def _columns_of(row_type: type[Any], *names: str) -> tuple[str, ...]:
    """`names`, which become part of a statement: only a table's own columns may."""
    assert set(names) <= set(row_type._fields), names
    return names


def _exchange(row: tuple[Any, ...]) -> model.Exchange:
    exchange = model.Exchange._make(row)
    return exchange._replace(
        kind=model.Kind(exchange.kind),
        server_call=bool(exchange.server_call),
        outcome=model.Outcome(exchange.outcome),
    )


def _body(row: tuple[Any, ...]) -> model.Body:
    body = model.Body._make(row)
    return body._replace(chunked=bool(body.chunked))


def _socket(row: tuple[Any, ...]) -> model.Socket:
    socket = model.Socket._make(row)
    return socket._replace(outcome=model.Outcome(socket.outcome))


def _frame(row: tuple[Any, ...]) -> model.Frame:
    frame = model.Frame._make(row)
    return frame._replace(fin=bool(frame.fin), compressed=bool(frame.compressed))


def _page(row: tuple[Any, ...]) -> model.Page:
    page = model.Page._make(row)
    return page._replace(hidden=bool(page.hidden))


def _resource(row: tuple[Any, ...]) -> model.Resource:
    resource = model.Resource._make(row)
    return resource._replace(blocking=bool(resource.blocking))


_MAKE: dict[type[Any], Any] = {
    model.Exchange: _exchange,
    model.Body: _body,
    model.Socket: _socket,
    model.Frame: _frame,
    model.Page: _page,
    model.Resource: _resource,
}


def _run(row: tuple[Any, ...]) -> model.Run:
    values = dict(zip(("id", *model.Run._fields), row, strict=True))
    del values["id"]
    for name in ("settings", "losses", "relay", "certificate", "invalid", "upstreams"):
        values[name] = json.loads(values[name])
    values["upstreams"] = tuple(model.Upstream(**upstream) for upstream in values["upstreams"])
    values["invalid"] = tuple(values["invalid"])
    return model.Run(**values)


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection to a capture, whether it is being written or not."""
    # A capture that is being written has a -wal file, which a read-only connection may not be able to use in a
    # folder it cannot write; immutable is right exactly where there is none.
    wal = path.with_name(path.name + "-wal")
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, isolation_level=None)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"pragma {name}").fetchone()[0])


def _beginning(path: Path) -> bytes:
    """The first bytes of a file, as many as `SQLITE` has.

    Raises:
        CaptureMissing, CaptureEmpty: it cannot be read, or has none.
    """
    try:
        if path.is_dir():
            raise CaptureMissing(f"{path} is a folder: name a capture in it.")
        if not path.is_file():
            raise CaptureMissing(f"There is no capture {path}: record one with `nestperf record URL -o {path}`.")
        with path.open("rb") as file:
            begins = file.read(len(SQLITE))
    except OSError as error:
        raise CaptureMissing(f"Cannot read {path}: {error.strerror}.") from error
    if not begins:
        raise CaptureEmpty(f"{path} is an empty file: record again with `nestperf record URL -o {path} --force`.")
    return begins


def _foreign(path: Path) -> CaptureForeign:
    return CaptureForeign(f"{path} is not a nestperf capture: name a file that `nestperf record` wrote.")


def _truncated(path: Path, error: object) -> CaptureTruncated:
    why = printable(str(error), 200)
    return CaptureTruncated(f"{path} is damaged or cut off ({why}): copy it again, or record again.")
