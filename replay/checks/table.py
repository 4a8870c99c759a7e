"""One TOML table of a suite: the getters of `reports.toml_table`, and more for numbers and durations. Pure."""

from __future__ import annotations

from nestperf.durations import parse_duration
from nestperf.errors import UsageError
from reports import toml_table

_COMMON = ("kind", "name", "source", "required")
"""Keys that every contract has; `replay.checks.suite` reads them."""


class Table(toml_table.Table):
    """The keys and values of one table; every getter refuses what is not of its kind."""

    def knows(self, *own: str) -> None:
        """Refuse any key that is neither common to all contracts nor one of these."""
        self.only(*_COMMON, *own)

    def count(self, key: str, default: int, *, least: int = 1) -> int:
        """A whole number of at least `least`."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.refuse(key, f"a whole number, at least {least}")
        return value

    def duration(self, key: str, default: str | None) -> int | None:
        """Nanoseconds of a duration such as "5s"; None where neither it nor a default is there."""
        value = self.values.get(key, default)
        if value is None:
            return None
        try:
            return parse_duration(value if isinstance(value, str) else repr(value))
        except UsageError:
            raise self.refuse(key, 'a duration such as "5s" or "2m"') from None

    def need_duration(self, key: str, default: str) -> int:
        """The same, with a default."""
        found = self.duration(key, default)
        assert found is not None
        return found

    def share(self, key: str, default: float) -> float:
        """0 to 1, written in per cent: "1 %"; or as a number."""
        value = self.values.get(key, default)
        if isinstance(value, str) and value.rstrip().endswith("%"):
            try:
                value = float(value.rstrip()[:-1]) / 100
            except ValueError:
                raise self.refuse(key, 'a share such as "1 %"') from None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.refuse(key, 'a share such as "1 %"')
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return value
