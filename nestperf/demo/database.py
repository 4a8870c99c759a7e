"""Where the stand-in keeps its tables: SQLite, or PostgreSQL where a URL names one. SQL with `$1` suits both."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nestperf.errors import UsageError

if TYPE_CHECKING:
    import asyncpg

_CONNECTIONS = 10
"""As Prisma's pools have. None is kept for its own sake: a relay in between comes and goes."""
_PARAMETER = re.compile(r"\$(\d+)")

Row = Sequence[Any]


class Duplicate(Exception):
    """A row that there may be only once is there already."""


class Database(Protocol):
    """What the store needs of a database."""

    async def run(self, sql: str, *values: Any) -> list[Row]:
        """Run one statement; the rows it returns.

        Raises:
            Duplicate: a unique constraint forbids it.
        """

    async def insert_many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run one statement for each row."""

    async def close(self) -> None:
        """Let the database go; what was in memory only is gone."""


class SqliteDatabase:
    """SQLite in memory, or in a file."""

    def __init__(self, path: str = ":memory:") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    async def run(self, sql: str, *values: Any) -> list[Row]:
        """As `Database.run`."""
        try:
            return self._connection.execute(_PARAMETER.sub("?", sql), _in_order(sql, values)).fetchall()
        except sqlite3.IntegrityError as error:
            raise Duplicate from error

    async def insert_many(self, sql: str, rows: Sequence[Row]) -> None:
        """As `Database.insert_many`."""
        self._connection.executemany(_PARAMETER.sub("?", sql), [_in_order(sql, row) for row in rows])

    async def close(self) -> None:
        """As `Database.close`."""
        self._connection.close()


def _in_order(sql: str, values: Row) -> Row:
    """The values in the order in which the text names them, which is how `?` takes them."""
    return [values[int(number) - 1] for number in _PARAMETER.findall(sql)]


class PostgresDatabase:
    """A pool of connections to PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def run(self, sql: str, *values: Any) -> list[Row]:
        """As `Database.run`."""
        import asyncpg

        try:
            return [tuple(row) for row in await self._pool.fetch(sql, *values)]
        except asyncpg.UniqueViolationError as error:
            raise Duplicate from error

    async def insert_many(self, sql: str, rows: Sequence[Row]) -> None:
        """As `Database.insert_many`."""
        await self._pool.executemany(sql, rows)

    async def close(self) -> None:
        """As `Database.close`."""
        await self._pool.close()


async def open_database(name: str) -> Database:
    """A database by its URL (`postgresql://...`), SQLite file, or `:memory:`.

    Raises:
        UsageError: it cannot be reached, or its client is not installed.
    """
    if not name.startswith(("postgres://", "postgresql://")):
        return SqliteDatabase(name)
    try:
        import asyncpg
    except ImportError as error:
        raise UsageError("PostgreSQL needs the asyncpg package: pip install 'nestperf[database]'.") from error

    class Connection(asyncpg.Connection):  # type: ignore[misc]
        """One that is given back to the pool as it is: this application leaves nothing behind to reset."""

        def get_reset_query(self) -> str:
            return ""

    try:
        pool = await asyncpg.create_pool(
            name, min_size=0, max_size=_CONNECTIONS, ssl=False, connection_class=Connection
        )
        await pool.fetchval("select 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UsageError(
            f"Cannot use the database: {type(error).__name__}. Is it running, and the URL right?"
        ) from error
    return PostgresDatabase(pool)
