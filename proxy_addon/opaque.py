"""Bytes that nobody here understands (TLS, a tunnel, garbage): kept as they came, and marked.

Such a connection is a socket of protocol `opaque`, its chunks are frames with that opcode. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from nestperf.capture.contents import Contents
from nestperf.capture.model import Frame, Outcome, Row, Socket
from nestperf.wire.observations import Sender
from proxy_addon.tally import Tally

OPAQUE = "opaque"


def opaque_frame(
    sender: str, data: bytes, stamp_ns: int, *, socket_id: int, room: int, contents: Contents, tally: Tally
) -> Frame:
    """A chunk as it came; of what goes beyond `room` bytes only the size is kept."""
    kept = contents.redactor.body(data[:room], "application/octet-stream") if room > 0 else None
    return Frame(
        id=tally.next_id("frames"),
        socket_id=socket_id,
        sender=sender,
        stamp_ns=stamp_ns,
        done_ns=stamp_ns,
        opcode=OPAQUE,
        fin=True,
        compressed=False,
        wire_size=len(data),
        size=len(data),
        content=kept,
    )


class OpaqueTrack:
    """One connection from the byte on at which it could no longer be followed, in one direction or both."""

    def __init__(
        self,
        row: Socket,
        *,
        contents: Contents,
        add: Callable[[Row], None],
        stamp: Callable[[int], int],
        tally: Tally,
    ) -> None:
        self.senders: set[Sender] = set()
        """The directions that are opaque."""
        self._row = row
        self._sizes: Counter[str] = Counter()
        self._contents = contents
        self._add = add
        self._stamp = stamp
        self._tally = tally
        tally.sockets_open += 1
        add(row)

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> None:
        """The next chunk of either side."""
        if not data:
            return
        room = self._contents.max_response - self._sizes[sender]
        self._sizes[sender] += len(data)
        self._add(
            opaque_frame(
                sender, data, self._stamp(stamp_ns), socket_id=self._row.id, room=room, contents=self._contents,
                tally=self._tally,
            )
        )  # fmt: skip

    def closed(self, stamp_ns: int) -> None:
        """Both sides are done."""
        self._change(closed_by="cut", closed_ns=self._stamp(stamp_ns), outcome=Outcome.OK)
        self._tally.sockets_open -= 1

    def _change(self, **changes: Any) -> None:
        self._row = self._row._replace(**changes)
        self._add(self._row)


def opaque_socket(
    reason: str, *, connection: int, upstream: int, exchange_id: int | None, target: str, stamp_ns: int, tally: Tally
) -> Socket:
    """The row of such a connection."""
    return Socket(
        id=tally.next_id("sockets"),
        session_id=None,
        client_id=None,
        exchange_id=exchange_id,
        connection=connection,
        upstream=upstream,
        protocol=OPAQUE,
        version=None,
        authority="",
        target=target,
        sid=None,
        transports=OPAQUE,
        intended_ns=None,
        opened_ns=stamp_ns,
        connected_ns=None,
        closed_ns=None,
        closed_by=None,
        close_code=None,
        close_reason=None,
        outcome=Outcome.UNFINISHED,
        detail=f"not understood: {reason}",
        source_socket=None,
    )
