"""Goes through a suite: one contract after the other, with the waits between them. Judges nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nestperf.capture.clock import Clock
from nestperf.console import duration
from nestperf.verdicts import Verdict
from replay.before import run_before
from replay.checks.contract import Finding, NothingSuch, Source, Traffic
from replay.checks.performance import INTERRUPTED, Performed, Place, path_of, perform
from replay.checks.suite import Entry, Suite
from replay.pacing import network_of

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A contract and what it will do; a text where the capture has nothing for it."""

    entry: Entry
    traffic: Traffic | str


def plan_suite(suite: Suite, source: Source) -> tuple[Planned, ...]:
    """What every contract of a suite will do. Pure."""
    return tuple(Planned(entry=entry, traffic=_traffic(entry, source)) for entry in suite.entries)


def _traffic(entry: Entry, source: Source) -> Traffic | str:
    try:
        return entry.contract.prepare(source)
    except NothingSuch as error:
        return f"{error}."


def not_played(planned: Planned, why: str) -> Performed:
    """The result of a contract that sent nothing."""
    finding = Finding(verdict=Verdict.NOT_MEASURED, measured="nothing", limit="", n=0, sentences=(why,))
    return Performed(entry=planned.entry, finding=finding)


def interrupted_before(planned: Planned) -> Performed:
    """The result of a contract that Ctrl-C left without its turn."""
    return replace(not_played(planned, "Interrupted before its turn."), state=INTERRUPTED)


class Round:
    """Every contract of a suite once. Results are in `performed`, also when Ctrl-C ends it early."""

    def __init__(
        self,
        planned: Sequence[Planned],
        place: Place,
        output: Path,
        *,
        number: int,
        network: int,
        before: str | None,
        own_addresses: bool,
        say: Say,
        told: Callable[[Performed], None],
    ) -> None:
        """`network`: the number of its first contract's network (`pacing.network_of`); each contract's users come from
        one of their own. `told`: called with each contract that has ended."""
        self.performed: list[Performed] = []
        self.is_over = False
        """Whether Ctrl-C ended it."""
        self._planned = planned
        self._place = place
        self._output = output
        self._number = number
        self._network = network
        self._before = before
        self._own_addresses = own_addresses
        self._say = say
        self._told = told

    def run(self, spent: Spent) -> None:
        """Perform them; after a Ctrl-C the rest is not measured."""
        for position, planned in enumerate(self._planned):
            if isinstance(planned.traffic, str):
                self._end(not_played(planned, planned.traffic))
            elif self._place.identities and len(self._place.identities) < planned.traffic.people:
                self._end(not_played(planned, f"It needs {planned.traffic.people} different identities."))
            elif self.is_over:
                self.performed.append(interrupted_before(planned))
            else:
                self._perform(planned.entry, planned.traffic, position, spent)

    def _perform(self, entry: Entry, traffic: Traffic, position: int, spent: Spent) -> None:
        self._say("")
        try:
            self._wait(entry, traffic, spent)
            run_before(self._before)
        except KeyboardInterrupt:
            self.is_over = True
            self.performed.append(interrupted_before(Planned(entry=entry, traffic=traffic)))
            return
        self._say(f"{entry.name} …")
        path = path_of(self._output, entry.name, self._number)
        network = network_of(self._network + position)
        done = perform(entry, traffic, self._place, path, network=network, first=spent.identities)
        spent.count(traffic.load.users)
        self.is_over = done.state == INTERRUPTED
        self._end(done)

    def _end(self, done: Performed) -> None:
        self.performed.append(done)
        self._told(done)

    def _wait(self, entry: Entry, traffic: Traffic, spent: Spent) -> None:
        fresh = self._own_addresses and spent.identities + traffic.load.users <= len(self._place.identities)
        wait_ns = 0 if fresh else spent.wait_ns(traffic.fresh_ns)
        if wait_ns > 0:
            self._say(f"Waiting {duration(wait_ns)} before {entry.name}: the limit of what was sent before must end.")
            time.sleep(wait_ns / 1e9)


class Spent:
    """What the contracts so far have used up."""

    def __init__(self, clock: Clock) -> None:
        self.identities = 0
        """How many had their turn."""
        self._clock = clock
        self._last_ns: int | None = None

    def count(self, users: int) -> None:
        """A contract with so many users has ended."""
        self.identities += users
        self._last_ns = self._clock.now_ns()

    def wait_ns(self, fresh_ns: int) -> int:
        """How long until nothing was sent for so long."""
        if self._last_ns is None or not fresh_ns:
            return 0
        return max(0, self._last_ns + fresh_ns - self._clock.now_ns())
