"""From what is known about a session's values to what a replay does: spans to fill, places to read, ids to make up.

Links say where a value came from; here each linked value gets a number: every place that hands it out fills it, every
span that needs it reads it. What the cookie jar does by itself needs neither. Pure; never changes a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from replay.provenance.answers import Answered, Heard, Origin
from replay.provenance.linker import Given, Link, Linked, link
from replay.provenance.places import name_of, place_of
from replay.provenance.rules import Rules
from replay.steps import Await, Linkage, Listen, Step, Take, Use


class Links(NamedTuple):
    """How live values pass through one session, step by step."""

    values: tuple[str, ...]
    """The recorded values."""
    uses: tuple[tuple[Use, ...], ...]
    takes: tuple[tuple[Take, ...], ...]
    listens: tuple[Listen, ...]
    """What is taken from packets that the server pushes."""
    awaits: tuple[tuple[Await, ...], ...]
    fresh: tuple[int, ...]
    """The values that the client makes up itself."""
    links: tuple[Linkage, ...]
    unexplained: tuple[tuple[int, str], ...]


def correlate(
    steps: Sequence[Step],
    answers: Sequence[Answered | None],
    start_ns: int,
    heard: Sequence[Heard],
    rules: Rules,
) -> Links:
    """Link what went out to what came in before.

    `answers` has one entry a step; `start_ns` is the session's first moment on the clock of `Answered.done_ns`.
    """
    return number(steps, link(steps, answers, heard, start_ns, rules))


def number(steps: Sequence[Step], found: Linked) -> Links:
    """Number the values, and sort by step who takes and who uses them."""
    numbers: dict[tuple[str, bool], int] = {}
    """By the recorded value and whether it was pushed: what everybody hears of is not what one's own answer gave."""
    uses: list[list[Use]] = [[] for _ in steps]
    takes: list[set[Take]] = [set() for _ in steps]
    awaits: list[list[Await]] = [[] for _ in steps]
    pushed: dict[tuple[int, tuple[object, ...]], dict[int, tuple[Take, int]]] = {}
    for one in found.links:
        if one.by_jar:
            continue
        value = numbers.setdefault((one.value, one.given.step is None), len(numbers))
        slot = one.slot
        uses[one.step].append(Use(slot.place, slot.field, one.start, one.end, slot.coding, value, slot.wrap))
        for given, origin in _givers(one):
            take = _take(origin, value)
            if given.step is not None:
                takes[given.step].add(take)
            else:
                assert given.socket is not None
                place = (given.socket, (take.path, take.parts))
                pushed.setdefault(place, {})[value] = (take, given.nth)
        if one.given.step is None and all(other.step is None for other in one.others):
            think_ns = max(0, steps[one.step].sent_ns - one.given.moment_ns)
            awaits[one.step].append(Await(value, think_ns))
    fresh = []
    for own in found.invented:
        value = numbers.setdefault((own.value, False), len(numbers))
        fresh.append(value)
        for index, slot, start, end in own.places:
            uses[index].append(Use(slot.place, slot.field, start, end, slot.coding, value, slot.wrap))
    return Links(
        values=tuple(value for value, _ in numbers),
        uses=tuple(tuple(sorted(one, key=_position)) for one in uses),
        takes=tuple(tuple(sorted(one, key=_stable)) for one in takes),
        listens=tuple(_listens(pushed)),
        awaits=tuple(map(tuple, awaits)),
        fresh=tuple(fresh),
        links=tuple(_linkage(steps[one.step], one) for one in found.links),
        unexplained=tuple((one.step, place_of(steps[one.step], one.slot)) for one in found.unexplained),
    )


def _linkage(step: Step, one: Link) -> Linkage:
    return Linkage(
        step=one.step,
        place=place_of(step, one.slot),
        source=one.given.step,
        origin=name_of(one.origin),
        confidence=one.evidence.confidence,
        reason=one.evidence.reason,
        value=one.value,
        event=one.given.packet,
        by_jar=one.by_jar,
    )


def _givers(one: Link) -> Iterable[tuple[Given, Origin]]:
    yield one.given, one.origin
    for other in one.others:
        # A broadcast of what an answer gave as well tells of every other user's too.
        if other.step is None and one.given.step is not None:
            continue
        # Links in pages are followed where they were followed; elsewhere only places with a name are read.
        if other.offer.origin.source != "html" or other.offer.origin.path[0] != "link":
            yield other, other.offer.origin


def _take(origin: Origin, value: int) -> Take:
    return Take(origin.source, origin.path, value, origin.parts)


def _listens(pushed: dict[tuple[int, tuple[object, ...]], dict[int, tuple[Take, int]]]) -> Iterable[Listen]:
    for (socket, _), values in pushed.items():
        for take, nth in values.values():
            yield Listen(socket, take, None if len(values) == 1 else nth)


def _position(use: Use) -> tuple[str, int, int]:
    return use.place, use.field, use.start


def _stable(take: Take) -> tuple[int, str, str, str]:
    return take.value, take.source, repr(take.path), repr(take.parts)
