"""Runs many virtual users on one loop: the beginning, the end, and the captures that come of it.

The loop never waits for the disk. At the run's end no new step begins, what is in flight gets 10 s; the first Ctrl-C
ends the run the same way, only faster, the second at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nestperf.capture.clock import Clock
from nestperf.capture.model import Client, Exchange, Kind, Outcome, Run, Session
from nestperf.durations import SECOND_NS
from nestperf.wire.observations import PacketSeen
from replay.certificate import LAG_FLOOR_NS, Counted, Pledge, Spent, Tally, certify, invalid_because, limited_by
from replay.drivers import Arrivals, Closed, Driver, House, Slots
from replay.health import BEAT_NS, Health
from replay.identities import Identity
from replay.journal import FAILURES, SAMPLE, SLOWEST, Journal
from replay.pacing import GRACE_NS, Load, forwarded_address, session_of, source_address
from replay.player import Visit
from replay.process import signals, undisturbed, used_cpu_ns
from replay.profile import Profile
from replay.stage import Script, Stage, User
from replay.steps import Http, Open, Plan, Step
from replay.timer import Pacer
from replay.transport.answer import Answer
from replay.transport.dial import Target, can_bind
from replay.unreached import unreached
from replay.watch import Condition, Watch

HEAD_START_NS = 30_000_000
"""From the run's beginning to the first arrival: time to get ready in, so that nobody arrives late."""
INTERRUPTED_GRACE_NS = 2 * SECOND_NS
_SHOW_EVERY_S = 0.25
_MANY = 200_000
"""Exchanges whose rows take a second or more to write."""


class Shows(Protocol):
    """Something that shows how the run goes."""

    def show(self, tallies: tuple[Tally, ...], elapsed_ns: int) -> None:
        """Show the state at that moment."""

    def say(self, sentence: str) -> None:
        """Tell the user something."""


class Directs(Driver, Protocol):
    """A driver that also decides when each step goes."""

    def offer(self, visit: Visit, step: Step) -> None:
        """A step is ready to go: `visit.go` sends it, now or later."""

    def answered(self, visit: Visit, step: Step, answer: Answer) -> None:
        """A request was answered, or will not be; steps that waited for it are offered after this."""

    def heard(self, visit: Visit, packet: PacketSeen) -> None:
        """A server sent a Socket.IO packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """A run that is not a plain replay."""

    direct: Callable[[House, Load], Directs]
    about: dict[str, Any]
    """What the run's `settings` say of it, under `contract`; JSON values."""
    expected_ns: int
    """About how long it takes."""
    lateness_ns: int
    """As `certificate.Pledge` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for."""

    load: Load
    timeout_s: float
    forwarded_for: bool
    network: int
    """Which of the 127.N networks the users' addresses are taken from."""
    abort_on: Condition | None = None
    identities: tuple[Identity, ...] = ()
    """Who the users are, in turn; none: all of them are who was recorded."""
    direction: Direction | None = None
    """A contract's own course; None: the load's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One application that a run plays against, and the capture that comes of it."""

    targets: tuple[Target, ...]
    """By upstream of the source capture."""
    journal: Journal
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that is over and stored, one for each side."""

    run: Run
    tally: Tally
    at_once: bool
    """Ended by a second Ctrl-C."""


class Runner:
    """One run against one application, or against several whose visits take turns."""

    def __init__(self, plan: Plan, settings: Settings, sides: tuple[Side, ...], clock: Clock, view: Shows) -> None:
        """Must be made on the loop that it runs on."""
        self.clock = clock
        self.pacer = Pacer(clock)
        self._plan = plan
        self._settings = settings
        self._load = settings.load
        self._profile: Profile = settings.load.profile
        self._sides = sides
        self._view = view
        self._health = Health()
        self._counted = Counted()
        self._watch = None if settings.abort_on is None else Watch(settings.abort_on)
        self._stages = tuple(self._stage(side) for side in sides)
        self._scripts = tuple(self._scripts_of(side) for side in sides)
        self._driver = self._driver_for(max(session.length_ns for session in plan.sessions))
        self._users: dict[int, User] = {}
        self._own_addresses = can_bind(source_address(0, settings.network))
        self._visits: dict[Visit, Stage] = {}
        self._begin_ns = 0
        self._begun_cpu_ns = 0
        self._stopping = False
        self._interrupts = 0
        self._given_up: str | None = None
        self._through = asyncio.Event()

    async def run(self) -> tuple[Ended, ...]:
        """Play, store and certify; returns when the captures are closed."""
        loop = asyncio.get_running_loop()
        self._begun_cpu_ns = used_cpu_ns()
        with signals(loop, self._interrupt):
            with undisturbed():
                self._begin()
                storing = [loop.create_task(side.journal.keep_storing()) for side in self._sides]
                showing = loop.create_task(self._show())
                await self._through.wait()
                spent = self._spent()
            showing.cancel()
            for side in self._sides:
                side.journal.end_storing()
            await asyncio.gather(showing, *storing, return_exceptions=True)
            self.pacer.close()
            ended = []
            for side, stage in zip(self._sides, self._stages, strict=True):
                await asyncio.to_thread(side.journal.store)
                run = self._certified(side, stage.tally, spent)
                stored = side.journal.writer.stored.get("exchanges", 0)
                if stored >= _MANY:
                    self._view.say(f"The load is over; writing {stored:,} exchanges as rows.")
                await asyncio.to_thread(side.journal.finish, run)
                ended.append(Ended(run=run, tally=stage.tally, at_once=self._interrupts > 1))
        return tuple(ended)

    # what drivers ask for

    def let_in(self, user: int, iteration: int, visit: int, arrival_ns: int) -> Visit:
        """A user begins that visit of the run; the driver starts it."""
        script, stage = self._turn_of(visit)
        begun = Visit(
            stage,
            self._user(user),
            script,
            iteration=iteration,
            arrival_ns=arrival_ns,
            on_over=self._visit_over,
        )
        self._visits[begun] = stage
        stage.tally.alive += 1
        return begun

    def drop_arrival(self, visit: int, due_ns: int) -> None:
        """A session was due and found no free user."""
        script, stage = self._turn_of(visit)
        stage.tally.arrivals_dropped += 1
        label = f"visit {visit + 1}: no user was free"
        stage.journal.note(
            Session(
                id=stage.journal.session_id(),
                client_id=None,
                label=label,
                source_session=script.plan.source,
                intended_ns=due_ns,
                state="dropped",
            )
        )

    def drop_slot(self, visit: int, due_ns: int) -> None:
        """A request was due and found no free user; it would have been the first one of that visit."""
        script, stage = self._turn_of(visit)
        tally = stage.tally
        tally.planned += 1
        tally.dropped += 1
        tally.slots_dropped += 1
        tally.outcomes[Outcome.DROPPED] += 1
        stage.journal.note(_dropped(script, stage.journal.exchange_id(), due_ns, self._load.users))

    def count(self, due_ns: int, *, sent: bool) -> None:
        """A slot or an arrival of a phase that counts was due, and found somebody or not."""
        self._counted.planned += 1
        if sent:
            self._counted.sent += 1
            self._counted.last_ns = self.clock.now_ns()

    def nobody_left(self) -> None:
        """Nobody will come any more."""
        self._check_through()

    # beginning

    def _stage(self, side: Side) -> Stage:
        stage = Stage(
            clock=self.clock,
            pacer=self.pacer,
            load=self._load,
            targets=side.targets,
            journal=side.journal,
            timeout_s=self._settings.timeout_s,
            watch=self._watch,
        )
        side.journal.on_repeats = stage.tally.note_repeats
        return stage

    def _driver_for(self, length_ns: int) -> Driver:
        if self._settings.direction is not None:
            director = self._settings.direction.direct(self, self._load)
            for stage in self._stages:
                stage.offer, stage.answered, stage.offers_all = director.offer, director.answered, True
                stage.heard = director.heard
            return director
        sessions = len(self._plan.sessions) * len(self._sides)
        if self._load.model == "users":
            return Closed(self, self._load, sessions, length_ns)
        if self._load.model == "sessions":
            return Arrivals(self, self._load, sessions)
        slots = Slots(self, self._load)
        for stage in self._stages:
            stage.offer = slots.offer
        return slots

    def _begin(self) -> None:
        self._begin_ns = begin_ns = self.clock.now_ns() + HEAD_START_NS
        phases = [
            [name, begin_ns + first_ns, None if last_ns is None else begin_ns + last_ns]
            for name, first_ns, last_ns in self._profile.phases
        ]
        for side in self._sides:
            # In the file from the beginning: a run that is killed still says which of its time counts.
            side.journal.writer.set_run(side.run._replace(settings={**side.run.settings, "phases": phases}))
        self._driver.start(begin_ns)
        if self._load.is_timed and self._profile.end_ns is not None:
            self.pacer.at(begin_ns + self._profile.end_ns, self._stop, GRACE_NS)
        self._beat(begin_ns)

    def _turn_of(self, visit: int) -> tuple[Script, Stage]:
        session, side = session_of(visit, len(self._plan.sessions), len(self._sides), self._load.seed)
        return self._scripts[side][session], self._stages[side]

    def _scripts_of(self, side: Side) -> tuple[Script, ...]:
        """A side's own: they know how its journal stores them."""
        forwarded = self._settings.forwarded_for
        return tuple(Script(session, side.journal, forwarded=forwarded) for session in self._plan.sessions)

    def _user(self, number: int) -> User:
        user = self._users.get(number)
        if user is None:
            network = self._settings.network
            identities = self._settings.identities
            user = self._users[number] = User(
                identity=identities[number % len(identities)] if identities else None,
                number=number,
                client_id=number + 1,
                source=source_address(number, network) if self._own_addresses else None,
                forwarded=forwarded_address(number, network) if self._settings.forwarded_for else None,
            )
            row = Client(user.client_id, _shown_address(user), self._plan.sessions[0].user_agent)
            for side in self._sides:
                side.journal.note(row)
        return user

    # the way

    def _visit_over(self, visit: Visit) -> None:
        stage = self._visits.pop(visit)
        stage.tally.alive -= 1
        if not self._stopping:
            self._driver.over(visit)
        self._check_through()

    def _check_through(self) -> None:
        if not self._visits and (self._stopping or self._driver.is_through):
            self._through.set()

    def _beat(self, due_ns: int) -> None:
        now_ns = self.clock.now_ns()
        if now_ns >= due_ns:
            self._health.beat(due_ns, now_ns)
            self._health.read(now_ns - self._begin_ns, used_cpu_ns(), len(self._visits))
            for stage in self._stages:
                stage.tally.fold()
        if self._watch is not None and self._given_up is None and self._health.is_new_second:
            self._given_up = self._watch.verdict(now_ns)
            if self._given_up is not None:
                self._view.say(self._given_up)
                self._stop(INTERRUPTED_GRACE_NS)
                return
        self.pacer.at(now_ns + BEAT_NS, self._beat, now_ns + BEAT_NS)

    async def _show(self) -> None:
        while True:
            elapsed_ns = max(0, self.clock.now_ns() - self._begin_ns)
            self._view.show(tuple(stage.tally for stage in self._stages), elapsed_ns)
            await asyncio.sleep(_SHOW_EVERY_S)

    # endings

    def _stop(self, grace_ns: int) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._driver.stop()
        now_ns = self.clock.now_ns()
        self.pacer.clear()
        self.pacer.at(now_ns + grace_ns, self._kill)
        self.pacer.at(now_ns + BEAT_NS, self._beat, now_ns + BEAT_NS)
        for visit in tuple(self._visits):
            visit.stop()
        self._check_through()

    def _kill(self) -> None:
        self._stopping = True
        self._driver.stop()
        self.pacer.clear()
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
                self.pacer.at(self.clock.now_ns() + INTERRUPTED_GRACE_NS, self._kill)
            self._stop(INTERRUPTED_GRACE_NS)
        else:
            self._kill()

    # the certificate

    def _spent(self) -> Spent:
        elapsed_ns, cpu_ns = self.clock.now_ns() - self._begin_ns, used_cpu_ns()
        self._health.end(elapsed_ns, cpu_ns, len(self._visits))
        return Spent(
            elapsed_ns=elapsed_ns,
            cpu_ns=cpu_ns - self._begun_cpu_ns,
            busiest_share=self._health.busiest_share,
            loop_lags_ns=self._health.loop_lags_ns,
        )

    def _certified(self, side: Side, tally: Tally, spent: Spent) -> Run:
        load = self._load
        certificate = certify(tally, spent, self._pledge())
        certificate["users"] = load.users if load.model == "users" else len(self._users)
        certificate["users_alive"] = self._health.alive
        certificate["duration_ns"] = self._profile.end_ns if load.is_timed else None
        certificate["source_addresses"] = _addresses(tuple(self._users.values()))
        # Stamps of other processes of this machine can be held against the capture's.
        certificate["monotonic_ns"] = self.clock.anchor_ns
        certificate["loop"] = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        certificate["sides"] = len(self._sides)
        certificate |= unreached(self._plan, tally)
        certificate["limit"] = limited_by(certificate)
        certificate["given_up"] = self._given_up
        invalid = invalid_because(certificate)
        if tally.nothing_connected:
            invalid = (*invalid, _nothing_connected(tally))
        known = side.journal.writer.run
        return known._replace(
            state="interrupted" if self._interrupts else "finished",
            ended_ns=self.clock.now_ns(),
            certificate=certificate,
            invalid=invalid,
            settings={**known.settings, "kept_whole": _kept_whole()},
        )

    def _pledge(self) -> Pledge:
        counted = [phase for phase in self._profile.phases if phase.name == "load"]
        lengths = [phase.end_ns - phase.begin_ns for phase in counted if phase.end_ns is not None]
        counted_ns = sum(lengths)
        last_ns = counted[-1].end_ns
        rate = {"rate": "requests", "sessions": "sessions"}.get(self._load.model)
        return Pledge(
            paced=self._load.is_paced,
            rate=rate,
            counted=self._counted,
            end_ns=None if last_ns is None else self._begin_ns + last_ns,
            counted_ns=counted_ns,
            lateness_ns=LAG_FLOOR_NS if self._settings.direction is None else self._settings.direction.lateness_ns,
        )


def _dropped(script: Script, exchange_id: int, due_ns: int, users: int) -> Exchange:
    """The row of a request that nobody was there to send."""
    action = next(step.action for step in script.plan.steps if isinstance(step.action, Http | Open))
    return Exchange(
        id=exchange_id,
        session_id=None,
        client_id=None,
        connection=None,
        upstream=action.upstream,
        kind=Kind.UPGRADE if isinstance(action, Open) else action.kind,
        server_call=False,
        method="GET" if isinstance(action, Open) else action.method,
        authority=action.authority,
        target=action.route,
        route=action.route,
        http_version="HTTP/1.1",
        request_headers=None,
        request_trailers=None,
        request_body=None,
        request_bytes=0,
        status=None,
        reason=None,
        response_headers=None,
        response_trailers=None,
        response_body=None,
        response_bytes=0,
        interim=None,
        intended_ns=due_ns,
        sent_ns=due_ns,
        request_done_ns=None,
        first_byte_ns=None,
        done_ns=None,
        connect_ns=None,
        relay_ns=None,
        outcome=Outcome.DROPPED,
        detail=f"all {users:,} users were busy when it was due",
        source_exchange=action.source,
    )


def _kept_whole() -> str:
    return (
        f"the first {SAMPLE} visits to each recorded session, the first {FAILURES:,} failures and mismatches, and "
        f"answers slower than all but {SLOWEST} before them"
    )


def _nothing_connected(tally: Tally) -> str:
    why = tally.refusals.most_common(1)[0][0]
    return f"Nothing could connect ({why}): start the application, or name where it is with --target."


def _shown_address(user: User) -> str:
    return user.forwarded or user.source or "127.0.0.1"


def _addresses(users: tuple[User, ...]) -> str:
    if not users:
        return "nobody came"
    first, last = users[0], users[-1]
    told = f"{_shown_address(first)} to {_shown_address(last)}"
    if first.forwarded is not None:
        return f"{told}, as X-Forwarded-For"
    return told if first.source is not None else "one address for all users: this system has no others on loopback"
