"""Which message was answered, when and how often: what tells replies apart, and the judgement over packets. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from nestperf.capture.model import Packet
from nestperf.console import limit, plural
from replay.checks.contract import Finding, Number
from replay.checks.findings import late_sentence, measured, nothing_came, slowest_of, time_numbers, verdict_of
from replay.checks.sequels import ACK, Answered, leaves, parsed
from replay.provenance.sendings import Slot, slots_of

_COUNTING = ("id", "n", "seq", "index", "number", "message")
"""Names of values that tell messages apart, by preference."""


class Echo(NamedTuple):
    """A value of the message that its answer repeats."""

    slot: Slot
    path: tuple[str | int, ...]
    """Where it stands in the answer's arguments."""
    counts: bool
    """It is a whole number."""


def echo_of(chosen: Answered) -> Echo | None:
    """The value by which messages can be told apart; None where the ack does, or nothing."""
    if chosen.answer == ACK or chosen.recorded is None:
        return None
    answered = list(leaves(parsed(chosen.recorded.payload)))
    found = []
    for slot in slots_of(chosen.action):
        if slot.kind not in ("json", "number") or slot.wrap or slot.at is not None:
            continue
        counts = slot.kind == "number" and slot.value.lstrip("-").isdigit()
        if not counts and len(slot.value) < 3:
            continue
        value = int(slot.value) if counts else slot.value
        path = next((path for path, leaf in answered if leaf == value and type(leaf) is type(value)), None)
        if path is not None:
            found.append(Echo(slot, path, counts))
    return min(found, key=_usefulness, default=None)


def _usefulness(echo: Echo) -> tuple[int, bool]:
    name = echo.slot.name.lower()
    return (_COUNTING.index(name) if name in _COUNTING else len(_COUNTING), not echo.counts)


class Told(NamedTuple):
    """What one client sent, and what it was answered, in the order of both."""

    sent: tuple[tuple[str | None, int, int], ...]
    """(which, due, sent); which is None where messages cannot be told apart."""
    answers: tuple[tuple[str | None, int], ...]
    """(to which, when)."""


def told_of(packets: Sequence[Packet], chosen: Answered, echo: Echo | None) -> dict[int, Told]:
    """By socket: its messages and their answers."""
    sent: dict[int, list[tuple[str | None, int, int]]] = defaultdict(list)
    answers: dict[int, list[tuple[str | None, int]]] = defaultdict(list)
    action = chosen.action
    for packet in packets:
        if packet.source_packet == action.source and packet.sender == "client":
            due_ns = packet.stamp_ns if packet.intended_ns is None else packet.intended_ns
            sent[packet.socket_id].append((_sent_name(packet, chosen, echo), due_ns, packet.stamp_ns))
    for packet in packets:
        if packet.sender != "server" or (packet.namespace or "/") != action.namespace or not sent.get(packet.socket_id):
            continue
        is_answer = packet.type == "ack" if chosen.answer == ACK else packet.event == chosen.answer
        if not is_answer or packet.done_ns < sent[packet.socket_id][0][2]:
            continue
        name = _answer_name(packet, chosen, echo)
        known = {one[0] for one in sent[packet.socket_id]}
        if name in known or name is None:
            answers[packet.socket_id].append((name, packet.done_ns))
    return {socket: Told(tuple(sent[socket]), tuple(answers[socket])) for socket in sent}


def _sent_name(packet: Packet, chosen: Answered, echo: Echo | None) -> str | None:
    if chosen.answer == ACK:
        return str(packet.ack_id)
    if echo is None:
        return None
    ours = list(leaves(parsed(chosen.action.payload)))
    value = int(echo.slot.value) if echo.counts else echo.slot.value
    path = next((path for path, leaf in ours if leaf == value), ())
    return str(_at(parsed(packet.payload), path))


def _answer_name(packet: Packet, chosen: Answered, echo: Echo | None) -> str | None:
    if chosen.answer == ACK:
        return str(packet.ack_id)
    return None if echo is None else str(_at(parsed(packet.payload), echo.path))


def _at(document: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def judge_messages(told: Mapping[int, Told], users: int, messages: int, within_ns: int) -> Finding:
    """Every message of all clients was answered in time (from when all were released), none twice, in order."""
    expected = users * messages
    promised = f"{expected} within {limit(within_ns)}, once, in order"
    sent = sum(len(one.sent) for one in told.values())
    if not sent:
        return nothing_came(promised, "None of the messages was sent.")
    results = [_result(one) for one in told.values()]
    times = sorted(ns for one in results for ns in one.times_ns)
    lost = sum(one.lost for one in results)
    twice = sum(one.twice for one in results)
    swapped = sum(one.swapped for one in results)
    broken = [
        *([f"{lost} of {sent} messages were never answered."] if lost else []),
        *([f"{twice} of {sent} messages were answered twice."] if twice else []),
        *([f"{plural(swapped, 'answer')} came before that to an earlier message."] if swapped else []),
        *late_sentence(times, within_ns, sent, "answers came"),
    ]
    return Finding(
        verdict=verdict_of(broken=bool(broken), missing=sent < expected),
        measured=measured(len(times), expected, slowest_of(times)),
        limit=promised,
        n=sent,
        numbers=(
            Number("answered", len(times), "", expected),
            *time_numbers(times, within_ns),
            Number("lost", lost, "", 0),
            Number("twice", twice, "", 0),
            Number("out of order", swapped, "", 0),
        ),
        sentences=(*broken, *([f"Only {sent} of {expected} messages were sent."] if sent < expected else [])),
    )


class _Result(NamedTuple):
    times_ns: list[int]
    lost: int
    twice: int
    swapped: int


def _result(told: Told) -> _Result:
    released_ns = min(due_ns for _, due_ns, _ in told.sent)
    if any(name is None for name, _, _ in told.sent):
        # Nothing tells them apart: they are counted.
        answered = [stamp_ns - released_ns for _, stamp_ns in told.answers]
        kept = sorted(answered)[: len(told.sent)]
        return _Result(kept, len(told.sent) - len(kept), len(answered) - len(kept), 0)
    first: dict[str | None, int] = {}
    counts: Counter[str | None] = Counter()
    for name, stamp_ns in told.answers:
        counts[name] += 1
        first.setdefault(name, stamp_ns)
    order = [name for name, _, _ in told.sent if name in first]
    place = {name: number for number, name in enumerate(order)}
    came = [place[name] for name in first]
    return _Result(
        times_ns=[stamp_ns - released_ns for stamp_ns in first.values()],
        lost=len(told.sent) - len(first),
        twice=sum(count > 1 for count in counts.values()),
        swapped=sum(later < earlier for earlier, later in pairwise(came)),
    )
