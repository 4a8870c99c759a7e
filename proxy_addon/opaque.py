"""Bytes that nobody here understands (TLS, a tunnel, garbage): kept as they came, and marked.

Such a connection is a socket of protocol `opaque`, its chunks are frames with that opcode. Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from nestperf.capture.model import Frame, Outcome, Socket
from nestperf.wire.observations import Sender
from proxy_addon.sink import Sink

OPAQUE = "opaque"


def opaque_frame(sender: str, data: bytes, stamp_ns: int, sink: Sink, *, socket_id: int, room: int) -> Frame:
    """A chunk as it came; of what goes beyond `room` bytes only the size is kept."""
    moment_ns = sink.stamp(stamp_ns)
    kept = sink.contents.redactor.body(data[:room], "application/octet-stream") if room > 0 else None
    return Frame(
        id=sink.tally.next_id("frames"),
        socket_id=socket_id,
        sender=sender,
        stamp_ns=moment_ns,
        done_ns=moment_ns,
        opcode=OPAQUE,
        fin=True,
        compressed=False,
        wire_size=len(data),
        size=len(data),
        content=kept,
    )


class OpaqueTrack:
    """One connection from the byte on at which it could no longer be followed, in one direction or both."""

    def __init__(self, row: Socket, sink: Sink) -> None:
        self.senders: set[Sender] = set()
        """The directions that are opaque."""
        self._row = row
        self._sizes: Counter[str] = Counter()
        self._sink = sink
        sink.tally.sockets_open += 1
        sink.add(row)

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> None:
        """The next chunk of either side."""
        if not data:
            return
        room = self._sink.contents.max_response - self._sizes[sender]
        self._sizes[sender] += len(data)
        self._sink.add(opaque_frame(sender, data, stamp_ns, self._sink, socket_id=self._row.id, room=room))

    def closed(self, stamp_ns: int) -> None:
        """Both sides are done."""
        self._change(closed_by="cut", closed_ns=self._sink.stamp(stamp_ns), outcome=Outcome.OK)
        self._sink.tally.sockets_open -= 1

    def _change(self, **changes: Any) -> None:
        self._row = self._row._replace(**changes)
        self._sink.add(self._row)


def opaque_socket(
    reason: str, stamp_ns: int, sink: Sink, *, connection: int, upstream: int, exchange_id: int | None, target: str
) -> Socket:
    """The row of such a connection."""
    return Socket(
        id=sink.tally.next_id("sockets"),
        session_id=None,
        client_id=None,
        exchange_id=exchange_id,
        connection=connection,
        upstream=upstream,
        protocol=OPAQUE,
        version=None,
        authority="",
        target=sink.contents.redactor.target(target),
        sid=None,
        transports=OPAQUE,
        intended_ns=None,
        opened_ns=sink.stamp(stamp_ns),
        connected_ns=None,
        closed_ns=None,
        closed_by=None,
        close_code=None,
        close_reason=None,
        outcome=Outcome.UNFINISHED,
        detail=f"not understood: {reason}",
        source_socket=None,
    )
