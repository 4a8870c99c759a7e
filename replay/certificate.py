"""Was it the load it promised? Counts what a replay planned and sent, and says when its own generator was too slow."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nestperf.capture import repeats
from nestperf.capture.model import FAILED, Outcome
from replay.distribution import Distribution

LATE = 0.01
"""Of the steps at most so many may go out late."""
_FEW = 100
"""The p99 of fewer steps is their maximum."""
LAG_SHARE = 0.10
"""Send lag at p99 may be this share of the measured median, ..."""
LAG_FLOOR_NS = 5_000_000
"""... or this long, whichever is more, before a paced run is called invalid."""
SATURATED = 0.95
"""From this share of a core on the generator was saturated: one process computes on no more than one."""

TROUBLES = 500


class Tally:
    """What happened so far, in bounded memory."""

    def __init__(self) -> None:
        self.mismatch: int | None = None
        """The first exchange that was answered otherwise than recorded."""
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
        self.asked: set[tuple[str, str]] = set()
        """Methods and routes of the requests that went out."""
        self.requests = 0
        """Requests that went out."""
        self.packets_sent = 0
        self.packets_received = 0
        self.outcomes: Counter[Outcome] = Counter()
        """Exchanges that are over."""
        self.visits: Counter[str] = Counter()
        """By state: `finished`, `cut`, `failed`."""
        self.connections = 0
        self.sockets = 0
        self.sockets_failed = 0
        self.missing_values = 0
        self.alive = 0
        """Users under way."""
        self.lags_ns = Distribution()
        """Of every step sent: how late, without waiting for a connection."""
        self.services_ns = Distribution()
        """Of every complete answer."""
        self.responses_ns = Distribution()
        """The same, from when it was due."""
        self.sessions_ns = Distribution()
        """Of every visit that came to its end: from when its arrival was due to its last answer."""
        self.arrivals_dropped = 0
        """Sessions that were due and found no free user."""
        self.slots_dropped = 0
        """Requests that were due at a rate and found no free user."""
        self.refusals: Counter[str] = Counter()
        """Why connections did not come about."""
        self.troubles: Counter[str] = Counter()
        """What went wrong, in sentences; no more than `TROUBLES` different ones."""

    def fold(self) -> None:
        """Keep memory flat: called now and then."""
        for column in (self.lags_ns, self.services_ns, self.responses_ns, self.sessions_ns):
            column.fold()

    def note_repeats(self, packed: bytes | bytearray) -> None:
        """Exchanges that went as recorded, as `nestperf.capture.repeats` packs them."""
        if not packed:
            return
        stamps = repeats.stamps(packed)
        count = len(stamps.sent)
        self.sent += count
        self.requests += count
        self.outcomes[Outcome.OK] += count
        self.services_ns.add(stamps.done - stamps.sent)
        self.responses_ns.add(stamps.done - stamps.intended)
        connected = stamps.connect != repeats.NOTHING
        self.connections += int(connected.sum())
        self.lags_ns.add(stamps.sent - stamps.intended - stamps.queued - np.where(connected, stamps.connect, 0))

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


@dataclass(slots=True)
class Counted:
    """Slots, or arrivals, of the phases that count: of the whole run, whatever its sides."""

    planned: int = 0
    sent: int = 0
    """Those that found somebody."""
    last_ns: int = 0
    """When the last of them went out."""


class Spent(NamedTuple):
    """What the generator itself took."""

    elapsed_ns: int
    cpu_ns: int
    busiest_share: float | None
    """Of a core, in the busiest stretch of seconds; None for a run too short to say."""
    loop_lags_ns: Distribution
    """How late the loop came to what was due at a known moment."""


class Pledge(NamedTuple):
    """The load that was asked for, as far as a certificate holds the run against it."""

    paced: bool
    rate: str | None
    """What is counted a minute: `requests` or `sessions`; None in the closed model."""
    counted: Counted
    end_ns: int | None
    """When the last of them ends."""
    counted_ns: int | None
    """How long they are together."""
    lateness_ns: int = LAG_FLOOR_NS
    """How late a step may go out whatever the answers take: what is judged by far longer times bears more."""


def certify(tally: Tally, spent: Spent, pledge: Pledge) -> dict[str, Any]:
    """The numbers of `run.certificate`."""
    median_ns = tally.services_ns.percentile(0.50)
    seconds = max(spent.elapsed_ns, 1) / 1e9
    return {
        "planned": tally.planned,
        "sent": tally.sent,
        "dropped": tally.dropped,
        "unconnected": tally.unconnected,
        "not_reached": tally.not_reached,
        "paced": pledge.paced,
        **_percentiles("send_lag", tally.lags_ns),
        "late": None if median_ns is None else tally.lags_ns.over(_latest_ns(median_ns, pledge.lateness_ns)),
        "lateness_ns": pledge.lateness_ns,
        **_percentiles("service", tally.services_ns),
        **_percentiles("response", tally.responses_ns),
        **_percentiles("session_response", tally.sessions_ns),
        **_percentiles("loop_lag", spent.loop_lags_ns),
        "requests": tally.requests,
        "requests_per_minute": round(tally.requests / seconds * 60, 1),
        **_rate(tally, pledge),
        "packets_sent": tally.packets_sent,
        "packets_received": tally.packets_received,
        "visits": dict(tally.visits),
        "connections": tally.connections,
        "sockets": tally.sockets,
        "sockets_failed": tally.sockets_failed,
        "missing_values": tally.missing_values,
        "elapsed_ns": spent.elapsed_ns,
        "cpu_ns": spent.cpu_ns,
        "cpu_share": round(spent.cpu_ns / max(spent.elapsed_ns, 1), 3),
        "cpu_share_busiest": None if spent.busiest_share is None else round(spent.busiest_share, 3),
    }


def _percentiles(name: str, of: Distribution) -> dict[str, int | None]:
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
    return {f"{name}_{which}_ns": of.percentile(share) for which, share in shares.items()} | {
        f"{name}_max_ns": of.max_ns
    }


def _rate(tally: Tally, pledge: Pledge) -> dict[str, Any]:
    """Asked and reached, over the phases that count. What went out late makes the time longer."""
    if pledge.rate is None or not pledge.counted_ns:
        return {}
    asked, late_ns = pledge.counted, max(0, pledge.counted.last_ns - (pledge.end_ns or 0))
    reached = asked.sent / (pledge.counted_ns + late_ns) * 60e9
    return {
        f"{pledge.rate}_per_minute_asked": round(asked.planned / pledge.counted_ns * 60e9, 1),
        f"{pledge.rate}_per_minute_reached": round(reached, 1),
        "slots_dropped": tally.slots_dropped,
        "arrivals_dropped": tally.arrivals_dropped,
    }


def _latest_ns(median_ns: int, lateness_ns: int) -> int:
    """How late a step may go out."""
    return max(lateness_ns, round(LAG_SHARE * median_ns))


def is_saturated(certificate: dict[str, Any]) -> bool:
    """Whether the generator computed without pause for a while."""
    share = certificate["cpu_share_busiest"]
    return share is not None and share >= SATURATED


def invalid_because(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Sentences that say why the numbers of a run cannot be judged; none where they can.

    The rule on send lag is one on its p99: more than 1 % of the steps late. Of fewer than 100 steps that is the
    maximum; there it takes more late ones than chance makes of 1 % (95 %), so 2 of 90 show no bottleneck.
    """
    if not certificate["paced"]:
        return ()
    sentences = []
    late, sent = certificate["late"], certificate["sent"]
    if late is not None and late > _late_at_most(sent):
        latest_ns = _latest_ns(certificate["service_p50_ns"], certificate.get("lateness_ns", LAG_FLOOR_NS))
        sentences.append(
            f"The generator was the bottleneck: {late:,} of {sent:,} steps went out more than "
            f"{latest_ns / 1e6:.1f} ms late, against a median answer of "
            f"{certificate['service_p50_ns'] / 1e6:.1f} ms; {_REMEDY}."
        )
    if is_saturated(certificate):
        sentences.append(
            f"The generator was the bottleneck: it computed {certificate['cpu_share_busiest']:.0%} of the time on the "
            f"one core it can use, in the busiest seconds; {_REMEDY}."
        )
    return tuple(sentences)


def _late_at_most(sent: int) -> float:
    """So many steps may be late; of few the normal approximation's 95th percentile, its step halved."""
    expected = sent * LATE
    return expected if sent >= _FEW else expected + 0.5 + 1.645 * math.sqrt(expected * (1 - LATE))


_REMEDY = "ask for less load, or use a machine with nothing else to do"


def limited_by(certificate: dict[str, Any]) -> str | None:
    """What kept a run without pace from being faster, in a sentence; None for a paced one, or where it is unknown."""
    if certificate["paced"] or certificate["cpu_share_busiest"] is None:
        return None
    share = f"{certificate['cpu_share_busiest']:.0%} of a core in the busiest seconds"
    if is_saturated(certificate):
        return f"The generator was the limit ({share}): the application may be able to do more."
    return f"The application, or the number of users, was the limit: the generator had time left ({share})."
