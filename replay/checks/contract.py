"""What a contract is: facts it is given, traffic it asks for, rows it judges, what it found. Pure.

A contract chooses its steps from the planned sessions of a capture (`prepare`) and later judges the rows of the
capture that came of playing them (`judge`). It opens no socket and reads no file: `replay.checks.performance` plays,
records and reads for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nestperf.capture.model import Exchange, Packet, Pairs, Query, Run, Session, Socket
from nestperf.verdicts import Verdict
from replay.certificate import LAG_FLOOR_NS
from replay.database.reads import Reads
from replay.pacing import Load
from replay.steps import Plan

if TYPE_CHECKING:
    from nestperf.capture.reader import Capture
    from replay.checks.director import Director
    from replay.checks.table import Table
    from replay.drivers import House


class NothingSuch(Exception):
    """The capture holds nothing that a contract could repeat; `str()` is the sentence that says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was recorded, as contracts choose from it."""

    plan: Plan
    """All sessions, live values linked; what may not be sent is not in it."""
    exchanges: tuple[Exchange, ...] = ()
    sockets: tuple[Socket, ...] = ()
    packets: tuple[Packet, ...] = ()
    heads: Mapping[int, Pairs] = field(default_factory=dict)
    """By `response_headers` of the exchanges."""
    seed: int = 1
    """For all that is left to chance."""
    reads: Reads | None = None
    """Recorded queries that can be asked again; None where there are none."""
    asks_database: bool = False
    """There is a database to ask them of."""


class Asks(NamedTuple):
    """Queries to ask of a database, instead of requests; in rounds, as many at once as there are connections."""

    reads: Reads
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a contract wants to be played."""

    plan: Plan
    """Visits take turns over its sessions: visit n repeats session n modulo their number."""
    load: Load
    """How many users, and the seed: `director.once` makes one for contracts that direct everything themselves."""
    direct: Callable[[House, Load], Director]
    """Makes the director: who comes when, and which steps wait for each other."""
    targets: frozenset[int | None] = frozenset()
    """What is judged, by its id in the recording: exchanges, or packets, or sockets, as the contract likes. None: a
    request that nobody recorded."""
    asked: object = None
    """What the contract found out and judges by: its own business."""
    chosen: tuple[str, ...] = ()
    """Sentences: what was chosen from the capture, and from what."""
    takes_ns: int = 0
    """About how long it takes."""
    lateness_ns: int = LAG_FLOOR_NS
    """How late our own generator may be before the run counts for nothing: a small part of what is promised. Lateness
    is in every response time, so it never makes one look better."""
    asks: Asks | None = None
    """Where no request is sent, but a database asked: then plan and director are nobody's."""
    people: int = 1
    """How many different people it takes to tell anything, where there are identities."""
    fresh_ns: int = 0
    """Its identities and addresses must have sent nothing for so long: a rate limit's window. 0: no matter."""


class Number(NamedTuple):
    """One measured number."""

    name: str
    value: float | None
    """None: there was nothing to measure."""
    unit: str = ""
    """`ns` (shown as a duration), `share` (0 to 1, shown in per cent), else a word behind the number."""
    limit: float | None = None
    """In the same unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a contract found."""

    verdict: Verdict
    measured: str
    """In the table: what was measured, in a few words: `20 of 20 in 41.2 ms`."""
    limit: str
    """In the table: what was promised, in a few words: `20 within 5 s`."""
    n: int
    """How many samples it rests on."""
    numbers: tuple[Number, ...] = ()
    sentences: tuple[str, ...] = ()
    """What broke, each with the number; or why nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The capture of a contract that was played, in the order of ids."""

    run: Run
    exchanges: tuple[Exchange, ...] = ()
    sessions: tuple[Session, ...] = ()
    sockets: tuple[Socket, ...] = ()
    packets: tuple[Packet, ...] = ()
    queries: tuple[Query, ...] = ()
    heads: Mapping[int, Pairs] = field(default_factory=dict)
    """By `response_headers` of the exchanges whose heads were kept: all of the first three visits to a session, all
    failures."""
    capture: Capture | None = None
    """The open file, for a contract that is judged by reports."""

    def repeating(self, sources: frozenset[int | None]) -> tuple[Exchange, ...]:
        """The exchanges that repeat one of these exchanges of the recording, in order of sending."""
        found = (exchange for exchange in self.exchanges if exchange.source_exchange in sources)
        return tuple(sorted(found, key=lambda exchange: exchange.sent_ns))


class Contract(Protocol):
    """One promise about many people at once. Frozen; made by its kind's `read` from a table of the suite."""

    @property
    def rank(self) -> int:
        """Its place in a run, low first. 0: needs a rate limit that nobody has touched, and leaves it as it was; 10:
        short bursts; 30: sockets; 50: load; 70: breaks connections."""

    @property
    def users(self) -> int:
        """How many people it needs."""

    def prepare(self, source: Source) -> Traffic:
        """The traffic, chosen from what was recorded. Pure.

        Raises:
            NothingSuch: it is not there to be chosen.
        """

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """What the rows say. Pure; without traffic never a pass."""


class Kind(NamedTuple):
    """A kind of contract, as the registry knows it."""

    name: str
    """The `kind` of its tables in a suite."""
    read: Callable[[Table], Contract]
    """Reads its own keys; the common ones are read already.

    Raises:
        UsageError: a key is not one of its own, or has no such value.
    """
    suggest: Callable[[Source], Sequence[Sequence[str]]]
    """Contracts for `--init`, each as its lines of TOML, comments included, without the `[[contract]]`; none where the
    capture has nothing for it."""
