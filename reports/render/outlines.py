"""SQL in short, for one line of a terminal: what a statement does and to which table, without lists of columns.

Mappers name every column with schema and table (`SELECT "public"."users"."id", … FROM "public"."users"`), so that what
tells statements apart stands where a line has long ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_PIECE = re.compile(rf"(?P<name>{_NAME}(?:\.(?:{_NAME}|\*))*)|(?P<blank>\s+)|(?P<other>.)", re.DOTALL)
_PLAIN = re.compile(r'"([a-z_][a-z0-9_]*)"')
_BEFORE_TABLES = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "ONLY"})
_SHORT = 32
"""A list that is no longer stays."""
_MOST = 20_000
"""Characters that are looked at."""


def outline(statement: str) -> str:
    """The statement with `…` for long lists of columns, and columns without their table's schema and name."""
    pieces = list(_pieces(statement[:_MOST]))
    shown: list[str] = []
    place = 0
    while place < len(pieces):
        word = pieces[place].upper()
        shown.append(pieces[place])
        place += 1
        if word == "SELECT":
            end = _end(pieces, place, "FROM")
        elif word == "RETURNING" or (word == "(" and _is_insert(shown)):
            end = _end(pieces, place, "")
        else:
            continue
        listed = "".join(pieces[place:end])
        if len(listed) > _SHORT:
            listed = "…" if word == "(" else " … " if end < len(pieces) and pieces[end] != ")" else " …"
        shown.append(listed)
        place = end
    return "".join(shown)


def _pieces(statement: str) -> Iterator[str]:
    """Words, names, blanks and marks; a name as short as can be."""
    before = ""
    for found in _PIECE.finditer(statement):
        piece = found[0]
        if found.lastgroup == "name":
            parts = [_PLAIN.sub(r"\1", part) for part in re.findall(rf"{_NAME}|\*", piece)]
            if before in _BEFORE_TABLES:
                parts = parts[1:] if parts[0] == "public" and len(parts) > 1 else parts
            elif len(parts) > 2:
                parts = parts[-1:]
            before, piece = piece.upper(), ".".join(parts)
        elif found.lastgroup == "other":
            before = ""
        yield piece


def _end(pieces: list[str], place: int, word: str) -> int:
    """Where the list that begins here ends: at this word, or with the bracket around it."""
    depth = 0
    for number in range(place, len(pieces)):
        piece = pieces[number]
        if not depth and (piece == ")" or (word and piece.upper() == word)):
            return number
        depth += (piece == "(") - (piece == ")")
    return len(pieces)


def _is_insert(shown: list[str]) -> bool:
    """Whether the bracket just opened holds the columns of an INSERT: `INSERT INTO table (`."""
    words = [piece.upper() for piece in shown[-7:-1] if not piece.isspace()]
    return words[-3:-1] == ["INSERT", "INTO"]
