"""Who received which broadcast, and when: receipts put together to broadcasts, and held against what caused them. Pure.

Receipts with the same payload are one broadcast, wherever payloads tell broadcasts apart; else the receipts between one
receiver's hearing it and hearing it again. Where every receiver gets a payload of its own, the n-th receipt of each is
the n-th broadcast.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WINDOW_NS = 10_000_000_000
"""Where payloads are always the same: how far receipts of one broadcast may lie apart."""


class Receipt(NamedTuple):
    """An event that came to a receiver."""

    receiver: int
    stamp_ns: int
    """Its last byte."""
    payload: str


@dataclass(slots=True)
class Broadcast:
    """One broadcast as it was received."""

    first_ns: int
    stamps: dict[int, int] = field(default_factory=dict)
    """By receiver: when it first had it."""
    again: list[Receipt] = field(default_factory=list)
    """What came to a receiver that had it already."""

    def take(self, receipt: Receipt) -> None:
        """One more receipt of it."""
        if receipt.receiver in self.stamps:
            self.again.append(receipt)
        else:
            self.stamps[receipt.receiver] = receipt.stamp_ns


def tells_apart(receipts: Sequence[Receipt], causes: int) -> bool:
    """Whether payloads name broadcasts: no two broadcasts share one, and receivers share it."""
    by_payload: dict[str, set[int]] = defaultdict(set)
    for receipt in receipts:
        by_payload[receipt.payload].add(receipt.receiver)
    shared = max((len(receivers) for receivers in by_payload.values()), default=0)
    receivers = len({receipt.receiver for receipt in receipts})
    return len(by_payload) >= causes and (shared > 1 or receivers == 1)


def broadcasts_of(receipts: Sequence[Receipt], causes: int) -> list[Broadcast]:
    """The broadcasts, in order of their first receipt. `causes`: how many there should be at least."""
    ordered = sorted(receipts, key=lambda receipt: receipt.stamp_ns)
    if tells_apart(ordered, causes):
        return _by_payload(ordered)
    if len({receipt.payload for receipt in ordered}) > max(1, causes):
        return _by_turn(ordered)
    return _by_hearing_again(ordered)


def _by_payload(receipts: Sequence[Receipt]) -> list[Broadcast]:
    found: dict[str, Broadcast] = {}
    for receipt in receipts:
        found.setdefault(receipt.payload, Broadcast(receipt.stamp_ns)).take(receipt)
    return list(found.values())


def _by_turn(receipts: Sequence[Receipt]) -> list[Broadcast]:
    found: list[Broadcast] = []
    turns: dict[int, int] = defaultdict(int)
    for receipt in receipts:
        turn = turns[receipt.receiver]
        turns[receipt.receiver] += 1
        if turn == len(found):
            found.append(Broadcast(receipt.stamp_ns))
        found[turn].take(receipt)
    return found


def _by_hearing_again(receipts: Sequence[Receipt]) -> list[Broadcast]:
    found: list[Broadcast] = []
    for receipt in receipts:
        last = found[-1] if found else None
        if last is None or receipt.receiver in last.stamps or receipt.stamp_ns - last.first_ns > WINDOW_NS:
            last = Broadcast(receipt.stamp_ns)
            found.append(last)
        last.take(receipt)
    return found


class Delivered(NamedTuple):
    """What came of the causes."""

    caused: tuple[tuple[int, Broadcast | None], ...]
    """Each cause's moment, with its broadcast; None where nobody heard anything of it."""
    unasked: tuple[Broadcast, ...]
    """Broadcasts that came without a cause of ours, after the first one."""


def assign(causes_ns: Sequence[int], broadcasts: Sequence[Broadcast]) -> Delivered:
    """A cause's broadcast is the first that began after it and before the next cause."""
    caused: list[tuple[int, Broadcast | None]] = []
    unasked: list[Broadcast] = []
    ordered = sorted(causes_ns)
    for number, cause_ns in enumerate(ordered):
        until_ns = ordered[number + 1] if number + 1 < len(ordered) else None
        here = [one for one in broadcasts if one.first_ns >= cause_ns and (until_ns is None or one.first_ns < until_ns)]
        caused.append((cause_ns, here[0] if here else None))
        unasked += here[1:]
    return Delivered(tuple(caused), tuple(unasked))


def times_ns(delivered: Delivered) -> list[tuple[int, int]]:
    """Every delivery: nanoseconds from the cause to its last byte, and the receiver; ascending."""
    return sorted(
        (stamp_ns - cause_ns, receiver)
        for cause_ns, broadcast in delivered.caused
        if broadcast is not None
        for receiver, stamp_ns in broadcast.stamps.items()
    )


def missed(delivered: Delivered, receivers: Sequence[int]) -> Mapping[int, int]:
    """By receiver: how many broadcasts it never had, unasked ones included; those who missed none are left out."""
    counts: dict[int, int] = defaultdict(int)
    for broadcast in (*(one for _, one in delivered.caused), *delivered.unasked):
        for receiver in receivers:
            if broadcast is None or receiver not in broadcast.stamps:
                counts[receiver] += 1
    return counts
