"""What a report says of sockets: a row each event, broadcast, cause and effect, path, and place of return. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import FAILED, Socket
from nestperf.capture.routes import route_of
from reports.broadcasts import Broadcast
from reports.columns import Mask, Stamps, groups
from reports.effects import Effect
from reports.returns import Return, ReturnsAt
from reports.samples import Samples, ordered_ns
from reports.sockets import Acks
from reports.spread import Percentiles, per_minute, percentiles_of


class EventRow(NamedTuple):
    """One event of one sender in one namespace."""

    namespace: str
    event: str
    sender: str
    n: int
    per_minute: float | None
    sockets: int
    """How many sockets sent or received it."""
    acks_asked: int
    acks_missing: int
    ack_latency: Percentiles


class BroadcastRow(NamedTuple):
    """All broadcasts of one event in one namespace."""

    namespace: str
    event: str
    n: int
    fewest_receivers: int
    most_receivers: int
    received: int
    expected: int
    skew: Percentiles
    """Last receipt minus first; one of each broadcast."""


class EffectRow(NamedTuple):
    """What one did, and the event that came to others because of it."""

    cause: str
    namespace: str
    event: str
    causes: int
    followed: int
    """How many of the causes the event followed."""
    before_answer: int | None
    """How many of those were answered only after the event had come; None where a cause has no answer."""
    received: int
    expected: int
    delivery: Percentiles
    """Of every receiver: from the cause's first byte to the event's last, on one clock."""
    skew: Percentiles
    slowest_id: int | None
    """The packet behind the longest delivery."""


class SocketRow(NamedTuple):
    """All sockets of one protocol and path."""

    protocol: str
    path: str
    opened: int
    connected: int
    failed: int
    closed_by_client: int
    closed_by_server: int
    cut: int
    """Ended without a close handshake."""
    still_open: int
    connect: Percentiles
    """From the first byte of the opening request to the end of the handshake."""


class ReturnRow(NamedTuple):
    """All connections of one protocol and path that ended abnormally."""

    protocol: str
    path: str
    ends: int
    by_nestperf: int
    """Cut on purpose; nobody else's doing."""
    back: int
    """Clients that came back, into all namespaces they had been in."""
    tried: Percentiles
    """From the end to the next connection's beginning."""
    back_after: Percentiles
    subscribed_after: Percentiles
    """Until all was said again that had been said on arrival."""


class Missed(NamedTuple):
    """A client that did not come back, though it was there or the recording went on for long."""

    socket: int
    path: str
    how: str
    """`cut`, `code 1011`."""
    by_nestperf: bool
    closed_ns: int
    """Since the run began."""
    tried: bool
    """It opened another connection, and did not get where it had been."""


def event_rows(samples: Samples, span_ns: int) -> list[EventRow]:
    """The most frequent first."""
    p = samples.packets
    acks = Acks(samples)
    latency: Stamps = np.full(len(p), np.nan)
    latency[acks.asked] = acks.latency
    asked: Mask = np.zeros(len(p), dtype=bool)
    asked[acks.asked] = True
    missing: Mask = np.zeros(len(p), dtype=bool)
    missing[acks.asked] = acks.missing
    keys = np.stack((p.namespace.codes, p.event.codes, p.from_server.astype(np.int64)))
    rows = []
    for group in groups(keys, np.flatnonzero(p.type.among("event"))):
        first = group[0]
        rows.append(
            EventRow(
                namespace=p.namespace.names[p.namespace.codes[first]] or "/",
                event=p.event.names[p.event.codes[first]],
                sender="server" if p.from_server[first] else "client",
                n=len(group),
                per_minute=per_minute(len(group), span_ns),
                sockets=len(np.unique(p.socket[group])),
                acks_asked=int(asked[group].sum()),
                acks_missing=int(missing[group].sum()),
                ack_latency=percentiles_of(ordered_ns(latency[group])),
            )
        )
    return sorted(rows, key=lambda row: (-row.n, row.namespace, row.event, row.sender))


def broadcast_rows(broadcasts: tuple[Broadcast, ...]) -> tuple[BroadcastRow, ...]:
    """Each event that was broadcast, by namespace and name."""
    by_event: dict[tuple[str, str], list[Broadcast]] = {}
    for broadcast in broadcasts:
        by_event.setdefault((broadcast.namespace or "/", broadcast.event), []).append(broadcast)
    return tuple(
        BroadcastRow(
            namespace=namespace,
            event=event,
            n=len(found),
            fewest_receivers=min(len(b.deliveries_ns) for b in found),
            most_receivers=max(len(b.deliveries_ns) for b in found),
            received=sum(len(b.deliveries_ns) for b in found),
            expected=sum(b.expected for b in found),
            skew=percentiles_of(np.sort(np.array([b.skew_ns for b in found], dtype=np.int64))),
        )
        for (namespace, event), found in sorted(by_event.items())
    )


def effect_row(found: Effect) -> EffectRow:
    """One of what `effects.find_effects` found, its times summed up."""
    return EffectRow(
        cause=found.cause,
        namespace=found.namespace,
        event=found.event,
        causes=found.causes,
        followed=found.followed,
        before_answer=found.before_answer,
        received=found.received,
        expected=found.expected,
        delivery=percentiles_of(ordered_ns(found.deliveries)),
        skew=percentiles_of(ordered_ns(found.skews)),
        slowest_id=found.slowest,
    )


def socket_rows(samples: Samples) -> tuple[SocketRow, ...]:
    """Each protocol and path."""
    by_path: dict[tuple[str, str], list[Socket]] = {}
    for socket in samples.sockets:
        by_path.setdefault((socket.protocol, route_of(socket.target)), []).append(socket)
    return tuple(_socket_row(protocol, path, found) for (protocol, path), found in sorted(by_path.items()))


def _socket_row(protocol: str, path: str, sockets: list[Socket]) -> SocketRow:
    connect = [float(s.connected_ns - s.opened_ns) for s in sockets if s.connected_ns is not None]
    closed_by = [s.closed_by for s in sockets]
    return SocketRow(
        protocol=protocol,
        path=path,
        opened=len(sockets),
        connected=len(connect),
        failed=sum(s.outcome in FAILED for s in sockets),
        closed_by_client=closed_by.count("client"),
        closed_by_server=closed_by.count("server"),
        cut=closed_by.count("cut"),
        still_open=sum(s.closed_ns is None and s.connected_ns is not None for s in sockets),
        connect=percentiles_of(ordered_ns(np.array(connect, dtype=np.float64))),
    )


def return_row(found: ReturnsAt) -> ReturnRow:
    """One of what `returns.rows_of` gives, its times summed up."""
    return ReturnRow(
        protocol=found.protocol,
        path=found.path,
        ends=found.ends,
        by_nestperf=found.by_nestperf,
        back=found.back,
        tried=percentiles_of(ordered_ns(found.tried)),
        back_after=percentiles_of(ordered_ns(found.back_after)),
        subscribed_after=percentiles_of(ordered_ns(found.subscribed_after)),
    )


def missed_of(returns: Iterable[Return]) -> Iterator[Missed]:
    """Those that did not come back."""
    for one in returns:
        if one.missed:
            yield Missed(one.socket, one.path, one.how, one.by_nestperf, one.closed_ns, one.again is not None)
