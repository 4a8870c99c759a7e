"""How connections came about and how long they lived, over rows of sockets and packets. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nestperf.capture.model import Packet, Socket
from nestperf.console import duration, limit, plural
from nestperf.durations import SECOND_NS
from replay.checks.contract import Finding, Number
from replay.checks.findings import late_sentence, measured, nothing_came, slowest_of, time_numbers, verdict_of

BEYOND_NS = 5 * SECOND_NS
"""So much longer than the server's ping interval a connection must be open to have been asked for sure."""


def ping_interval_ns(packets: Iterable[Packet]) -> int | None:
    """What the server's first word on a connection says; None where it is not there."""
    for packet in packets:
        if packet.engine_type == "open" and packet.sender == "server":
            try:
                return round(float(json.loads(packet.payload or "")["pingInterval"]) * 1e6)
            except (ValueError, TypeError, KeyError):
                return None
    return None


def judge_connections(
    sockets: Sequence[Socket], packets: Iterable[Packet], users: int, joins: int, within_ns: int
) -> Finding:
    """All of `users` clients joined all of `joins` namespaces in time, were alive until they closed, and answered.

    A connection that the client did not close ended unexpectedly, whoever ended it.
    """
    promised = f"{users} within {limit(within_ns)}, all stay"
    if not sockets:
        return nothing_came(promised, "No connection was tried.")
    seen = _seen(packets)
    times = {socket.id: _connected_after_ns(socket, seen.get(socket.id, ()), joins) for socket in sockets}
    connected = [socket for socket in sockets if times[socket.id] is not None]
    known_ns = sorted(ns for ns in times.values() if ns is not None)
    ended = [socket for socket in connected if socket.closed_by != "client"]
    pings, answered, silent = _pings(connected, seen)
    broken = [
        *_not_connected([socket for socket in sockets if times[socket.id] is None], users),
        *late_sentence(known_ns, within_ns, users, "were connected"),
        *_ended(ended, users),
        *_unanswered(pings, answered),
        *_never_pinged(silent, users),
    ]
    missing = users - len(sockets)
    alive = len(connected) - len(ended)
    return Finding(
        verdict=verdict_of(broken=bool(broken), missing=missing > 0),
        measured=measured(alive, users, slowest_of(known_ns)),
        limit=promised,
        n=len(sockets),
        numbers=(
            Number("connected", len(connected), "", users),
            *time_numbers(known_ns, within_ns),
            Number("alive at the end", alive, "", users),
            Number("pings", pings),
            Number("answered", answered),
        ),
        sentences=(
            *broken,
            *([f"Only {len(sockets)} of {users} clients came to the connection."] if missing > 0 else []),
        ),
    )


def _seen(packets: Iterable[Packet]) -> Mapping[int, Sequence[Packet]]:
    found: dict[int, list[Packet]] = {}
    for packet in packets:
        found.setdefault(packet.socket_id, []).append(packet)
    return found


def _connected_after_ns(socket: Socket, packets: Sequence[Packet], joins: int) -> int | None:
    """From when it was due to the last namespace's yes; without namespaces, to the open packet."""
    begun_ns = socket.intended_ns if socket.intended_ns is not None else socket.opened_ns
    let_in = [packet.done_ns for packet in packets if packet.sender == "server" and packet.type == "connect"]
    if socket.connected_ns is None or len(let_in) < joins:
        return None
    return max([socket.connected_ns, *let_in]) - begun_ns


def _pings(sockets: Sequence[Socket], seen: Mapping[int, Sequence[Packet]]) -> tuple[int, int, list[int]]:
    """Pings, answers, and how long each was open who should have been pinged and was not."""
    pings = answered = 0
    silent = []
    for socket in sockets:
        packets = seen.get(socket.id, ())
        asked = sum(packet.engine_type == "ping" and packet.sender == "server" for packet in packets)
        pings += asked
        answered += sum(packet.engine_type == "pong" and packet.sender == "client" for packet in packets)
        interval_ns = ping_interval_ns(packets)
        open_ns = (socket.closed_ns or 0) - (socket.connected_ns or 0)
        if (
            not asked
            and interval_ns is not None
            and socket.closed_by == "client"
            and open_ns > interval_ns + BEYOND_NS // 2
        ):
            silent.append(open_ns)
    return pings, answered, silent


def _not_connected(sockets: Sequence[Socket], users: int) -> list[str]:
    return _counted((socket.detail or f"{socket.outcome}" for socket in sockets), users, "clients did not connect")


def _ended(sockets: Sequence[Socket], users: int) -> list[str]:
    return _counted(map(_how_ended, sockets), users, "connections ended unexpectedly")


def _unanswered(pings: int, answered: int) -> list[str]:
    return [f"{pings - answered} of {plural(pings, 'ping')} went unanswered."] if answered < pings else []


def _never_pinged(silent: Sequence[int], users: int) -> list[str]:
    if not silent:
        return []
    span = duration(min(silent))
    return [f"{len(silent)} of {users} clients were never pinged in {span}, longer than the server's interval."]


def _how_ended(socket: Socket) -> str:
    return socket.detail or f"closed by {socket.closed_by or 'nobody'}"


def _counted(reasons: Iterable[str], users: int, what: str) -> list[str]:
    return [f"{count} of {users} {what}: {reason.rstrip('.')}." for reason, count in Counter(reasons).items()]
