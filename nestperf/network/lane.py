"""One direction of a slow network, as a pure model: who offered how many bytes when, and when they come out.

The rule: all flows share one transmitter, which sends packet by packet and takes the flows in turns. A packet of n
bytes occupies it for (n + 40) * 8 / bandwidth (40: IPv4's and TCP's heads, so a full packet is 1,500 bytes) and comes
out half a round trip after it has left. A flow begins with ten packets under way and may have as many more as were
acknowledged (slow start, RFC 6928 and RFC 5681, 3.1); an acknowledgement takes the other half of the round trip and is
never queued. Nothing is lost, nothing overtakes within a flow, and no window ever shrinks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

PAYLOAD = 1_460
"""Bytes of a full packet that are not its heads: Ethernet's 1,500 without IPv4's and TCP's."""
HEADS = 40
INITIAL_WINDOW = 10 * PAYLOAD
"""RFC 6928."""


class Delivery(NamedTuple):
    """Bytes that came out."""

    flow: int
    size: int
    at_ns: int


class _Ack(NamedTuple):
    at_ns: int
    flow: int
    size: int


@dataclass(slots=True)
class _Flow:
    """One connection's bytes in this direction."""

    waiting: int = 0
    under_way: int = 0
    """Sent and not acknowledged."""
    window: int = INITIAL_WINDOW
    undelivered: int = 0
    """Offered and not yet handed out as deliveries."""


class Lane:
    """Bandwidth and delay of one direction. Time is whatever the caller says it is, and never goes back."""

    def __init__(self, bits_per_second: int, delay_ns: int, *, slow_start: bool = True) -> None:
        """`delay_ns`: half a round trip."""
        self._bps = bits_per_second
        self._delay_ns = delay_ns
        self._slow_start = slow_start
        self._flows: dict[int, _Flow] = {}
        self._turns: deque[int] = deque()
        """Flows with bytes that wait, the next to send first."""
        self._free_ns = 0
        """When the transmitter has sent what it is sending."""
        self._acks: deque[_Ack] = deque()
        self._out: deque[Delivery] = deque()

    def offer(self, flow: int, size: int, now_ns: int) -> None:
        """Bytes of a flow are there to be sent."""
        self._advance(now_ns)
        # What could be sent before now has been, so that an idle transmitter begins now.
        self._free_ns = max(self._free_ns, now_ns)
        state = self._flows.setdefault(flow, _Flow())
        if not state.waiting and size:
            self._turns.append(flow)
        state.waiting += size
        state.undelivered += size
        self._advance(now_ns)

    def deliveries(self, now_ns: int) -> list[Delivery]:
        """What has come out by now and was not handed out before, in order."""
        self._advance(now_ns)
        found = []
        while self._out and self._out[0].at_ns <= now_ns:
            delivery = self._out.popleft()
            if delivery.flow in self._flows:
                self._flows[delivery.flow].undelivered -= delivery.size
                found.append(delivery)
        return found

    def next_ns(self) -> int | None:
        """When to ask for deliveries again; None while nothing is under way."""
        if self._out:
            return self._out[0].at_ns  # what is sent in between comes out after it
        return self._acks[0].at_ns if self._turns else None

    def backlog(self, flow: int) -> int:
        """Bytes of a flow that were offered and have not come out."""
        return self._flows[flow].undelivered if flow in self._flows else 0

    def forget(self, flow: int) -> None:
        """A flow is over; what is left of it never comes out."""
        if self._flows.pop(flow, None) is not None and flow in self._turns:
            self._turns.remove(flow)

    def _advance(self, until_ns: int) -> None:
        """Send everything that begins to be sent until then."""
        while True:
            self._acknowledge(self._free_ns)
            flow = self._next_flow()
            if flow is None:
                if not self._turns or self._acks[0].at_ns > until_ns:
                    break
                self._free_ns = max(self._free_ns, self._acks[0].at_ns)
            elif self._free_ns > until_ns:
                break
            else:
                self._send(flow)
        self._acknowledge(until_ns)

    def _next_flow(self) -> int | None:
        """The next flow in turn whose window lets it send."""
        return next((flow for flow in self._turns if self._may_send(self._flows[flow])), None)

    def _may_send(self, flow: _Flow) -> bool:
        return not self._slow_start or flow.under_way + min(flow.waiting, PAYLOAD) <= flow.window

    def _send(self, flow: int) -> None:
        state = self._flows[flow]
        size = min(state.waiting, PAYLOAD)
        state.waiting -= size
        state.under_way += size
        self._turns.remove(flow)
        if state.waiting:
            self._turns.append(flow)
        self._free_ns += transmission_ns(size, self._bps)
        out_ns = self._free_ns + self._delay_ns
        self._out.append(Delivery(flow, size, out_ns))
        self._acks.append(_Ack(out_ns + self._delay_ns, flow, size))

    def _acknowledge(self, until_ns: int) -> None:
        while self._acks and self._acks[0].at_ns <= until_ns:
            ack = self._acks.popleft()
            state = self._flows.get(ack.flow)
            if state is not None:
                state.under_way -= ack.size
                state.window += ack.size


def transmission_ns(size: int, bits_per_second: int) -> int:
    """How long the transmitter is occupied by `size` bytes, in as few packets as possible, heads included."""
    packets = -(-size // PAYLOAD)
    return round((size + HEADS * packets) * 8 * 1_000_000_000 / bits_per_second)
