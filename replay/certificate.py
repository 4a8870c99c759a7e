"""Was it the load it promised? Counts what a replay planned and sent, and says when its own generator was too slow."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from nestperf import percentiles
from nestperf.capture.model import FAILED, Outcome

LAG_SHARE = 0.10
"""Send lag at p99 may be this share of the measured median, ..."""
LAG_FLOOR_NS = 5_000_000
"""... or this long, whichever is more, before a paced run is called invalid."""

TROUBLES = 500


def nearest_rank(ordered: Sequence[int], share: float) -> int | None:
    """The nearest-rank percentile of sorted numbers (ceil(share * n)-th smallest); None for none."""
    return percentiles.nearest_rank(ordered, Fraction(round(share * 10_000), 10_000)) if ordered else None


class Tally:
    """What happened so far. Counts and two columns of numbers; nothing grows faster than 16 bytes a step."""

    def __init__(self) -> None:
        self.planned = 0
        """Steps that came due."""
        self.sent = 0
        """Steps that went out: requests, handshakes, packets, closes."""
        self.dropped = 0
        """Steps that came due and could not be sent."""
        self.unconnected = 0
        """Steps that came due and found no connection: the target's doing, not ours."""
        self.not_reached = 0
        """Steps of begun visits whose turn never came, because the run ended."""
        self.requests = 0
        self.packets_sent = 0
        self.packets_received = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.visits: Counter[str] = Counter()
        """By state: `finished`, `cut`, `failed`."""
        self.connections = 0
        self.sockets = 0
        self.sockets_failed = 0
        self.missing_values = 0
        self.alive = 0
        """Users under way."""
        self.lags_ns = array("q")
        """Of every step sent: how late, without waiting for a connection."""
        self.services_ns = array("q")
        """Of every complete answer."""
        self.refusals: Counter[str] = Counter()
        """Why connections did not come about."""
        self.troubles: Counter[str] = Counter()
        """What went wrong, in sentences; no more than `TROUBLES` different ones."""

    @property
    def failed(self) -> int:
        """Exchanges that failed so far."""
        return sum(count for outcome, count in self.outcomes.items() if outcome in FAILED)

    def trouble(self, sentence: str) -> None:
        """Something went wrong."""
        if sentence in self.troubles or len(self.troubles) < TROUBLES:
            self.troubles[sentence] += 1

    @property
    def nothing_connected(self) -> bool:
        """Whether there were attempts and no single connection."""
        refused = self.outcomes[Outcome.CONNECT_ERROR]
        return bool(self.refusals) and self.connections == 0 and refused == sum(self.outcomes.values())


def certify(tally: Tally, *, elapsed_ns: int, cpu_ns: int, paced: bool) -> dict[str, Any]:
    """The numbers of `run.certificate`."""
    lags = sorted(tally.lags_ns)
    median_ns = nearest_rank(sorted(tally.services_ns), 0.50)
    seconds = max(elapsed_ns, 1) / 1e9
    return {
        "planned": tally.planned,
        "sent": tally.sent,
        "dropped": tally.dropped,
        "unconnected": tally.unconnected,
        "not_reached": tally.not_reached,
        "paced": paced,
        "send_lag_p50_ns": nearest_rank(lags, 0.50),
        "send_lag_p99_ns": nearest_rank(lags, 0.99),
        "send_lag_max_ns": lags[-1] if lags else None,
        "late": None if median_ns is None else len(lags) - bisect_right(lags, _latest_ns(median_ns)),
        "service_p50_ns": median_ns,
        "requests": tally.requests,
        "requests_per_minute": round(tally.requests / seconds * 60, 1),
        "packets_sent": tally.packets_sent,
        "packets_received": tally.packets_received,
        "visits": dict(tally.visits),
        "connections": tally.connections,
        "sockets": tally.sockets,
        "sockets_failed": tally.sockets_failed,
        "missing_values": tally.missing_values,
        "elapsed_ns": elapsed_ns,
        "cpu_ns": cpu_ns,
        "cpu_share": round(cpu_ns / max(elapsed_ns, 1), 3),
    }


def _latest_ns(median_ns: int) -> int:
    """How late a step may go out."""
    return max(LAG_FLOOR_NS, round(LAG_SHARE * median_ns))


def invalid_because(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Sentences that say why the numbers of a run cannot be judged; none where they can.

    The rule is one on the lag's p99; in a run of fewer than 100 steps that is its maximum, and one late step alone
    shows no bottleneck.
    """
    late, sent = certificate["late"], certificate["sent"]
    if not certificate["paced"] or late is None or late < 2 or late <= sent * 0.01:
        return ()
    sentence = (
        f"The generator was the bottleneck: {late:,} of {sent:,} steps went out more than "
        f"{_latest_ns(certificate['service_p50_ns']) / 1e6:.1f} ms late, against a median answer of "
        f"{certificate['service_p50_ns'] / 1e6:.1f} ms; use fewer users, or a machine with nothing else to do."
    )
    return (sentence,)
