"""The second look: a secret that was recognised only after it had been stored under an innocent name is taken out of
the rows that are stored already. Also writes down what secrets are made of.

One pass over the file with one automaton, whatever the number of secrets; only rows that change are written.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from nestperf.capture.known import KnownSecrets
from nestperf.capture.redaction import Redactor
from nestperf.capture.relations import find_relations
from nestperf.capture.routes import route_of
from nestperf.capture.vault import Vault

_CAPTURED = {
    "clients": ("user_agent", "identity"),
    "sessions": ("label", "identity"),
    "exchanges": ("method", "target", "route", "reason", "detail"),
    "bodies": ("media_type", "content"),
    "body_parts": ("content",),
    "sockets": ("target", "sid", "close_reason", "detail"),
    "frames": ("content",),
    "packets": ("namespace", "event", "payload"),
    "statements": ("text",),
    "queries": ("database", "application", "parameters"),
    "pages": ("url", "route", "lcp_element", "inp_element"),
    "resources": ("url",),
    "timings": ("name", "detail"),
    "marks": ("text",),
    "wordings": ("pieces",),
    "literals": ("content",),
}
"""Columns that hold what crossed the wire. Addresses (`authority`, `run.upstreams`) stay in clear."""
_AT_ONCE = 500
"""Changed rows written together."""
_CHUNK = 2**24
_ALWAYS_VACUUMED = 2**26
"""Bytes of a capture up to which no search for left-overs is worth its while."""


class Swept(NamedTuple):
    """What a sweep found."""

    rows: int
    values: frozenset[str]
    """Secrets that had been stored."""


def sweep(connection: sqlite3.Connection, vault: Vault) -> Swept:
    """Replace every secret of `vault` in the rows of a capture, in the caller's transaction. What is left of a secret
    beside those within it is new to the vault: flush it before the transaction ends.

    Raises:
        sqlite3.Error, OSError: the disk is full, the file locked, ...
    """
    known = all_known(vault)
    if not len(known):
        return Swept(0, frozenset())
    found: set[str] = set()
    rows = sum(_sweep_table(connection, table, columns, known, found) for table, columns in _CAPTURED.items())
    rows += _sweep_headers(connection, known, found)
    relations = [tuple(relation) for relation in find_relations(vault, known)]
    connection.executemany("insert or replace into relations values (?, ?, ?)", relations)
    return Swept(rows, frozenset(found))


def join_parts(connection: sqlite3.Connection) -> None:
    """Bodies that were growing when the run was killed: a secret may stand across two parts."""
    growing = connection.execute(
        "select id, content from bodies where id in (select body_id from body_parts)"
    ).fetchall()
    for body_id, content in growing:
        parts = connection.execute("select content from body_parts where body_id = ? order by id", (body_id,))
        joined = (content or b"") + b"".join(part for (part,) in parts)
        connection.execute("update bodies set content = ? where id = ?", (joined, body_id))
    connection.execute("delete from body_parts")


def all_known(vault: Vault) -> KnownSecrets:
    """What a redactor would know that had seen every secret of a vault."""
    redactor = Redactor(vault)
    for value in vault.sought:
        redactor.notice(value)
    redactor.known.settle()
    return redactor.known


def leaves_traces(path: Path, vault: Vault, values: frozenset[str]) -> bool:
    """Whether raw bytes of a file may still hold one of `values`: SQLite does not clear the place a row has left."""
    if path.stat().st_size <= _ALWAYS_VACUUMED:
        return bool(values)
    known = KnownSecrets(vault)
    for value in values:
        known.add(value)
    known.settle()
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if any(known.find(rest + chunk)):
                return True
            rest = chunk[-8192:]
    return False


def _sweep_table(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], known: KnownSecrets, found: set[str]
) -> int:
    changed: list[tuple[Any, ...]] = []
    count = 0
    update = f"update {table} set {', '.join(f'{name} = ?' for name in columns)} where id = ?"  # noqa: S608 - our names
    # Rows behind the cursor may change: it reads by ascending id, and ids stay.
    for row_id, *values in connection.execute(f"select id, {', '.join(columns)} from {table} order by id"):  # noqa: S608
        swept = [_swept(value, known, found) for value in values]
        if swept != values:
            if table == "exchanges" and swept[1] != values[1]:
                swept[2] = route_of(swept[1])
            elif table == "pages":
                swept[1] = route_of(swept[0])
            changed.append((*swept, row_id))
            count += 1
            if len(changed) >= _AT_ONCE:
                connection.executemany(update, changed)
                changed = []
    connection.executemany(update, changed)
    return count


def _sweep_headers(connection: sqlite3.Connection, known: KnownSecrets, found: set[str]) -> int:
    """Header sets are JSON of decoded values: each value is replaced by itself."""
    changed = []
    for row_id, pairs in connection.execute("select id, pairs from header_sets order by id"):
        if _swept(pairs, known, found) != pairs:
            swept = [(name, _swept(value, known, found)) for name, value in json.loads(pairs)]
            changed.append((json.dumps(swept, ensure_ascii=False), row_id))
    connection.executemany("update header_sets set pairs = ? where id = ?", changed)
    return len(changed)


def _swept(value: Any, known: KnownSecrets, found: set[str]) -> Any:
    if value is None:
        return None
    content = value.encode() if isinstance(value, str) else value
    replaced = known.replace(content)
    if replaced is content:
        return value
    found.update(one.written.value for one in known.find(content))
    return replaced.decode() if isinstance(value, str) else replaced
