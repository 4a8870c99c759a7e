"""SQL text as it was asked, so that it can be asked again: its literals taken out but kept apart, and put back.

Pure. A shape (`nestperf.capture.statements`) tells two statements apart and cannot be asked again: its lists are folded
and its values are gone. Wordings are stored only where values of queries were asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

from nestperf.capture.statements import tokens_of

_PARAMETER = re.compile(r"\$[0-9]+")
_QUOTED = re.compile(r"(?P<open>\$\w*\$|(?:[a-zA-Z]|[uU]&)?')(?P<value>.*?)(?P<close>\$\w*\$|')", re.DOTALL)
_COMPARED = re.compile(r"""(\w{1,80})"?\s*(?:=|<>|!=|[<>]=?|i?like)\s*\$([0-9]{1,5})(?![0-9])""", re.IGNORECASE)
_INSERTED = re.compile(r"""\binsert\s+into\s+[^\s(]+\s*\(([^()]*)\)\s*values""", re.IGNORECASE)
_NUMBER = re.compile(r"\$([0-9]{1,5})(?![0-9])")
_FIRST_LITERAL = 66_000
"""Literals are numbered from here on where they are given names: a statement has at most 65,535 parameters."""


class Wording(NamedTuple):
    """One statement in pieces: between two of them stands a literal. Parameters are `$1`, comments are gone."""

    pieces: tuple[str, ...]
    literals: tuple[str, ...]
    """As written, quotes included; one less than pieces."""

    def filled(self, literals: Sequence[str]) -> str:
        """The text with these literals in their places."""
        return "".join(part for pair in zip_longest(self.pieces, literals, fillvalue="") for part in pair)

    def names(self) -> tuple[str, ...]:
        """What the literals may be called: the columns they are compared with or written to; else empty."""
        marks = [f"${number}" for number in range(_FIRST_LITERAL, _FIRST_LITERAL + len(self.literals))]
        found = parameter_names(self.filled(marks))
        return tuple(found.get(number, "") for number in range(_FIRST_LITERAL, _FIRST_LITERAL + len(marks)))


@lru_cache(1024)
def wording_of(sql: str, part: int = 0) -> Wording | None:
    """The `part`-th statement (from 0) of a text that may hold several; None where there are fewer."""
    statements = [pieces for pieces in _statements(sql) if len(pieces) > 1 or pieces[0].strip()]
    if part >= len(statements):
        return None
    pieces = statements[part]
    pieces[0] = pieces[0].lstrip()
    pieces[-1] = pieces[-1].rstrip()
    return Wording(tuple(pieces[::2]), tuple(pieces[1::2]))


def _statements(sql: str) -> Iterator[list[str]]:
    """Each statement as text, literal, text, ..., text."""
    pieces = [""]
    for kind, token in tokens_of(sql):
        if kind == "end":
            yield pieces
            pieces = [""]
        elif kind == "literal" and _PARAMETER.fullmatch(token) is None:
            pieces += [token, ""]
        else:
            pieces[-1] += " " if kind == "blank" else token
    yield pieces


def unquoted(literal: str) -> tuple[str, str, str]:
    """What stands before a literal's value, the value as it is written, and what stands behind: its quotes."""
    match = _QUOTED.fullmatch(literal)
    return ("", literal, "") if match is None else (match["open"], match["value"], match["close"])


def parameter_names(sql: str) -> dict[int, str]:
    """The columns that parameters are compared with or written to, as far as the text shows it: what their values may
    be called."""
    names = {int(number): name for name, number in _COMPARED.findall(sql)}
    insert = _INSERTED.search(sql)
    if insert is not None:
        columns = [column.strip(' "') for column in insert[1].split(",")]
        for index, number in enumerate(_NUMBER.findall(sql, insert.end())):
            names.setdefault(int(number), columns[index % len(columns)])
    return names
