"""The `[[tables]]` of TOML files that people write: finds them in a document, and says where each of them stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nestperf.errors import UsageError
from nestperf.printable import printable


def parse_document(text: str, origin: str) -> dict[str, Any]:
    """A file's text as TOML; `origin` names the file in messages.

    Raises:
        UsageError: it is none.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is not TOML: {error}.") from error


def tables_of(document: Mapping[str, Any], key: str, origin: str) -> Sequence[Mapping[str, Any]]:
    """All `[[key]]` tables in their order; none where there are none.

    Raises:
        UsageError: what stands there are no tables.
    """
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{origin}: write [[{key}]] in double brackets, once for each.")
    return tables


def place_of(origin: str, key: str, number: int, title: object) -> str:
    """How messages name one of them: `nestperf.toml, threshold 3 ('API answers')`; the title only if it is a text."""
    return f"{origin}, {key} {number}" + (f" ({title!r})" if isinstance(title, str) and title else "")


def refuse_twins(names: Iterable[str], key: str, origin: str) -> None:
    """Refuse two tables of one name, for nobody could tell them apart; those with an empty one have none.

    Raises:
        UsageError: there are such.
    """
    first: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if name and (other := first.setdefault(name, number)) != number:
            shown = printable(name, 60)
            raise UsageError(f"{origin}: {key}s {other} and {number} are both called {shown!r}: give each a `name`.")
