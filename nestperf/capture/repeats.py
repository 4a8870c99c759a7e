"""Exchanges that differ in nothing but numbers: packed while a run goes on, unpacked into rows when it is over.

A replay sends the same requests again and again. Of each of them a run stores fourteen integers, thousands in one row,
and leaves it to the end, or to whoever opens the capture of a run that was killed, to make an exchange of each.
"""

from __future__ import annotations

import sqlite3
import struct
from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.capture import model

NUMBERS = (
    "id",
    "session_id",
    "connection",
    "request_bytes",
    "reason",
    "response_bytes",
    "intended_ns",
    "sent_ns",
    "request_done_ns",
    "first_byte_ns",
    "done_ns",
    "connect_ns",
)
"""What differs between two exchanges of one pattern, as `exchanges` calls it; who sent it is known of its session. One
exchange of a pattern is these columns in that order, the pattern's number, and how long it waited for a connection to
be free (which only whoever packs them wants to know again), 64 bits each in this machine's order. `reason` is the
number of a word, `NOTHING` stands for a `connect_ns` of None."""
NOTHING = -1
_PATTERN = len(NUMBERS)
_WIDTH = len(NUMBERS) + 2
SIZE = _WIDTH * 8
"""Bytes of one exchange."""
pack = struct.Struct(f"{_WIDTH}q").pack
"""One exchange: the bytes of its numbers."""
_AT_ONCE = 64
"""Exchanges unpacked by one statement."""


class Words(dict[str, int]):
    """The numbers of words; one that was not met before gets the next."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self) + 1
        return number


class Stamps(NamedTuple):
    """Of packed exchanges, an array each, nanoseconds."""

    intended: NDArray[np.int64]
    sent: NDArray[np.int64]
    done: NDArray[np.int64]
    connect: NDArray[np.int64]
    """`NOTHING` where none waited to connect."""
    queued: NDArray[np.int64]


def stamps(packed: bytes | bytearray) -> Stamps:
    """What the numbers of packed exchanges say of time."""
    columns = np.frombuffer(packed, dtype=np.int64).reshape(-1, _WIDTH).T
    named = dict(zip(NUMBERS, columns, strict=False))
    return Stamps(
        named["intended_ns"], named["sent_ns"], named["done_ns"], named["connect_ns"], queued=columns[_PATTERN + 1]
    )


def create(connection: sqlite3.Connection) -> None:
    """The tables: packed exchanges, what they have in common, and the words among their numbers."""
    columns = ", ".join(name for name in model.Exchange._fields if name != "id")
    connection.execute("create table repeats (id integer primary key, numbers blob) strict")
    connection.execute(f"create table repeat_patterns (id integer primary key, {columns})")
    connection.execute("create table repeat_words (id integer primary key, word text) strict")


def exist(connection: sqlite3.Connection) -> bool:
    """Whether a capture has exchanges that are still packed."""
    return connection.execute("select 1 from repeats limit 1").fetchone() is not None


def unpack(connection: sqlite3.Connection) -> None:
    """Make rows of all packed exchanges, some thousands in a transaction: what is done stays done.

    Raises:
        sqlite3.Error: the disk is full, the file locked, ...; what is still packed stays packed.
    """
    for (row_id,) in connection.execute("select id from repeats order by id").fetchall():
        connection.execute("begin immediate")
        with connection:
            _unpack(connection, row_id)
            connection.execute("delete from repeats where id = ?", (row_id,))
    connection.execute("delete from repeat_patterns")
    connection.execute("delete from repeat_words")


def show_unpacked(connection: sqlite3.Connection) -> None:
    """Have a connection that cannot write find all exchanges where it looks for them, as they are at this moment."""
    create_rows = connection.execute("select sql from sqlite_master where name = 'exchanges'").fetchone()[0]
    connection.execute("begin")
    connection.execute(create_rows.replace("CREATE TABLE", "create temp table", 1))
    connection.execute("insert into temp.exchanges select * from main.exchanges")
    for (row_id,) in connection.execute("select id from repeats order by id").fetchall():
        _unpack(connection, row_id)
    connection.execute("commit")


def _unpack(connection: sqlite3.Connection, row_id: int) -> None:
    (packed,) = connection.execute("select numbers from repeats where id = ?", (row_id,)).fetchone()
    numbers = array("q", packed)
    if len(numbers) % _WIDTH:
        raise ValueError(f"row {row_id} of repeats holds no whole number of exchanges")
    most = _AT_ONCE * _WIDTH
    for at in range(0, len(numbers), most):
        some = numbers[at : at + most]
        connection.execute(_SQL if len(some) == most else _insert(len(some) // _WIDTH), some.tolist())


def _insert(exchanges: int) -> str:
    """Insert so many exchanges, each out of its numbers, its pattern and its word."""
    numbers = {name: f"column{at}" for at, name in enumerate(NUMBERS, 1)}
    places = numbers | {
        "reason": "nullif(word, '')",
        "client_id": "sessions.client_id",
        "connect_ns": f"nullif({numbers['connect_ns']}, {NOTHING})",
    }
    columns = ", ".join(places.get(name, f"repeat_patterns.{name}") for name in model.Exchange._fields)
    marks = ", ".join([f"({', '.join('?' * _WIDTH)})"] * exchanges)
    return (
        f"insert into exchanges select {columns} from (values {marks}) "  # noqa: S608 - our names
        f"cross join repeat_patterns on repeat_patterns.id = column{_PATTERN + 1} "
        f"cross join repeat_words on repeat_words.id = {numbers['reason']} "
        f"left join sessions on sessions.id = {numbers['session_id']}"
    )


_SQL = _insert(_AT_ONCE)
