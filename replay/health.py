"""How the generator itself is while a run goes on: loop lag, CPU in the busiest seconds, users alive over time.

Numbers in, numbers out: whoever owns the loop tells it at every beat what the clock and the system say.
"""

from __future__ import annotations

from collections import deque

from replay.distribution import Distribution

BEAT_NS = 50_000_000
"""From one beat to the next."""
_READ_NS = 1_000_000_000
"""CPU and users are read so often."""
BUSIEST_NS = 5_000_000_000
"""The stretch whose share of a core counts, or the whole run where that is shorter."""
POINTS = 240
"""Points of the users' curve at most; when there are more, every second one goes."""


class Health:
    """The readings of one run."""

    def __init__(self) -> None:
        self.loop_lags_ns = Distribution()
        self.busiest_share: float | None = None
        """Of a core."""
        self.alive: list[tuple[int, int]] = []
        """(moment, users under way), about evenly spaced."""
        self.is_new_second = False
        """Whether the last reading was the first one of a second."""
        self._spacing_ns = _READ_NS
        self._cpu: deque[tuple[int, int]] = deque()

    def beat(self, due_ns: int, now_ns: int) -> None:
        """The loop came, at `now_ns`, to what was due at `due_ns`."""
        self.loop_lags_ns.append(now_ns - due_ns)
        self.loop_lags_ns.fold()

    def read(self, now_ns: int, cpu_ns: int, alive: int) -> None:
        """A reading: CPU time of the process so far, users under way. More than one a second is thinned out."""
        if not self.alive or now_ns - self.alive[-1][0] >= self._spacing_ns:
            self.alive.append((now_ns, alive))
            if len(self.alive) > POINTS:
                del self.alive[1::2]
                self._spacing_ns *= 2
        self.is_new_second = not self._cpu or now_ns - self._cpu[-1][0] >= _READ_NS
        if self.is_new_second:
            self._cpu.append((now_ns, cpu_ns))
            self._note_busiest(now_ns, cpu_ns)

    def end(self, now_ns: int, cpu_ns: int, alive: int) -> None:
        """The run is over."""
        self.alive.append((now_ns, alive))
        if self._cpu:
            self._note_busiest(now_ns, cpu_ns, BUSIEST_NS if self.busiest_share is not None else _READ_NS)

    def _note_busiest(self, now_ns: int, cpu_ns: int, at_least_ns: int = BUSIEST_NS) -> None:
        while len(self._cpu) > 1 and now_ns - self._cpu[1][0] >= BUSIEST_NS:
            self._cpu.popleft()
        first_ns, first_cpu_ns = self._cpu[0]
        if now_ns - first_ns >= at_least_ns:
            share = (cpu_ns - first_cpu_ns) / (now_ns - first_ns)
            self.busiest_share = max(share, self.busiest_share or 0.0)
