"""Which recorded queries can be asked again, and why the others cannot. Pure.

Nothing is guessed: what is not in the capture as it was asked, with all of its values, is left out and counted under
its reason. What reads is decided by its first word only to spare the server useless work; what may not write is
enforced by the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from nestperf.capture import model
from nestperf.capture.statements import tokens_of
from nestperf.capture.wordings import Wording
from nestperf.wire.postgres_sent import Value

_READS = frozenset({"select", "with", "values", "table", "show", "explain", "("})
_TRANSACTIONS = frozenset({"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"})
_SESSION = frozenset({"set", "reset", "discard", "listen", "unlisten", "load", "lock"})
_ELSEWHERE = frozenset({"fetch", "move", "close", "declare", "execute", "prepare", "deallocate"})
_FIRST = re.compile(r"\s*(\w+|\()")
_STAYS = re.compile(
    r"\b(?:pg_(?:try_)?advisory_(?!xact)\w*|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|"
    r"pg_switch_wal|pg_create_\w+|pg_drop_\w+|pg_logical_\w+|pg_sleep\w*|dblink\w*|lo_export|pg_file_\w+)\s*\(",
    re.IGNORECASE,
)
"""What no read-only transaction keeps from acting, or only waits."""
_PARAMETER = re.compile(r"\$[0-9]")
_PLACEHOLDER = re.compile(r"nps_[0-9a-f]{6}_\d+[a-z_]")


class Reason(StrEnum):
    """Why a recorded query is not asked again."""

    WRITES = "is no read (INSERT, UPDATE, COPY and the like)"
    TRANSACTION = "begins or ends a transaction: every read gets one of its own"
    SESSION = "changes its connection"
    ELSEWHERE = "needs what was prepared or opened on its connection before (FETCH, EXECUTE and the like)"
    STAYS = "calls a function that acts beyond its transaction, or only sleeps"
    UNANSWERED = "failed, or was not answered, when it was recorded"
    NO_TEXT = "its text was not recorded"
    NO_VALUES = "its values were not recorded: record with --pg-parameters"
    CUT = "it was too long to be stored whole"
    NO_BYTES = "a value was no valid text"
    SECRET = "a value is a secret, and the capture's .secrets file does not stand beside it"  # noqa: S105 - a sentence
    PREPARATION = "prepares only"


class Read(NamedTuple):
    """One query to ask again."""

    source: int
    """The query of the recording."""
    statement: int
    """The row of its shape there."""
    text: str
    types: tuple[int, ...]
    """OIDs of the parameters' types; 0 leaves one to the server."""
    values: tuple[Value, ...]
    prepared: bool
    """Its statement had been prepared before: parsing is no part of its time."""


class LeftOut(NamedTuple):
    """Queries that are not asked again for one reason."""

    reason: Reason
    queries: int
    """How many."""
    example: str
    """The statement's shape; empty where it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a recording has to ask again."""

    reads: tuple[Read, ...]
    """In the order they were sent."""
    left_out: tuple[LeftOut, ...]
    """The most frequent reason first."""
    statements: tuple[model.Statement, ...]
    """The shapes of `reads`."""


class Recorded(NamedTuple):
    """What a capture holds of queries."""

    queries: Iterable[model.Query]
    statements: Mapping[int, model.Statement]
    """By id."""
    wordings: Mapping[int, model.Wording]
    literals: Mapping[int, model.Literals]
    """By the query's id."""
    with_values: bool
    """Values of queries were asked for when they were recorded."""


class _Left(Exception):
    """This query is left out."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def choose_reads(recorded: Recorded, reveal: Callable[[str], str]) -> Reads:
    """The reads of a recording. `reveal` puts secrets in the place of their placeholders, as far as they are known."""
    reads: list[Read] = []
    left: dict[Reason, tuple[int, str]] = {}
    for query in sorted(recorded.queries, key=lambda query: (query.sent_ns, query.id)):
        statement = recorded.statements.get(query.statement_id or 0)
        shape = "" if statement is None else statement.text
        try:
            reads.append(_read(recorded, query, shape, reveal))
        except _Left as why:
            count, example = left.get(why.reason, (0, shape))
            left[why.reason] = (count + 1, example)
    ordered = sorted(left.items(), key=lambda item: (-item[1][0], item[0]))
    return Reads(
        reads=tuple(reads),
        left_out=tuple(LeftOut(reason, *found) for reason, found in ordered),
        statements=tuple(recorded.statements[number] for number in sorted({read.statement for read in reads})),
    )


def _read(recorded: Recorded, query: model.Query, shape: str, reveal: Callable[[str], str]) -> Read:
    _refuse(query, shape)
    text, types = _wording(recorded, query, shape, reveal)
    values = tuple(map(_value, _loaded(query.parameters or "[]", reveal)))
    return Read(query.id, query.statement_id or 0, text, types[: len(values)], values, query.protocol == "prepared")


def _refuse(query: model.Query, shape: str) -> None:
    """Leave out what is no read, whatever is known of its values."""
    if query.protocol == "prepare":
        raise _Left(Reason.PREPARATION)
    if not shape:
        raise _Left(Reason.NO_TEXT)
    found = _FIRST.match(shape)
    word = found[1].lower() if found else ""
    for words, reason in (
        (_TRANSACTIONS, Reason.TRANSACTION),
        (_SESSION, Reason.SESSION),
        (_ELSEWHERE, Reason.ELSEWHERE),
    ):
        if word in words:
            raise _Left(reason)
    if word not in _READS:
        raise _Left(Reason.WRITES)
    if _STAYS.search(shape):
        raise _Left(Reason.STAYS)
    if query.outcome != "ok":
        raise _Left(Reason.UNANSWERED)


def _wording(
    recorded: Recorded, query: model.Query, shape: str, reveal: Callable[[str], str]
) -> tuple[str, tuple[int, ...]]:
    """The text as it was asked, and its parameters' types. A shape that has no value is such a text too."""
    literals = recorded.literals.get(query.id)
    if literals is None:
        if "?" in shape or any(kind == "name" and " " in token for kind, token in tokens_of(shape)):
            # Values are gone from a shape, and white space within a quoted name is folded.
            raise _Left(Reason.CUT if recorded.with_values else Reason.NO_VALUES)
        return shape, ()
    wording = recorded.wordings[literals.wording_id]
    pieces, types = _loaded(wording.pieces, reveal), tuple(json.loads(wording.types))
    if query.parameters is None and (types or any(map(_PARAMETER.search, pieces))):
        raise _Left(Reason.CUT)
    return Wording(tuple(pieces), ()).filled(_loaded(literals.content, reveal)), types


def _value(given: Any) -> Value:
    """A parameter, as `proxy_addon.databases` writes it."""
    if given is None:
        return Value(0, None)
    if isinstance(given, dict):
        return Value(1, bytes.fromhex(given["hex"]) if "hex" in given else given["binary"].encode())
    if "\ufffd" in given:
        raise _Left(Reason.NO_BYTES)
    return Value(0, given.encode())


def _loaded(stored: str, reveal: Callable[[str], str]) -> list[Any]:
    """A list out of the capture. Secrets are put in before it is read as JSON: so they were taken out."""
    revealed = reveal(stored)
    if _PLACEHOLDER.search(revealed):
        raise _Left(Reason.SECRET)
    loaded: list[Any] = json.loads(revealed)
    return loaded
