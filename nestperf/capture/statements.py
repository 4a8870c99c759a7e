"""SQL text without its values: what makes two queries the same statement, and what may stand in a capture.

Pure. Literals, comments and parameters go, whatever the text looks like: what cannot be read as SQL is taken out too.
(Lexical rules: https://www.postgresql.org/docs/current/sql-syntax-lexical.html)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<blank>(?:\s+|--[^\n]*|/\*)+?)
  | (?P<literal>
        [eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)              # escapes
      | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)        # an end that was cut off counts as an end
      | \$(?P<tag>[^\W\d]\w*)?\$(?:.*?\$(?(tag)(?P=tag))\$|.*\Z)
      | \$[0-9]+
      | (?<![\w$.])\.?[0-9][\w.]*(?:(?<=[eE])[+-][0-9]+)?
    )
  | (?P<name>[uU]?&?"(?:[^"]|"")*(?:"|\Z))
  | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_LIST = re.compile(r"\( ?\?(?: ?, ?\?)* ?\)")
_ROWS = re.compile(r"\(\?\)(?: ?, ?\(\?\))+")
_TRACE = re.compile(r"traceparent\s*=\s*'?[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.IGNORECASE)
_CACHED = 4096
"""Texts; applications use hundreds. A text with literals in it is new each time and pushes out the oldest."""


class Statement(NamedTuple):
    """One SQL statement as a shape."""

    text: str
    """Literals and parameters as `?`, lists of them as `(?)`, comments gone, white space folded."""
    fingerprint: str
    """16 hexadecimal digits; equal for statements that differ in values, list lengths, letter case of words, blanks."""
    trace: str | None
    """Trace id and parent id (`<32 hex>-<16 hex>`) of a `traceparent` in a comment (sqlcommenter); None without."""


@lru_cache(_CACHED)
def statement_of(sql: str, part: int = 0) -> Statement:
    """The shape of the `part`-th statement (from 0) in a text that may hold several."""
    shapes, trace = _shapes(sql)
    text = shapes[part] if part < len(shapes) else shapes[-1] if len(shapes) == 1 else ""
    digest = hashlib.blake2b(_folded(text).encode(errors="replace"), digest_size=8)
    return Statement(text, digest.hexdigest(), trace)


def tokens_of(sql: str) -> Iterator[tuple[str, str]]:
    """The text in pieces, each with its kind: `blank` (comments included), `literal` (parameters included), `name`
    (quoted), `end` (a semicolon) and, of all between these, `text`."""
    position = 0
    while (token := _TOKEN.search(sql, position)) is not None:
        start = token.start()
        if position < start:
            yield "text", sql[position:start]
        position = token.end()
        kind = token.lastgroup or ""
        if kind == "blank" and token[0].endswith("/*"):
            position = _comment_end(sql, position)
        yield kind, sql[start:position]
    if position < len(sql):
        yield "text", sql[position:]


def _shapes(sql: str) -> tuple[list[str], str | None]:
    """Every statement of the text that is not empty, without values; and the trace its comments name."""
    shapes: list[str] = []
    pieces: list[str] = []
    comments: list[str] = []
    for kind, piece in tokens_of(sql):
        if kind == "literal":
            pieces.append("?")
        elif kind == "blank":
            pieces.append(" ")
            comments.append(piece)
        elif kind == "end":
            shapes.append(_shape(pieces))
            pieces = []
        else:
            pieces.append(piece)
    shapes.append(_shape(pieces))
    found = _TRACE.search(" ".join(comment for comment in comments if "traceparent" in comment))
    trace = f"{found[1]}-{found[2]}".lower() if found else None
    return [shape for shape in shapes if shape] or [""], trace


def _comment_end(sql: str, position: int) -> int:
    """Where the comment that began before `position` ends; comments nest."""
    depth = 1
    for mark in _COMMENT.finditer(sql, position):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(sql)


def _shape(pieces: list[str]) -> str:
    text = " ".join("".join(pieces).split())
    return _ROWS.sub("(?), ...", _LIST.sub("(?)", text))


def _folded(text: str) -> str:
    """Unquoted names and keywords in one letter case: SQL does not tell `SELECT` from `select`."""
    return "".join(part if part.startswith('"') else part.lower() for part in re.split(r'("(?:[^"]|"")*")', text))
