"""What follows what on sockets, learnt from the recording: emit and answer, cause and event elsewhere. Pure.

A wire does not say what an event was sent for. An event is taken for the sequel of what it followed most often; every
choice comes with the sentence that says what it rests on, and a suite can overrule it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from nestperf.capture.kinds import SAFE_METHODS
from nestperf.capture.model import Packet
from nestperf.console import duration
from replay.checks.contract import NothingSuch, Source
from replay.steps import Emit, Http, SessionPlan, Step

ACK = "ack"
"""The answer of an emit that is acknowledged."""
SOON_NS = 2_000_000_000
"""An event this long after what caused it was caused by something else."""
TOGETHER_NS = 1_000_000_000
"""Receipts of the same event with the same payload so close to each other are one broadcast."""
_MOSTLY = 0.5
_HARMLESS = re.compile(r"ping|echo|test", re.IGNORECASE)
"""What may be sent hundreds of times without harm, by its name."""
_SUBSCRIBES = re.compile(r"subscri|join|watch|listen|follow|enter|register|auth|room|hello|init", re.IGNORECASE)
"""Events by which clients say what they want to hear."""

Name = tuple[str, str]
"""Namespace and event."""


class Answered(NamedTuple):
    """An emit and what answers it."""

    session: SessionPlan
    step: Step
    answer: str
    """The event, in the emit's namespace; `ACK` where it is acknowledged."""
    recorded: Packet | None
    """One answer of the recording, to the step's emit."""
    why: str

    @property
    def action(self) -> Emit:
        """What is emitted."""
        assert isinstance(self.step.action, Emit)
        return self.step.action


class Caused(NamedTuple):
    """Something a client did, and the event that came of it."""

    session: SessionPlan
    step: Step
    namespace: str
    event: str
    heard_by: int
    """A socket of the recording that received it."""
    why: str

    @property
    def cause(self) -> str:
        """`emit request:refresh`, `POST /api/v1/media/request`."""
        return title(self.step)


def title(step: Step) -> str:
    """What a suite calls a cause."""
    action = step.action
    if isinstance(action, Emit):
        return f"emit {action.event}"
    assert isinstance(action, Http)
    return f"{action.method} {action.route}"


def choose_answered(source: Source, emit: str = "", answer: str = "") -> Answered:
    """The emit whose event a pattern means, else the one that was answered most often, harmless names first.

    Raises:
        NothingSuch: there is none, or it was never answered so.
    """
    found: list[tuple[tuple[bool, int], Answered]] = []
    for (namespace, event), steps in _emits(source).items():
        if emit and not fnmatchcase(event, emit):
            continue
        one = _answer_of(source, namespace, event, steps, answer)
        if one is not None:
            harmless = _HARMLESS.search(event) is not None
            found.append(((harmless, len(steps)), one))
    if not found:
        which = f"emit `{emit}`" if emit else "emit"
        how = f"by `{answer}`" if answer else "by its ack or an event"
        raise NothingSuch(
            f"the capture has no {which} that was answered {how}: record one, or mend `emit` and `answer`"
        )
    return max(found, key=lambda one: one[0])[1]


def choose_caused(source: Source, cause: str = "", event: str = "", *, emits_only: bool = False) -> Caused:
    """The cause and the event that patterns mean; without one, the broadcast that most sockets heard at once, then what
    is no answer to the one who asked, then what also came unasked. `emits_only`: an event that followed a request more
    closely has no cause then, unless `cause` names one.

    Raises:
        NothingSuch: no such event was received, or nothing that can be repeated came shortly before it.
    """
    receipts = _receipts(source)
    names = [name for name in receipts if not event or fnmatchcase(name[1], event)]
    if not names:
        raise NothingSuch(
            f"no client of the capture received an event {event or 'at all'}: record one, or mend `event`"
        )
    found: list[tuple[tuple[int, bool, bool, float, int], Caused]] = []
    causes = list(_causes(source, cause, emits_only=emits_only and cause != ""))
    for name in names:
        best = _best_cause(receipts[name], causes, name)
        if best is not None and (isinstance(best[1].step.action, Emit) or not emits_only):
            at_once = _most_at_once(receipts[name])
            unasked = len(receipts[name]) > best[0][1]
            shared = not _is_private(best[1].step, receipts[name])
            found.append(((at_once, shared, unasked, best[0][0], -best[0][2]), best[1]))
    if not found:
        told = f"`{cause}`" if cause else "nothing that can be repeated"
        raise NothingSuch(
            f"{told} came shortly before {event or 'any event'} in the capture: record it, or mend `cause` and `event`"
        )
    return max(found, key=lambda one: one[0])[1]


def subscriptions(session: SessionPlan, socket: int, patterns: Sequence[str]) -> list[Step]:
    """The emits on a socket by which its client said what it wants to hear, once each: those that patterns mean, else
    by their names."""
    found: dict[tuple[str, str, str], Step] = {}
    for step in session.steps:
        action = step.action
        if not isinstance(action, Emit) or action.socket != socket:
            continue
        wanted = any(fnmatchcase(action.event, pattern) for pattern in patterns)
        if wanted or (not patterns and _SUBSCRIBES.search(action.event) and "unsub" not in action.event.lower()):
            found.setdefault((action.namespace, action.event, action.payload), step)
    return list(found.values())


def _emits(source: Source) -> dict[Name, list[tuple[SessionPlan, Step, Packet]]]:
    packets = {packet.id: packet for packet in source.packets}
    found: dict[Name, list[tuple[SessionPlan, Step, Packet]]] = defaultdict(list)
    for session in source.plan.sessions:
        for step in session.steps:
            action = step.action
            if isinstance(action, Emit) and action.source in packets:
                found[action.namespace, action.event].append((session, step, packets[action.source]))
    return found


def _answer_of(
    source: Source, namespace: str, event: str, steps: Sequence[tuple[SessionPlan, Step, Packet]], answer: str
) -> Answered | None:
    acks = {packet.answers: packet for packet in source.packets if packet.type == "ack" and packet.sender == "server"}
    acked = [one for one in steps if getattr(one[1].action, "acknowledged", False)]
    if answer in ("", ACK) and len(acked) >= len(steps) * _MOSTLY:
        session, step, packet = acked[0]
        why = f"emit {event}{_where(namespace)}: acknowledged {len(acked)} of {len(steps)} times"
        return Answered(session, step, ACK, acks.get(packet.id), why)
    if answer == ACK:
        return None
    asked = {(p.socket_id, p.stamp_ns) for _, _, p in steps}
    best: tuple[tuple[float, float, float], Answered] | None = None
    for name, received in _by_name(source, namespace, {socket for socket, _ in asked}).items():
        if answer and not fnmatchcase(name, answer):
            continue
        firsts = [_first_after(received, packet) for _, _, packet in steps]
        delays = sorted(first.done_ns - one[2].stamp_ns for first, one in zip(firsts, steps, strict=True) if first)
        if len(delays) < max(1, len(steps) * _MOSTLY):
            continue
        at = next(n for n, first in enumerate(firsts) if first is not None)
        session, step, _ = steps[at]
        why = (
            f"emit {event}{_where(namespace)}: followed by {name} {len(delays)} of {len(steps)} times, after "
            f"{duration(delays[len(delays) // 2])}"
        )
        rank = (len(delays) / len(steps), len(delays) / len(received), -float(delays[len(delays) // 2]))
        if best is None or rank > best[0]:
            best = rank, Answered(session, step, name, firsts[at], why)
    return None if best is None else best[1]


def _by_name(source: Source, namespace: str, sockets: set[int]) -> dict[str, list[Packet]]:
    found: dict[str, list[Packet]] = defaultdict(list)
    for packet in source.packets:
        here = packet.socket_id in sockets and (packet.namespace or "/") == namespace
        if here and packet.sender == "server" and packet.type == "event":
            found[packet.event or ""].append(packet)
    return found


def _first_after(received: Sequence[Packet], asked: Packet) -> Packet | None:
    for packet in received:
        if packet.socket_id == asked.socket_id and 0 <= packet.done_ns - asked.stamp_ns <= SOON_NS:
            return packet
    return None


def _receipts(source: Source) -> dict[Name, list[Packet]]:
    found: dict[Name, list[Packet]] = defaultdict(list)
    for packet in source.packets:
        if packet.sender == "server" and packet.type == "event":
            found[packet.namespace or "/", packet.event or ""].append(packet)
    return found


class _Possible(NamedTuple):
    """A thing clients did, every time they did it."""

    session: SessionPlan
    step: Step
    moments_ns: tuple[int, ...]


def _causes(source: Source, pattern: str, *, emits_only: bool) -> Iterator[_Possible]:
    moments: dict[str, list[int]] = defaultdict(list)
    first: dict[str, tuple[SessionPlan, Step]] = {}
    stamps = {packet.id: packet.stamp_ns for packet in source.packets}
    sent = {exchange.id: exchange.sent_ns for exchange in source.exchanges}
    for session in source.plan.sessions:
        for step in session.steps:
            moment_ns = _moment(step, stamps, sent, emits_only=emits_only)
            if moment_ns is not None and (not pattern or _means(pattern, title(step))):
                moments[title(step)].append(moment_ns)
                first.setdefault(title(step), (session, step))
    for name, (session, step) in first.items():
        yield _Possible(session, step, tuple(sorted(moments[name])))


def _moment(step: Step, stamps: dict[int, int], sent: dict[int, int], *, emits_only: bool) -> int | None:
    action = step.action
    if isinstance(action, Emit):
        return stamps.get(action.source)
    writes = isinstance(action, Http) and action.method not in SAFE_METHODS and (action.status or 500) < 400
    return sent.get(getattr(action, "source", None) or 0) if writes and not emits_only else None


def _means(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"emit {pattern}")


def _best_cause(
    receipts: Sequence[Packet], causes: Iterable[_Possible], name: Name
) -> tuple[tuple[float, int, int], Caused] | None:
    stamps = sorted(packet.done_ns for packet in receipts)
    best: tuple[tuple[float, int, int], Caused] | None = None
    for possible in causes:
        delays = sorted(ns for ns in (_delay(stamps, moment) for moment in possible.moments_ns) if ns is not None)
        if len(delays) < max(1, len(possible.moments_ns) * _MOSTLY):
            continue
        middle = delays[len(delays) // 2]
        rank = (_likeliness(len(delays), len(possible.moments_ns)), len(delays), middle)
        if best is None or (rank[0], -rank[2]) > (best[0][0], -best[0][2]):
            namespace, event = name
            heard_by = next(p.socket_id for p in receipts if _follows(p, possible.moments_ns))
            why = (
                f"{title(possible.step)}: followed by {event}{_where(namespace)} {len(delays)} of "
                f"{len(possible.moments_ns)} times, after {duration(middle)}"
            )
            best = rank, Caused(possible.session, possible.step, namespace, event, heard_by, why)
    return best


def _likeliness(followed: int, times: int) -> float:
    """How likely it is followed the next time (Laplace's rule of succession): 5 of 5 say more than 1 of 1."""
    return (followed + 1) / (times + 2)


def _delay(stamps: Sequence[int], moment_ns: int) -> int | None:
    at = bisect_left(stamps, moment_ns)
    return stamps[at] - moment_ns if at < len(stamps) and stamps[at] - moment_ns <= SOON_NS else None


def _follows(packet: Packet, moments_ns: Sequence[int]) -> bool:
    at = bisect_right(moments_ns, packet.done_ns) - 1
    return at >= 0 and packet.done_ns - moments_ns[at] <= SOON_NS


def _most_at_once(receipts: Sequence[Packet]) -> int:
    """The most sockets that had the same of it at nearly the same time."""
    by_payload: dict[str | None, list[Packet]] = defaultdict(list)
    for packet in receipts:
        by_payload[packet.payload].append(packet)
    most = 1
    for same in by_payload.values():
        for packet in same:
            near = {other.socket_id for other in same if abs(other.done_ns - packet.done_ns) <= TOGETHER_NS}
            most = max(most, len(near))
    return most


def _where(namespace: str) -> str:
    return "" if namespace == "/" else f" in {namespace}"


def _is_private(cause: Step, receipts: Sequence[Packet]) -> bool:
    """Whether an event looks like an answer to the one who asked: to a subscription, or repeating what was sent."""
    action = cause.action
    if not isinstance(action, Emit):
        return False
    if _SUBSCRIBES.search(action.event):
        return True
    sent = _named_values(action.payload)
    return any(sent & _named_values(packet.payload) for packet in receipts)


def _named_values(payload: str | None) -> set[tuple[str | int, str]]:
    """Values with their keys; what most documents say somewhere (true, null, an empty text) is left out."""
    found = ((path[-1] if path else "", leaf) for path, leaf in leaves(parsed(payload)))
    return {(key, repr(leaf)) for key, leaf in found if leaf is not None and not isinstance(leaf, bool) and leaf != ""}


def parsed(payload: str | None) -> Any:
    """A payload's document; None where it is none."""
    try:
        return json.loads(payload or "null")
    except (ValueError, RecursionError):
        return None


def leaves(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The plain values of a document, each with its way."""
    if isinstance(document, dict):
        for key, inner in document.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(document, list):
        for index, inner in enumerate(document):
            yield from leaves(inner, (*path, index))
    else:
        yield path, document
