"""Several people behind one address and browser: tells them apart by connections, cookies and tokens. Pure.

A connection belongs to one browser profile, and so does a credential: a cookie's value, an Authorization token, the
token of a Socket.IO CONNECT, wherever it was handed out and sent. What hangs together by these is one person. Two such
groups are two people where both have a credential of one name and used it at the same time, or where their tokens name
different subjects: two tabs of one person share their cookies and stay one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from replay.provenance.answers import Answered, offers
from replay.provenance.codings import decode_base64
from replay.provenance.linker import canonical
from replay.provenance.sendings import Slot, slots_of
from replay.provenance.weight import STRONG, bits, is_placeholder
from replay.steps import Action, Http, Join, Open

_SUBJECTS = ("sub", "userId", "user_id", "uid", "email", "username")


class Moment(Protocol):
    """Something that was sent, and its answer."""

    @property
    def action(self) -> Action: ...
    @property
    def sent_ns(self) -> int: ...
    @property
    def done_ns(self) -> int | None: ...
    @property
    def answer(self) -> Answered | None: ...


@dataclass(slots=True)
class _Group:
    """What hangs together."""

    members: list[int] = field(default_factory=list)
    names: set[tuple[int, str]] = field(default_factory=set)
    """(upstream, name) of the credentials that were sent."""
    subjects: set[str] = field(default_factory=set)
    first_ns: int = 0
    last_ns: int = 0


def people_of(moments: Sequence[Moment]) -> tuple[int, ...]:
    """By moment (in the order sent): whose it was, people counted from 0 in order of appearance."""
    credentials = [list(_credentials(moment.action)) for moment in moments]
    # Most sessions are one person's, which connections and credentials alone show; reading all answers is for the rest.
    if sum(bool(group.names) for group in _grouped(moments, credentials, frozenset())) < 2:
        return (0,) * len(moments)
    groups = _grouped(moments, credentials, frozenset(value for found in credentials for _, value in found))
    people: list[_Group] = []
    anonymous: list[_Group] = []
    for group in groups:
        if not group.names:
            anonymous.append(group)
            continue
        same = next((person for person in people if not _are_two(person, group)), None)
        if same is None:
            people.append(group)
        else:
            _join(same, group)
    if len(people) < 2:
        return (0,) * len(moments)
    owner = {member: number for number, person in enumerate(people) for member in person.members}
    for group in anonymous:
        nearest = min(owner, key=lambda member: abs(moments[member].sent_ns - moments[group.members[-1]].sent_ns))
        owner |= dict.fromkeys(group.members, owner[nearest])
    order: dict[int, int] = {}
    return tuple(order.setdefault(owner[index], len(order)) for index in range(len(moments)))


def _grouped(
    moments: Sequence[Moment], credentials: Sequence[Sequence[tuple[str, str]]], sent: frozenset[str]
) -> list[_Group]:
    parents = list(range(len(moments)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    known: dict[object, int] = {}
    for index, moment in enumerate(moments):
        for key in _keys(moment, credentials[index], sent):
            other = known.setdefault(key, index)
            low, high = sorted((root(other), root(index)))
            parents[high] = low
    groups: dict[int, _Group] = {}
    for index, moment in enumerate(moments):
        group = groups.setdefault(root(index), _Group(first_ns=moment.sent_ns))
        group.members.append(index)
        upstream = getattr(moment.action, "upstream", -1)
        for name, value in credentials[index]:
            group.names.add((upstream, name))
            group.subjects.update(_subject(value))
        group.last_ns = max(group.last_ns, moment.done_ns or moment.sent_ns)
    return list(groups.values())


def _keys(moment: Moment, credentials: Iterable[tuple[str, str]], sent: frozenset[str]) -> Iterator[object]:
    action = moment.action
    if isinstance(action, Http) and action.connection is not None:
        yield "connection", action.upstream, action.connection
    socket = getattr(action, "socket", None)
    if socket is not None:
        yield "socket", socket
    yield from (("value", value) for _, value in credentials)
    if sent and moment.answer is not None:
        for offer in offers(moment.answer, getattr(action, "target", "")):
            if canonical(offer.value) in sent:
                yield "value", canonical(offer.value)


def _credentials(action: Action) -> Iterator[tuple[str, str]]:
    """(name, value) of what says who sends it."""
    if not isinstance(action, Http | Open | Join):
        return
    for slot in slots_of(action):
        value = canonical(slot.value)
        if not _says_who(slot, action) or " " in value or "://" in unquote(value):  # an address says where, not who
            continue
        if is_placeholder(value) or bits(value) >= STRONG:
            yield slot.name, value


def _says_who(slot: Slot, action: Action) -> bool:
    return (
        slot.kind == "cookie" or (slot.place == "header" and slot.name == "authorization") or isinstance(action, Join)
    )


def _subject(token: str) -> Iterator[str]:
    """Who a JWT says that it is about."""
    claims = decode_base64(token.split(".")[1]) if token.startswith("eyJ") and token.count(".") == 2 else None
    try:
        document = json.loads(claims[0]) if claims else {}
    except ValueError:
        return
    if isinstance(document, dict):
        named = next((name for name in _SUBJECTS if document.get(name)), None)
        if named is not None:
            yield str(document[named])


def _are_two(one: _Group, other: _Group) -> bool:
    if one.subjects and other.subjects:
        return not one.subjects & other.subjects
    at_once = one.first_ns < other.last_ns and other.first_ns < one.last_ns
    return at_once and bool(one.names & other.names)


def _join(one: _Group, other: _Group) -> None:
    one.members += other.members
    one.names |= other.names
    one.subjects |= other.subjects
    one.first_ns = min(one.first_ns, other.first_ns)
    one.last_ns = max(one.last_ns, other.last_ns)
