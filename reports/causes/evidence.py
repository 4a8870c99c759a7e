"""What a promise is about and what broke it, as columns, and what every cause is judged by. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nestperf.capture.model import Outcome
from reports.concurrency import WORK

if TYPE_CHECKING:
    from reports.columns import Codes, Mask, Stamps
    from reports.samples import Exchanges

MOST = 0.8
"""A cause accounts for at least so much of what failed, or of what was slow."""
PART = 0.2
"""Of what broke, the failed or the slow are worth a cause of their own from this share on."""
FEWEST = 3
"""Fewer broken exchanges are accidents, not a pattern."""
NOBODY = -1
"""The user of an exchange without session and client."""


class CauseKind(enum.StrEnum):
    """What may have broken a promise."""

    RESTART = "restart"
    """Nothing could connect for a while, then everything again."""
    GONE = "gone"
    """Nothing could connect any more."""
    LIMITED = "limited"
    """429s, or what followed them."""
    EXPIRED = "expired"
    """401 where the same user had been let in."""
    UNAUTHORIZED = "unauthorized"
    """401, and the user had never been let in there."""
    SERVER_ERRORS = "server_errors"
    TIMEOUTS = "timeouts"
    MISMATCHES = "mismatches"
    PAUSE = "pause"
    """Everything under way waited for the same moment."""
    ONE_ROUTE = "one_route"
    CONNECTING = "connecting"
    SENT_LATE = "sent_late"
    """Due long before it was sent: waiting for a free connection, or for our own generator."""
    TRANSFER = "transfer"
    """Large bodies took longer to arrive than to begin."""
    QUEUEING = "queueing"
    """The more was under way, the slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One likely cause with its evidence; what a kind has no use for is None."""

    kind: CauseKind
    explained: int
    """How many of the `broken` it accounts for."""
    broken: int
    method: str | None = None
    route: str | None = None
    status: int | None = None
    begin_ns: int | None = None
    end_ns: int | None = None
    usual_ns: int | None = None
    """Median of what it is compared with: other routes, quiet moments."""
    broken_ns: int | None = None
    """Median of what broke."""
    usual: float | None = None
    """Exchanges under way in quiet moments; median."""
    busy: float | None = None
    """Requests under way in busy moments; of `limited`, what one user sent in the minute before the first 429."""
    size: int | None = None
    """Median bytes of the answers."""


class Evidence:
    """The exchanges of a capture, those a promise is about, and those that broke it."""

    def __init__(self, exchanges: Exchanges, selected: Mask, broken: Mask) -> None:
        self.x = exchanges
        self.selected = selected
        self.broken: Codes = np.flatnonzero(broken)

    @cached_property
    def failed(self) -> Codes:
        """Those of the broken that were not answered as they should have been."""
        answered = self.x.outcome.among(Outcome.OK, Outcome.REFUSED)
        return self.broken[~answered[self.broken]]

    @cached_property
    def slow(self) -> Codes:
        """Those of the broken that were answered, too slowly."""
        answered = self.x.outcome.among(Outcome.OK, Outcome.REFUSED) & np.isfinite(self.x.done)
        return self.broken[answered[self.broken]]

    @cached_property
    def work(self) -> Mask:
        """Exchanges that an application works on."""
        return self.x.kind.among(*WORK)

    @cached_property
    def user(self) -> Codes:
        """Whose exchange it is: its session, else its client, else nobody's."""
        x = self.x
        client = np.where(np.isfinite(x.client), -2 - x.client, NOBODY)
        return np.asarray(np.where(np.isfinite(x.session), x.session, client), dtype=np.int64)

    @cached_property
    def place(self) -> Codes:
        """Method and route as one code."""
        return self.x.method.codes * (len(self.x.route.names) + 1) + self.x.route.codes

    @cached_property
    def service(self) -> Stamps:
        """Last byte minus first, of what was answered."""
        return np.asarray(self.x.done - self.x.sent)

    @cached_property
    def felt(self) -> Stamps:
        """Last byte minus when it was due, else sent."""
        x = self.x
        return np.asarray(x.done - np.where(np.isfinite(x.intended), x.intended, x.sent))

    def enough(self, rows: Codes, group: Codes) -> bool:
        """Whether these are most of a group (the failed, the slow), and the group is a good part of what broke."""
        return len(rows) >= max(FEWEST, MOST * len(group)) and len(group) >= PART * len(self.broken)

    def most_frequent(self, rows: Codes) -> tuple[str, str] | tuple[None, None]:
        """Method and route of most of the rows; nothing where no one place has most of them."""
        _, first, counts = np.unique(self.place[rows], return_index=True, return_counts=True)
        return self.name(int(rows[first[np.argmax(counts)]])) if np.max(counts) >= MOST * len(rows) else (None, None)

    def name(self, row: int) -> tuple[str, str]:
        """Method and route of one row."""
        x = self.x
        return x.method.names[x.method.codes[row]], x.route.names[x.route.codes[row]]

    def cause(self, kind: CauseKind, rows: Codes, **facts: object) -> Cause:
        """A cause that accounts for these rows."""
        return Cause(kind=kind, explained=len(rows), broken=len(self.broken), **facts)  # type: ignore[arg-type]
