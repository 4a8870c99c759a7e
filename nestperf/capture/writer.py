"""Writes one capture: rows are collected and stored in small transactions, so that the file can be read meanwhile.

Whoever writes assigns the rows' ids. A row with an id that is there already replaces it: that is how an exchange
that was stored as `unfinished` becomes what it turned out to be.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from nestperf.capture import model, repeats, schema
from nestperf.capture.files import check_writable, is_open_elsewhere, remove_capture
from nestperf.capture.sweep import all_known, join_parts, leaves_traces, sweep
from nestperf.capture.vault import Vault
from nestperf.errors import CaptureError, UsageError

_CONTENT = {model.Body: 8, model.BodyPart: 2, model.Frame: 10, model.Packet: 12}
"""Which field of a row may be large."""
_KEPT = (model.Client, model.Session, model.HeaderSet, model.Socket, model.Statement, model.Wording)
"""Rows that others refer to, and that are few: given up last."""
_MARK_PATIENCE_S = 10
"""How long a mark waits for the recorder's lock, which it holds for milliseconds at a time."""
_BAD_ROW = (ValueError, OverflowError, sqlite3.InterfaceError, sqlite3.DataError, sqlite3.IntegrityError,
            sqlite3.ProgrammingError)  # fmt: skip
_COLUMNS_AS_JSON = ("settings", "losses", "relay", "certificate", "invalid")


class CaptureWriter:
    """Owns the capture while a run writes it. One thread at a time."""

    def __init__(self, path: Path, db: Database, run: model.Run, vault: Vault | None) -> None:
        self.path = path
        self.run = run
        self.stored: dict[str, int] = {}
        """Rows stored so far, by table."""
        self._db = db
        self._vault = vault
        self._pending: dict[type[Any], list[model.Row]] = {}
        self._pending_rows = 0
        self.pending_bytes = 0
        """Size of the contents that are collected and not yet stored."""
        self._in_parts: set[int] = set()
        """Bodies of which parts are stored."""
        self._refused: Counter[str] = Counter()
        self._repeats: list[bytes] = []
        self._patterns: list[model.Exchange] = []
        self._pattern_ids = itertools.count(1)
        self.words = repeats.Words()
        """The numbers of words in `add_repeats`. New ones may come while a commit goes on."""
        self._run_changed = True
        self._swept: frozenset[str] = frozenset()

    @classmethod
    def create(
        cls, path: Path, run: model.Run, *, vault: Vault | None = None, force: bool = False, patience_s: float = 5.0
    ) -> CaptureWriter:
        """Begin a capture at `path`; a commit waits `patience_s` for somebody else's lock before it fails.

        Raises:
            UsageError: the file exists (and not `force`), or cannot be written.
        """
        check_writable(path, force=force)
        if force:
            remove_capture(path)
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=patience_s)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("pragma wal_autocheckpoint = 4000")
            # A row that is replaced may have held a secret that nobody had recognised yet.
            connection.execute("pragma secure_delete = on")
            db = Database(connection)
            schema.migrate(db)
        except sqlite3.Error as error:
            raise UsageError(f"Cannot write {path}: {error}. Name another file with -o.") from error
        writer = cls(path, db, run, vault)
        writer.commit()
        return writer

    @classmethod
    def reopen(cls, path: Path, run: model.Run) -> CaptureWriter:
        """Go on with a finished capture, whose run's row is `run`.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            db = Database(connection)
            schema.migrate(db)
            repeats.unpack(connection)
        except sqlite3.Error as error:
            raise UsageError(f"Cannot write {path}: {error}.") from error
        return cls(path, db, run, None)

    def add(self, row: model.Row) -> None:
        """Collect a row for the next commit."""
        row_type = type(row)
        rows = self._pending.get(row_type)
        if rows is None:
            rows = self._pending[row_type] = []
        rows.append(row)
        self._pending_rows += 1
        if row_type in _CONTENT:
            self.pending_bytes += len(row[_CONTENT[row_type]] or b"")  # type: ignore[arg-type]
            if isinstance(row, model.BodyPart):
                self._in_parts.add(row.body_id)
            elif self._in_parts and isinstance(row, model.Body) and row.id in self._in_parts:
                # The whole body takes the place of its parts.
                parts = self._pending.get(model.BodyPart, [])
                parts[:] = [part for part in parts if part[1] != row.id]

    def extend(self, rows: Iterable[model.Row]) -> None:
        """Collect several rows."""
        for row in rows:
            self.add(row)

    def add_pattern(self, row: model.Exchange) -> int:
        """What many exchanges have in common (the columns that are not among `repeats.NUMBERS`); its number."""
        row = row._replace(id=next(self._pattern_ids))
        self._patterns.append(row)
        return row.id

    def add_repeats(self, packed: bytes) -> None:
        """Collect exchanges of known patterns, as `repeats.pack` packs them, for the next commit."""
        self._repeats.append(packed)

    def set_run(self, run: model.Run) -> None:
        """Replace the run's row at the next commit."""
        self.run = run
        self._run_changed = True

    @property
    def _repeated(self) -> int:
        return sum(map(len, self._repeats)) // repeats.SIZE

    @property
    def pending(self) -> int:
        """Rows collected and not yet stored."""
        return self._pending_rows + self._repeated

    def commit(self) -> None:
        """Store what was collected, in one transaction.

        Raises:
            sqlite3.Error: the disk is full, the file locked, ...; the rows stay collected.
        """
        if not self._run_changed and not self.pending:
            return
        if self._vault is not None:
            self._vault.flush()
        connection = self._db.conn
        connection.execute("begin immediate")
        with connection:
            if self._run_changed:
                _store(connection, "run", [_run_row(self.run)])
            for row_type, rows in self._pending.items():
                if rows:
                    self._store(schema.TABLES[row_type], rows)
                    if row_type is model.Body and self._in_parts:
                        replaced = [(row[0],) for row in rows if row[0] in self._in_parts]
                        connection.executemany("delete from body_parts where body_id = ?", replaced)
            if self._repeats:
                self._store_repeats()
        self._run_changed = False
        for row_type, rows in self._pending.items():
            table = schema.TABLES[row_type]
            self.stored[table] = self.stored.get(table, 0) + len(rows)
            rows.clear()
        self.stored["exchanges"] = self.stored.get("exchanges", 0) + self._repeated
        if self._repeats:
            self._repeats.clear()
            self._patterns.clear()
        self._pending_rows = self.pending_bytes = 0

    def take_refused(self) -> Counter[str]:
        """Rows since the last call that no attempt could store, by table."""
        refused, self._refused = self._refused, Counter()
        return refused

    def _store_repeats(self) -> None:
        """Packed exchanges, and before them what their numbers stand for."""
        connection = self._db.conn
        if self._patterns:
            _store(connection, "repeat_patterns", self._patterns)
        words = list(self.words.items())
        connection.executemany("insert or replace into repeat_words (word, id) values (?, ?)", words)
        connection.executemany("insert into repeats (numbers) values (?)", [(one,) for one in self._repeats])

    def _store(self, table: str, rows: list[Any]) -> None:
        try:
            _store(self._db.conn, table, rows)
        except _BAD_ROW:
            # One row that SQLite cannot take must not keep out the others.
            for row in rows:
                try:
                    _store(self._db.conn, table, [tuple(map(_storable, row))])
                except _BAD_ROW:
                    self._refused[table] += 1

    def discard_pending(self, *, everything: bool = False) -> dict[str, int]:
        """Give up what was collected and say how many rows of which table that was. Rows that others refer to stay
        collected, unless `everything`."""
        lost = {}
        for row_type, rows in self._pending.items():
            if rows and (everything or row_type not in _KEPT):
                lost[schema.TABLES[row_type]] = len(rows)
                rows.clear()
        self._pending_rows = sum(map(len, self._pending.values()))
        self.pending_bytes = 0
        if self._repeats:
            lost["exchanges"] = lost.get("exchanges", 0) + self._repeated
            self._repeats.clear()
        return lost

    def sweep(self) -> int:
        """Take secrets out of the stored rows that were recognised after they had been stored; how many rows had any.

        Raises:
            sqlite3.Error, OSError: the disk is full, the file locked, ...; what was there is still there.
        """
        self.commit()
        if self._vault is None:
            return 0
        connection = self._db.conn
        connection.execute("begin immediate")
        with connection:
            swept = sweep(connection, self._vault)
            self._vault.flush()
        connection.execute("pragma wal_checkpoint(truncate)")
        self._swept |= swept.values
        return swept.rows

    def close(self) -> None:
        """Store the rest, take out secrets that were recognised late, build the indexes and leave one file behind.

        Raises:
            sqlite3.Error, OSError: the disk is full, ...; the rows are stored, the run's row says how far it came.
        """
        run = self.run
        self.set_run(run._replace(state=model.RUNNING))
        try:
            self.commit()
            repeats.unpack(self._db.conn)
            self.sweep()
        finally:
            self.set_run(run)
        connection = self._db.conn
        if self._vault is not None and leaves_traces(self.path, self._vault, self._swept):
            connection.execute("vacuum")
        schema.build_indexes(self._db)
        self.commit()
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.execute("pragma journal_mode = delete")
        connection.close()


def close_orphan(path: Path, losses: dict[str, int]) -> None:
    """Finish a capture whose writer died: say in it what was lost, take out secrets that were recognised late, and
    leave one file behind.

    Raises:
        CaptureError: it cannot be written; what is stored stays readable.
    """
    vault = Vault.open(path)
    stored: frozenset[str] = frozenset()
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("pragma secure_delete = on")
        connection.execute("begin immediate")
        if vault is not None:
            join_parts(connection)
            stored = sweep(connection, vault).values
            vault.flush()
        for (told,) in connection.execute("select losses from run").fetchall():
            counted = json.dumps(Counter(json.loads(told)) + Counter(losses))
            connection.execute("update run set losses = ?, state = 'interrupted'", (counted,))
        connection.execute("commit")
        connection.execute("pragma wal_checkpoint(truncate)")
        if vault is not None and leaves_traces(path, vault, stored):
            connection.execute("vacuum")
        schema.build_indexes(Database(connection))
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.execute("pragma journal_mode = delete")
    except (sqlite3.Error, OSError) as error:
        raise CaptureError(f"{path} cannot be finished: {error}. It can be read as it is.") from error
    finally:
        connection.close()


def add_mark(path: Path, text: str, source: str, unix_ns: int) -> model.Mark:
    """Give the moment `unix_ns` of the recording that is being written to `path` a name, from another process. Secrets
    that the recording knows are replaced.

    Raises:
        UsageError: nobody is recording into it.
        CaptureError: it is locked, or the disk is full; nothing of the recording is touched.
    """
    over = UsageError(f"Nobody is recording into {path} any more: a mark names a moment while it happens.")
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        if not path.with_name(path.name + "-wal").exists() or not is_open_elsewhere(connection):
            raise over
        connection.execute(f"pragma busy_timeout = {_MARK_PATIENCE_S * 1000}")
        connection.execute("pragma secure_delete = on")
        connection.execute("begin immediate")
        state, started_ns = connection.execute("select state, started_unix_ns from run").fetchone()
        if state != model.RUNNING:
            raise over
        vault = Vault.open(path)
        content = all_known(vault).replace(text.encode()).decode() if vault is not None else text
        row = model.Mark(None, unix_ns - started_ns, None, content, source)
        row_id = connection.execute(_insert("marks", len(row)), row).lastrowid
        connection.execute("commit")
        return row._replace(id=row_id)
    except (sqlite3.Error, TypeError) as error:
        raise CaptureError(f"{path} cannot take a mark: {error}. Try again.") from error
    finally:
        connection.close()


def _run_row(run: model.Run) -> tuple[Any, ...]:
    values = run._asdict()
    values["upstreams"] = json.dumps([upstream._asdict() for upstream in run.upstreams])
    for name in _COLUMNS_AS_JSON:
        values[name] = json.dumps(values[name])
    return (1, *values.values())


def _storable(value: Any) -> Any:
    """Text that is no Unicode written out, numbers that SQLite does not have as nothing."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    return value


def _store(connection: sqlite3.Connection, table: str, rows: list[Any]) -> None:
    connection.executemany(_insert(table, len(rows[0])), rows)


def _insert(table: str, columns: int) -> str:
    return f"insert or replace into {table} values ({','.join('?' * columns)})"  # noqa: S608 - our own table names
