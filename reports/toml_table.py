"""One TOML table with its place in the file: reads values of a kind, or says which key of which table is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nestperf.errors import UsageError
from nestperf.printable import printable
from reports.grammar import meant


class Table:
    """The keys and values of one table; every getter refuses what is not of its kind."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        """File and table, for messages."""
        self.values = values

    def refuse(self, key: str, expected: str) -> UsageError:
        """What to raise where a key's value is not what was expected."""
        stop = "" if expected.endswith("?") else "."
        return UsageError(
            f"{self.where}: `{key}` is {printable(repr(self.values[key]), 60)}, expected {expected}{stop}"
        )

    def only(self, *known: str) -> None:
        """Refuse any other key."""
        for key in self.values:
            if key not in known:
                rest = meant(key, known) or f"; the keys are {', '.join(known)}."
                raise UsageError(f"{self.where}: there is no key `{printable(key, 40)}`{rest}")

    def text(self, key: str) -> str:
        """A text, empty where the key is not there."""
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self.refuse(key, "a text")
        return value

    def need(self, key: str) -> str:
        """A text that must be there."""
        value = self.text(key)
        if not value:
            raise UsageError(f"{self.where}: `{key}` is missing.")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of them."""
        value = self.values.get(key, [])
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) and item for item in values):
            raise self.refuse(key, "a text or a list of texts")
        return tuple(values)

    def choices(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """One or more of `known`."""
        values = self.texts(key)
        for value in values:
            if value not in known:
                raise self.refuse(key, f"one or more of {', '.join(known)}{meant(value, known)}")
        return values
