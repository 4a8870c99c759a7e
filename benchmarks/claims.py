"""Claims and what became of them."""

from __future__ import annotations

from typing import NamedTuple

from tabulate import tabulate


class Claim(NamedTuple):
    """One number and its limit."""

    name: str
    measured: float
    limit: float
    unit: str

    @property
    def is_met(self) -> bool:
        return self.measured <= self.limit


class Claims:
    """All claims of one run."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    def at_most(self, name: str, measured: float, limit: float, unit: str) -> None:
        """A number that should not be larger than its limit."""
        self._claims.append(Claim(name, measured, limit, unit))

    def show(self) -> None:
        rows = [
            (
                "met" if claim.is_met else "NOT MET",
                claim.name,
                f"{claim.measured:,.3g} {claim.unit}",
                f"{claim.limit:.4g}",
            )
            for claim in self._claims
        ]
        print(
            "\nClaims\n" + tabulate(rows, ("", "", "measured", "at most"), colalign=("left", "left", "right", "right"))
        )
