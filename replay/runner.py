"""Runs many virtual users on one loop: arrivals, turns, the end, and the capture that comes of it.

The loop never waits for the disk. At the run's end no new step begins, what is in flight gets 10 s; the first Ctrl-C
ends the run the same way, only faster, the second at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from nestperf.capture.clock import Clock
from nestperf.capture.model import Client, Run
from replay.certificate import Tally, certify, invalid_because
from replay.journal import FAILURES, SAMPLE, SLOWEST, Journal
from replay.pacing import GRACE_NS, PAUSE_NS, SECOND_NS, Load, forwarded_address, source_address
from replay.player import Visit
from replay.stage import Script, Stage, User
from replay.steps import Plan
from replay.timer import Pacer
from replay.transport.dial import Target, can_bind

T = TypeVar("T")

HEAD_START_NS = 30_000_000
"""From the run's beginning to the first arrival: time to get ready in, so that nobody arrives late."""
INTERRUPTED_GRACE_NS = 2 * SECOND_NS
SWITCH_S = 0.001
"""How long the storing thread may hold the interpreter while the loop waits for it; Python's default is 5 ms."""
_SHOW_EVERY_S = 0.25


class Shows(Protocol):
    """Something that shows how the run goes."""

    def show(self, tally: Tally, elapsed_ns: int) -> None:
        """Show the state at that moment."""

    def say(self, sentence: str) -> None:
        """Tell the user something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for."""

    load: Load
    targets: tuple[Target, ...]
    timeout_s: float
    forwarded_for: bool
    network: int
    """Which of the 127.N networks the users' addresses are taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that is over and stored."""

    run: Run
    tally: Tally
    at_once: bool
    """Ended by a second Ctrl-C."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, or on asyncio's own loop where there is none."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


class Runner:
    """One run."""

    def __init__(self, plan: Plan, settings: Settings, journal: Journal, run: Run, clock: Clock, view: Shows) -> None:
        self._scripts = tuple(Script(session, journal, forwarded=settings.forwarded_for) for session in plan.sessions)
        self._length_ns = max(session.length_ns for session in plan.sessions)
        self._settings = settings
        self._journal = journal
        self._run = run
        self._clock = clock
        self._view = view
        self._users = _users(settings)
        self._visits: set[Visit] = set()
        self._waiting_users = len(self._users)
        """Users that have not arrived yet, or pause."""
        self._stopping = False
        self._interrupts = 0
        self._through = asyncio.Event()

    async def run(self) -> Ended:
        """Play, store and certify; returns when the capture is closed."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        stage = self._stage = Stage(
            clock=self._clock,
            pacer=Pacer(self._clock),
            load=settings.load,
            targets=settings.targets,
            journal=self._journal,
            timeout_s=settings.timeout_s,
        )
        for user in self._users:
            self._journal.note(Client(user.client_id, _shown_address(user), self._scripts[0].plan.user_agent))
        cpu_ns = _cpu_ns()
        with _signals(loop, self._interrupt):
            with _undisturbed():
                begin_ns = self._clock.now_ns() + HEAD_START_NS
                self._schedule(begin_ns)
                storing = loop.create_task(self._journal.keep_storing())
                showing = loop.create_task(self._show(begin_ns))
                await self._through.wait()
                elapsed_ns = self._clock.now_ns() - begin_ns
                cpu_ns = _cpu_ns() - cpu_ns
            showing.cancel()
            self._journal.end_storing()
            await asyncio.gather(showing, storing, return_exceptions=True)
            stage.pacer.close()
            run = self._certified(elapsed_ns, cpu_ns)
            await asyncio.to_thread(self._journal.finish, run)
        return Ended(run=run, tally=stage.tally, at_once=self._interrupts > 1)

    # arrivals and turns

    def _schedule(self, begin_ns: int) -> None:
        load, pacer = self._settings.load, self._stage.pacer
        for user, arrival_ns in zip(self._users, load.arrivals(self._length_ns), strict=True):
            pacer.at(begin_ns + arrival_ns, self._visit, user, 0, begin_ns + arrival_ns)
        if load.duration_ns is not None:
            pacer.at(begin_ns + load.duration_ns, self._stop, GRACE_NS)

    def _visit(self, user: User, iteration: int, arrival_ns: int) -> None:
        self._waiting_users -= 1
        if self._stopping:
            self._check_through()
            return
        session = self._settings.load.session_for(user.number, iteration, len(self._scripts))
        if session is None:
            self._check_through()
            return
        visit = Visit(
            self._stage,
            user,
            self._scripts[session],
            iteration=iteration,
            arrival_ns=arrival_ns,
            on_over=self._visit_over,
        )
        self._visits.add(visit)
        self._stage.tally.alive += 1
        visit.start()

    def _visit_over(self, visit: Visit) -> None:
        self._visits.discard(visit)
        self._stage.tally.alive -= 1
        if not self._stopping:
            self._waiting_users += 1
            # A user who reached nobody would come back at once, again and again.
            pause_ns = PAUSE_NS if visit.state == "failed" else 0
            arrival_ns = self._clock.now_ns() + pause_ns
            self._stage.pacer.at(arrival_ns, self._visit, visit.user, visit.iteration + 1, arrival_ns)
        self._check_through()

    def _check_through(self) -> None:
        if not self._visits and (self._stopping or self._waiting_users == 0):
            self._through.set()

    # endings

    def _stop(self, grace_ns: int) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._stage.pacer.clear()
        self._stage.pacer.at(self._clock.now_ns() + grace_ns, self._kill)
        for visit in tuple(self._visits):
            visit.stop()
        self._check_through()

    def _kill(self) -> None:
        self._stopping = True
        self._stage.pacer.clear()
        for visit in tuple(self._visits):
            visit.kill()
        self._check_through()

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._through.is_set():
            # Over already: what is still to be stored is stored, and the second one only changes the exit code.
            return
        if self._interrupts == 1:
            self._view.say("Stopping: what is in flight gets 2 s; Ctrl-C again ends at once.")
            if self._stopping:
                self._stage.pacer.at(self._clock.now_ns() + INTERRUPTED_GRACE_NS, self._kill)
            self._stop(INTERRUPTED_GRACE_NS)
        else:
            self._kill()

    async def _show(self, begin_ns: int) -> None:
        while True:
            self._view.show(self._stage.tally, max(0, self._clock.now_ns() - begin_ns))
            await asyncio.sleep(_SHOW_EVERY_S)

    def _certified(self, elapsed_ns: int, cpu_ns: int) -> Run:
        settings, tally = self._settings, self._stage.tally
        certificate = certify(tally, elapsed_ns=elapsed_ns, cpu_ns=cpu_ns, paced=settings.load.think != "none")
        certificate["users"] = settings.load.users
        certificate["duration_ns"] = settings.load.duration_ns
        certificate["source_addresses"] = _addresses(self._users)
        certificate["loop"] = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        invalid = invalid_because(certificate)
        if tally.nothing_connected:
            invalid = (*invalid, _nothing_connected(tally))
        return self._run._replace(
            state="interrupted" if self._interrupts else "finished",
            ended_ns=self._clock.now_ns(),
            certificate=certificate,
            invalid=invalid,
            settings={**self._run.settings, "kept_whole": _kept_whole()},
        )


def _kept_whole() -> str:
    return (
        f"the first {SAMPLE} visits to each recorded session, the first {FAILURES:,} failures and mismatches, and "
        f"answers slower than all but {SLOWEST} before them"
    )


def _nothing_connected(tally: Tally) -> str:
    why = tally.refusals.most_common(1)[0][0]
    return f"Nothing could connect ({why}): start the application, or name where it is with --target."


def _users(settings: Settings) -> tuple[User, ...]:
    own = can_bind(source_address(0, settings.network))
    return tuple(
        User(
            number=number,
            client_id=number + 1,
            source=source_address(number, settings.network) if own else None,
            forwarded=forwarded_address(number, settings.network) if settings.forwarded_for else None,
        )
        for number in range(settings.load.users)
    )


def _shown_address(user: User) -> str:
    return user.forwarded or user.source or "127.0.0.1"


def _addresses(users: tuple[User, ...]) -> str:
    first, last = users[0], users[-1]
    told = f"{_shown_address(first)} to {_shown_address(last)}"
    if first.forwarded is not None:
        return f"{told}, as X-Forwarded-For"
    return told if first.source is not None else "one address for all users: this system has no others on loopback"


def _cpu_ns() -> int:
    """CPU time of this process by the operating system's accounting, user and system, nanoseconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e9)


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Any:
    """Ctrl-C and SIGTERM call instead of raising."""
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _undisturbed() -> Any:
    """What exists by now is never searched for garbage, and threads take turns quickly."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)
