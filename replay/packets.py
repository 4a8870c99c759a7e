"""A recorded Socket.IO connection as a replay sees it: which packets are steps, which were only heard. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nestperf.capture.model import Packet
from replay.moments import Moment
from replay.originals import Originals
from replay.provenance.answers import Heard
from replay.steps import Emit, Join, Leave, Reply


def replies_of(packets: Sequence[Packet], originals: Originals) -> Iterator[Reply]:
    """How the client answered the server's events that wanted an ack."""
    asked: dict[tuple[str | None, int | None], str] = {}
    for packet in packets:
        key = (packet.namespace, packet.ack_id)
        if packet.type == "event" and packet.sender == "server" and packet.ack_id is not None:
            asked[key] = packet.event or ""
        elif packet.type == "ack" and packet.sender == "client" and key in asked:
            payload = originals.reveal(packet.payload or "[]")
            yield Reply(packet.namespace or "/", asked.pop(key), payload, originals.bodies(packet.attachments))


def heard_in(packets: Sequence[Packet], originals: Originals) -> Iterator[Heard]:
    """What the server said."""
    asked: dict[tuple[str | None, int], int] = {}
    for packet in packets:
        if packet.sender == "client" and packet.type == "event" and packet.ack_id is not None:
            asked[packet.namespace, packet.ack_id] = packet.id
        if packet.sender == "server" and packet.payload is not None and packet.type != "connect_error":
            is_ack = packet.type == "ack" and packet.ack_id is not None
            yield Heard(
                id=packet.id,
                stamp_ns=packet.done_ns,
                socket=packet.socket_id,
                type=packet.type or "",
                namespace=packet.namespace or "/",
                event=packet.event or "",
                payload=originals.reveal(packet.payload),
                answers=packet.answers or (asked.get((packet.namespace, packet.ack_id or 0)) if is_ack else None),
            )


def sent_as(packet: Packet, later: Sequence[Packet], originals: Originals) -> Iterator[Moment]:
    """The step that a client's packet is; `later`: the packets after it on its socket."""
    namespace = packet.namespace or "/"
    payload = None if packet.payload is None else originals.reveal(packet.payload)
    if packet.type == "connect":
        answer = _answer_to_connect(packet, later)
        join = Join(
            socket=packet.socket_id,
            source=packet.id,
            namespace=namespace,
            payload=payload,
            accepted=None if answer is None else answer.type == "connect",
        )
        yield Moment(join, packet.stamp_ns, None if answer is None else answer.done_ns)
    elif packet.type == "event":
        ack = _ack_of(packet, later)
        emit = Emit(
            socket=packet.socket_id,
            source=packet.id,
            namespace=namespace,
            event=packet.event or "",
            payload=payload or "[]",
            ack_id=packet.ack_id,
            acknowledged=ack is not None,
            attachments=originals.bodies(packet.attachments),
        )
        done_ns = packet.stamp_ns if packet.ack_id is None else None if ack is None else ack.done_ns
        yield Moment(emit, packet.stamp_ns, done_ns)
    elif packet.type == "disconnect":
        leave = Leave(socket=packet.socket_id, source=packet.id, namespace=namespace)
        yield Moment(leave, packet.stamp_ns, packet.stamp_ns)


def _answer_to_connect(packet: Packet, later: Sequence[Packet]) -> Packet | None:
    for other in later:
        same = other.sender == "server" and other.namespace == packet.namespace
        if same and other.type in ("connect", "connect_error"):
            return other
    return None


def _ack_of(packet: Packet, later: Sequence[Packet]) -> Packet | None:
    if packet.ack_id is None:
        return None
    for other in later:
        if other.type != "ack" or other.sender != "server":
            continue
        if other.answers == packet.id or (other.namespace == packet.namespace and other.ack_id == packet.ack_id):
            return other
    return None
