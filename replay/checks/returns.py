"""Who came back after all were cut off at once, and what they heard then: judged over rows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nestperf.capture.model import Packet, Socket
from nestperf.console import duration, limit, plural
from nestperf.durations import SECOND_NS
from replay.checks.contract import Finding, Number, Rows
from replay.checks.deliveries import Receipt, tells_apart
from replay.checks.findings import late_sentence, nothing_came, time_numbers, verdict_of

GRACE_NS = SECOND_NS // 2
"""From the last cause to the end: what was caused in its second half may come too late."""
_SHAPE_NS = SECOND_NS // 10
"""How many came back at once is counted over so long."""


class Client(NamedTuple):
    """What became of one client. Moments are nanoseconds since the run began."""

    number: int
    sockets: tuple[int, ...]
    cut_ns: int
    tried_ns: int | None
    """When it began to come back."""
    back_ns: int | None
    """When all namespaces had let it in again."""
    subscribed_ns: int | None
    """When it had said all that it had said before."""
    closed_ns: int
    """When its second connection ended."""
    detail: str
    """Why it did not come back."""


def clients_of(rows: Rows, sources: frozenset[int | None], joins: int) -> list[Client]:
    """The clients that were connected and cut; `joins`: namespaces that each has to join."""
    users = {session.id: session.vu for session in rows.sessions}
    packets: dict[int, list[Packet]] = defaultdict(list)
    for packet in rows.packets:
        packets[packet.socket_id].append(packet)
    by_user: dict[int, list[Socket]] = defaultdict(list)
    for socket in rows.sockets:
        user = users.get(socket.session_id or 0)
        if user is not None and socket.source_socket in sources:
            by_user[user].append(socket)
    found = []
    for user, sockets in sorted(by_user.items()):
        first = next((one for one in sockets if one.closed_by == "cut" and one.connected_ns is not None), None)
        if first is None or first.closed_ns is None or first is not sockets[0]:
            continue
        again = sockets[1] if len(sockets) > 1 else None
        found.append(_client(user, first, again, packets, joins))
    return found


def _client(
    number: int, first: Socket, again: Socket | None, packets: Mapping[int, list[Packet]], joins: int
) -> Client:
    back_ns = subscribed_ns = None
    own = packets.get(again.id, []) if again is not None else []
    let_in = [packet.done_ns for packet in own if packet.sender == "server" and packet.type == "connect"]
    if again is not None and again.connected_ns is not None and len(let_in) >= joins:
        back_ns = max([again.connected_ns, *let_in])
        said = [packet.stamp_ns for packet in own if packet.sender == "client" and packet.type == "event"]
        subscribed_ns = max([back_ns, *said])
    cut_ns = first.closed_ns or 0
    return Client(
        number=number,
        sockets=(first.id,) if again is None else (first.id, again.id),
        cut_ns=cut_ns,
        tried_ns=None if again is None else again.opened_ns,
        back_ns=back_ns,
        subscribed_ns=subscribed_ns,
        closed_ns=cut_ns if again is None or again.closed_ns is None else again.closed_ns,
        detail="it never tried" if again is None else again.detail or "a namespace did not let it in",
    )


class Heard(NamedTuple):
    """What one client heard after its return."""

    again_ns: int | None
    """When it heard the first event; None: nothing any more."""
    lost: int
    """Events that were caused between its cut and its subscription, and that it never had."""
    lost_after: int
    """Events caused after its subscription that it never had."""
    twice: int
    """Events that it had twice."""


def hearing_of(client: Client, causes_ns: Sequence[int], receipts: Sequence[Receipt]) -> Heard:
    """What of the events came to a client; `receipts` of all clients.

    An event is named by its payload where payloads tell events apart; a cause's event is then the first payload that
    anybody heard after it. Else receipts are counted.
    """
    own = [one for one in receipts if one.receiver == client.number]
    after = [one.stamp_ns for one in own if one.stamp_ns > client.cut_ns and one.stamp_ns <= client.closed_ns]
    again_ns = min(after, default=None)
    subscribed_ns = client.closed_ns if client.subscribed_ns is None else client.subscribed_ns
    # Who has heard one event has subscribed for sure; a cause shortly before the end comes too late.
    heard_from_ns = max(subscribed_ns, client.closed_ns if again_ns is None else again_ns)
    heard_to_ns = client.closed_ns - GRACE_NS // 2
    if not tells_apart(receipts, min(len(causes_ns), 2)):
        due = [ns for ns in causes_ns if heard_from_ns <= ns <= heard_to_ns]
        came = sum(ns >= heard_from_ns for ns in after)
        away = sum(client.cut_ns <= ns < subscribed_ns for ns in causes_ns)
        return Heard(again_ns, away, max(0, len(due) - came), max(0, len(own) - len(causes_ns)))
    first: dict[str, int] = {}
    for one in sorted(receipts, key=lambda receipt: receipt.stamp_ns):
        first.setdefault(one.payload, one.stamp_ns)
    had = {one.payload for one in own}
    missed = [ns for payload, ns in first.items() if payload not in had]
    return Heard(
        again_ns=again_ns,
        lost=sum(client.cut_ns <= ns < heard_from_ns for ns in missed),
        lost_after=sum(heard_from_ns <= ns <= heard_to_ns for ns in missed),
        twice=len(own) - len(had),
    )


def judge_reconnect(
    clients: Sequence[Client],
    causes_ns: Sequence[int],
    receipts: Sequence[Receipt],
    *,
    asked: int,
    within_ns: int,
    may_lose: int | None,
    follows: bool,
) -> Finding:
    """All clients came back in time, heard again what was caused (where that was followed), and nothing twice."""
    promised = f"{asked} back within {limit(within_ns)}, nothing twice"
    if not clients:
        return nothing_came(promised, "No client was connected that could be cut off.")
    back = [client for client in clients if client.back_ns is not None]
    times = sorted((client.subscribed_ns or 0) - client.cut_ns for client in back)
    heard = {client.number: hearing_of(client, causes_ns, receipts) for client in back} if causes_ns else {}
    deaf = [number for number, one in heard.items() if one.again_ns is None]
    lost = sum(one.lost for one in heard.values())
    lost_after = sum(one.lost_after for number, one in heard.items() if number not in deaf)
    twice = sum(one.twice for one in heard.values())
    too_many = [one.lost for one in heard.values() if may_lose is not None and one.lost > may_lose]
    broken = [
        *_absent([client for client in clients if client.back_ns is None], len(clients)),
        *late_sentence(times, within_ns, len(clients), "were back"),
        *([f"{len(deaf)} of {len(clients)} clients heard nothing any more after their return."] if deaf else []),
        *([f"{plural(lost_after, 'event')} did not come to clients that had subscribed again."] if lost_after else []),
        *([f"{plural(twice, 'event')} came twice to a client."] if twice else []),
        *_missed_too_many(too_many, may_lose, len(clients)),
    ]
    untold = follows and not causes_ns
    missing = asked - len(clients)
    agains = sorted(
        one.again_ns - client.cut_ns for client in back if (one := heard.get(client.number)) and one.again_ns
    )
    return Finding(
        verdict=verdict_of(broken=bool(broken), missing=missing > 0 or untold),
        measured=f"{len(back)} of {asked} back" + (f" in {duration(times[-1])}" if times else ""),
        limit=promised,
        n=len(clients),
        numbers=(
            Number("back", len(back), "", asked),
            *time_numbers(times, within_ns, slowest="slowest to be back and subscribed"),
            *((Number("slowest to hear again", agains[-1] if agains else None, "ns"),
               Number("events caused", len(causes_ns)), Number("lost meanwhile", lost), Number("twice", twice, "", 0))
              if follows else ()),
            *_herd(clients),
        ),
        sentences=(
            *broken,
            *([f"Only {len(clients)} of {asked} clients were connected."] if missing > 0 else []),
            *(["The event was never caused: nobody can tell whether they would have heard it."] if untold else []),
        ),
    )  # fmt: skip


def _missed_too_many(counts: Sequence[int], may_lose: int | None, clients: int) -> list[str]:
    if not counts:
        return []
    return [f"{len(counts)} of {clients} clients missed more than {may_lose} events meanwhile, at most {max(counts)}."]


def _absent(absent: Sequence[Client], clients: int) -> list[str]:
    reasons = Counter(client.detail.rstrip(".") for client in absent)
    return [f"{count} of {clients} clients did not come back: {reason}." for reason, count in reasons.items()]


def _herd(clients: Sequence[Client]) -> tuple[Number, ...]:
    """How they came back: over what time, how many at once, and how long each took from its first byte."""
    tried = sorted(client.tried_ns for client in clients if client.tried_ns is not None)
    if not tried:
        return ()
    busiest = max(sum(begin <= ns < begin + _SHAPE_NS for ns in tried) for begin in tried)
    took = sorted(c.back_ns - c.tried_ns for c in clients if c.back_ns is not None and c.tried_ns is not None)
    return (
        Number("all tried within", tried[-1] - tried[0], "ns"),
        Number(f"most in {limit(_SHAPE_NS)}", busiest),
        Number("slowest handshake", took[-1] if took else None, "ns"),
    )
