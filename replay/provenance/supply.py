"""What identities bring along: which values of a session they replace, and which steps are then sent for nothing.

A column of an identity is named after a form field, JSON key, query, header or cookie that the recording sends. The
first value recorded there gives way to the user's own, wherever it stands. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from nestperf.capture.model import Kind
from replay.live import host_of
from replay.provenance.linker import canonical
from replay.provenance.names import words
from replay.provenance.sendings import Slot, slots
from replay.provenance.weight import MEDIUM, bits, is_number
from replay.steps import Http, Open, SessionPlan, Step, Supplied, Use

_NAMED = frozenset({"query", "header", "cookie", "form", "json", "number"})


def same_name(column: str, name: str) -> bool:
    """Whether they are one name in two conventions: `x-csrf-token` and `csrfToken`."""
    return _bare(column) == _bare(name)


def _bare(name: str) -> tuple[str, ...]:
    parts = words(name)
    return parts[1:] if parts[:1] == ("x",) else parts


def originals_of(session: SessionPlan, columns: Sequence[str]) -> dict[str, str]:
    """By column: what the recording first sent under its name, or sent after it was handed out under that name."""
    found = {column: _sent_as(session, column) or _given_as(session, column) for column in columns}
    return {column: original for column, original in found.items() if original is not None}


def _sent_as(session: SessionPlan, column: str) -> str | None:
    for step in session.steps:
        for slot in slots(step):
            if slot.kind in _NAMED and slot.value and same_name(column, slot.name):
                bearer = slot.kind == "header" and slot.value.lower().startswith("bearer ")
                return canonical(slot.value.partition(" ")[2] if bearer else slot.value)
    return None


def _given_as(session: SessionPlan, column: str) -> str | None:
    for link in session.links:
        name = link.origin.partition(" ")[2].partition(" [")[0].rpartition(".")[2]
        if same_name(column, name):
            return link.value
    return None


def unneeded(session: SessionPlan, originals: Mapping[str, str]) -> frozenset[int]:
    """The steps whose only use was to obtain what identities bring along, and what led to those alone."""
    supplied = set(originals.values())
    dropped: set[int] = set()
    while True:
        needed: dict[int, bool] = {}
        for link in session.links:
            if link.source is None:
                continue
            cookie = link.by_jar and any(same_name(column, link.place.partition(" ")[2]) for column in originals)
            spare = link.value in supplied or cookie or link.step in dropped
            needed[link.source] = needed.get(link.source, False) or not spare
        found = {
            index for index, is_needed in needed.items() if not is_needed and _may_be_dropped(session.steps[index])
        }
        if found <= dropped:
            return frozenset(dropped)
        dropped |= found


def _may_be_dropped(step: Step) -> bool:
    return isinstance(step.action, Http) and step.action.kind is Kind.CALL


def supply(session: SessionPlan, originals: Mapping[str, str]) -> SessionPlan:
    """The session with a span for every place where an identity's value goes."""
    values = list(session.values)
    supplied: list[Supplied] = []
    uses: dict[int, list[Use]] = {}
    for column, original in originals.items():
        if original not in values:
            values.append(original)
        number = values.index(original)
        cookies = set()
        for step in session.steps:
            for slot in slots(step):
                if not _is_at(slot, column, original):
                    continue
                uses.setdefault(step.index, []).append(
                    Use(slot.place, slot.field, slot.start, slot.end, slot.coding, number, slot.wrap)
                )
                if slot.kind == "cookie":
                    assert isinstance(step.action, Http | Open)
                    cookies.add((host_of(step.action.authority), slot.name))
        supplied.append(Supplied(column, number, tuple(sorted(cookies))))
    steps = tuple(replace(step, uses=_merged(step.uses, uses.get(step.index, ()))) for step in session.steps)
    return replace(session, steps=steps, values=tuple(values), supplied=tuple(supplied))


def _is_at(slot: Slot, column: str, original: str) -> bool:
    if canonical(slot.value) != original:
        return False
    anywhere = bits(original) >= MEDIUM and not is_number(original)
    return anywhere or (slot.kind in _NAMED and same_name(column, slot.name))


def _merged(known: Sequence[Use], new: Sequence[Use]) -> tuple[Use, ...]:
    """New spans, and those of the known ones that they leave free."""
    kept = [use for use in known if not any(_overlap(use, other) for other in new)]
    return tuple(_outermost(sorted([*kept, *new], key=lambda use: (use.place, use.field, use.start, -use.end))))


def _outermost(uses: Sequence[Use]) -> Iterator[Use]:
    last: Use | None = None
    for use in uses:
        if last is None or not _overlap(last, use):
            yield use
            last = use


def _overlap(one: Use, other: Use) -> bool:
    same = one.place == other.place and one.field == other.field
    return same and one.start < other.end and other.start < one.end
