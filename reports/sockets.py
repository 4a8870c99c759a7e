"""What sockets and users did over time: acks, gaps between events, sockets lost, users at once. Measures, never judges.

All durations are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nestperf.capture.model import FAILED, Outcome, Session, Socket
from reports.columns import Codes, Labels, Mask, Stamps
from reports.samples import Samples, Times, ordered_ns
from reports.thresholds import matches_any

LATE_NS = 1_000_000_000
"""An ack asked for this shortly before the socket's end is cut, not missing."""


class Acks:
    """The events that asked for an ack, and how long it took."""

    def __init__(self, samples: Samples) -> None:
        p = samples.packets
        self.asked: Codes = np.flatnonzero(p.type.among("event") & np.isfinite(p.ack_id))
        """Rows of the packets that asked."""
        begin = np.where(np.isfinite(p.intended), p.intended, p.stamp)
        self.asked = self.asked[samples.counts(begin[self.asked])]
        answers = np.flatnonzero(p.type.among("ack") & np.isfinite(p.answers))
        self.latency: Stamps = np.full(len(self.asked), np.nan)
        """One of each of `asked`: last byte of the ack minus when the event was due, else sent; NaN without an ack."""
        if len(answers) and len(self.asked):
            order = np.argsort(p.answers[answers])
            answers = answers[order]
            ids = p.id[self.asked].astype(float)
            place = np.searchsorted(p.answers[answers], ids).clip(max=len(answers) - 1)
            found = p.answers[answers][place] == ids
            self.latency[found] = p.done[answers][place][found] - begin[self.asked][found]
        self.missing: Mask = np.isnan(self.latency) & ~self._cut(samples)
        """Never answered, though the socket stayed open for it."""

    def _cut(self, samples: Samples) -> Mask:
        ends = socket_ends(samples)
        p = samples.packets
        end = np.array([ends.get(socket, np.inf) for socket in p.socket[self.asked].tolist()], dtype=float)
        return p.stamp[self.asked] > end - LATE_NS

    def times(self, selected: Mask) -> Times:
        """The latencies of those of `selected` packets that asked."""
        mask = selected[self.asked]
        return Times(ordered_ns(self.latency[mask]), int(self.missing[mask].sum()))


def socket_ends(samples: Samples) -> dict[int, float]:
    """When each socket was closed, or else the capture ends."""
    span = samples.span_ns
    last = float(span[1]) if span else 0.0
    return {s.id: last if s.closed_ns is None else float(s.closed_ns) for s in samples.sockets}


def gaps(samples: Samples, event: str, selected: Mask) -> Times:
    """The times between one receipt of the event, of `selected` packets, and the next on the same socket.

    What passed since a socket's last receipt counts where it is longer than every gap before it: so long at least did
    the next one take. Sockets that never received the event are not about it.
    """
    p = samples.packets
    received = p.from_server & p.type.among("event") & selected
    rows = np.flatnonzero(received & p.event.where(lambda name: matches_any(name, (event,))))
    rows = rows[np.lexsort((p.stamp[rows], p.socket[rows]))]
    if not len(rows):
        return Times(np.zeros(0, dtype=np.int64), 0)
    same = np.diff(p.socket[rows]) == 0
    between = np.diff(p.stamp[rows])[same]
    last = rows[np.append(~same, True)]
    ends = socket_ends(samples)
    since = np.array([ends.get(socket, np.nan) for socket in p.socket[last].tolist()]) - p.stamp[last]
    longest = between.max() if len(between) else 0.0
    return Times(ordered_ns(np.concatenate((between, since[since > longest]))), 0)


def is_lost(socket: Socket) -> bool:
    """Whether it could not connect or ended without a close handshake."""
    return socket.outcome in FAILED or socket.closed_by == "cut"


def users_at_once(sessions: Iterable[Session]) -> int:
    """The most sessions that were under way at one moment."""
    changes = []
    for session in sessions:
        if session.started_ns is not None:
            end_ns = session.started_ns if session.ended_ns is None else session.ended_ns
            changes += [(session.started_ns, 0, 1), (end_ns, 1, -1)]
    most = now = 0
    for _, _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def busiest_window(stamps: Stamps, window_ns: int) -> int:
    """The most of these moments that any half-open window of this length holds."""
    ordered = np.sort(stamps[np.isfinite(stamps)])
    if not len(ordered):
        return 0
    counts = np.searchsorted(ordered, ordered + window_ns, side="left") - np.arange(len(ordered))
    return int(np.max(counts))


def session_times(sessions: Iterable[Session], *, from_due: bool = True) -> Times:
    """How long finished sessions took, from when they were due (else began); failed ones are counted apart.

    Without `from_due`: from when they began.
    """
    sessions = tuple(sessions)
    spans = [
        s.ended_ns - (s.intended_ns if from_due and s.intended_ns is not None else s.started_ns)
        for s in sessions
        if s.state == "finished" and s.ended_ns is not None and s.started_ns is not None
    ]
    return Times(np.sort(np.array(spans, dtype=np.int64)), sum(s.state == "failed" for s in sessions))


def with_outcome(outcomes: Labels, share: str) -> Mask:
    """The rows that a share (`failed`, `refused`, `limited`, `aborted`) counts."""
    return outcomes.among(*(FAILED if share == "failed" else (Outcome(share),)))
