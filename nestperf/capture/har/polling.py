"""Long-polling bodies out of the packets that they carried: the recorder stores the latter alone. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable

from nestperf.capture.model import Packet
from nestperf.wire.socketio import ENGINE_TYPES, encode_event, encode_packet

_SEPARATOR = "\x1e"
POSTED = b"ok"
"""The answer to a POST."""


def encode_polls(packets: Iterable[Packet], attachment: Callable[[int], bytes]) -> dict[tuple[int, str], bytes]:
    """Engine.IO 4 bodies by exchange and sender, of the packets that came by polls.

    `attachment`: the content of a body.
    """
    texts: dict[tuple[int, str], list[str]] = {}
    for packet in packets:
        if packet.exchange_id is not None:
            texts.setdefault((packet.exchange_id, packet.sender), []).extend(_encode(packet, attachment))
    return {key: _SEPARATOR.join(parts).encode("utf-8", "surrogatepass") for key, parts in texts.items()}


def _encode(packet: Packet, attachment: Callable[[int], bytes]) -> list[str]:
    if packet.type is None or packet.namespace is None:
        return [_engine(packet)]
    attached = [attachment(number) for number in json.loads(packet.attachments or "[]")]
    if packet.type == "event":
        text = encode_event(packet.namespace, packet.event or "", packet.payload, packet.ack_id, len(attached))
    else:
        text = encode_packet(packet.type, packet.namespace, packet.payload, packet.ack_id, len(attached))
    return [text, *("b" + base64.b64encode(content).decode() for content in attached)]


def _engine(packet: Packet) -> str:
    digit = str(ENGINE_TYPES.index(packet.engine_type)) if packet.engine_type in ENGINE_TYPES else ""
    if packet.payload is None:
        return digit
    # Of `open` the object as it was, of the others their text as a JSON string.
    return digit + (packet.payload if packet.engine_type == "open" else str(json.loads(packet.payload)))
