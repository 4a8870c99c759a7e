"""Why answers were slow: one moment, one route, the connect, the size, or the load. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nestperf.capture.model import Outcome
from reports.causes.evidence import MOST, Cause, CauseKind, Evidence
from reports.concurrency import under_way

if TYPE_CHECKING:
    from reports.columns import Codes, Stamps

ENOUGH = 40
"""So many exchanges before latency is held against load."""
LARGE_BYTES = 100_000


def find_pause(e: Evidence) -> Cause | None:
    """Most of what is slow was under way at once, and nothing was answered until one moment."""
    x = e.x
    if not e.enough(e.slow, e.slow):
        return None
    same = e.work & np.isin(x.upstream, np.unique(x.upstream[e.slow]))
    begun, last = float(np.min(x.sent[e.slow])), float(np.max(x.done[e.slow]))
    done = x.done[same & (x.done >= begun) & (x.done <= last)]
    moments = np.sort(np.append(done, begun))
    silences = np.diff(moments)
    if not len(silences):
        return None
    longest = int(np.argmax(silences))
    end, length = float(moments[longest + 1]), float(silences[longest])
    rows = e.slow[(x.sent[e.slow] < end) & (x.done[e.slow] >= end)]
    if not e.enough(rows, e.slow) or length < 0.5 * float(np.median(e.service[rows])):
        return None
    return e.cause(
        CauseKind.PAUSE,
        rows,
        begin_ns=int(end - length),
        end_ns=int(end),
        broken_ns=int(np.median(e.service[rows])),
    )


def find_one_route(e: Evidence) -> Cause | None:
    """One route holds most of what is slow, and the others are fast."""
    if not e.enough(e.slow, e.slow):
        return None
    places, first, counts = np.unique(e.place[e.slow], return_index=True, return_counts=True)
    place, count = places[np.argmax(counts)], int(np.max(counts))
    there = e.selected & (e.place == place)
    others = e.selected & ~there
    if count < MOST * len(e.slow) or there.sum() > others.sum():
        return None
    if (len(e.slow) - count) / others.sum() > 0.25 * count / there.sum():
        return None
    answered = others & np.isfinite(e.service)
    method, route = e.name(int(e.slow[first[np.argmax(counts)]]))
    rows = e.slow[e.place[e.slow] == place]
    return e.cause(
        CauseKind.ONE_ROUTE,
        rows,
        method=method,
        route=route,
        broken_ns=int(np.median(e.service[rows])),
        usual_ns=int(np.median(e.service[answered])) if answered.any() else None,
    )


def find_connecting(e: Evidence) -> Cause | None:
    """At least half of the time went into the connect."""
    rows = e.slow[e.x.connect[e.slow] >= 0.5 * e.felt[e.slow]]
    if not e.enough(rows, e.slow):
        return None
    return e.cause(CauseKind.CONNECTING, rows, broken_ns=int(np.median(e.x.connect[rows])))


def find_late_sending(e: Evidence) -> Cause | None:
    """At least half of the time was over before anything was sent, connect apart."""
    late = e.x.sent - e.x.intended - np.nan_to_num(e.x.connect)
    rows = e.slow[late[e.slow] >= 0.5 * e.felt[e.slow]]
    if not e.enough(rows, e.slow):
        return None
    return e.cause(CauseKind.SENT_LATE, rows, broken_ns=int(np.median(late[rows])))


def find_transfer(e: Evidence) -> Cause | None:
    """At least half of the time passed between an answer's first byte and its last, and the answers are large."""
    x = e.x
    rows = e.slow[x.done[e.slow] - x.first_byte[e.slow] >= 0.5 * e.felt[e.slow]]
    rows = rows[x.response_bytes[rows] >= LARGE_BYTES]
    if not e.enough(rows, e.slow):
        return None
    transfer = x.done[rows] - x.first_byte[rows]
    return e.cause(
        CauseKind.TRANSFER,
        rows,
        size=int(np.median(x.response_bytes[rows])),
        broken_ns=int(np.median(transfer)),
    )


def find_queueing(e: Evidence) -> Cause | None:
    """Service time, held against its route's median, grows with what was under way when it was sent."""
    rows = np.flatnonzero(e.selected & e.work & e.x.outcome.among(Outcome.OK) & np.isfinite(e.service))
    if not e.enough(e.slow, e.slow) or len(rows) < ENOUGH:
        return None
    load_of = under_way(e.x, np.unique(e.x.upstream[e.selected]))
    load, slowness = load_of[rows], e.service[rows] / _medians_of_places(e, rows)
    quiet, busy = load <= np.quantile(load, 1 / 3), load >= np.quantile(load, 2 / 3)
    quiet_load, busy_load = float(np.median(load[quiet])), float(np.median(load[busy]))
    grown = float(np.median(slowness[busy])) / max(float(np.median(slowness[quiet])), 1e-9)
    if busy_load < 2 * quiet_load or grown < 2 or rank_correlation(load, slowness) < 0.5:
        return None
    explained = e.slow[load_of[e.slow] >= 2 * quiet_load]
    if not e.enough(explained, e.slow):
        return None
    return e.cause(
        CauseKind.QUEUEING,
        explained,
        usual=quiet_load,
        busy=busy_load,
        usual_ns=int(np.median(e.service[rows][quiet])),
        broken_ns=int(np.median(e.service[rows][busy])),
    )


def _medians_of_places(e: Evidence, rows: Codes) -> Stamps:
    """Of each row, the median service time of its method and route."""
    places, place = np.unique(e.place[rows], return_inverse=True)
    order = np.lexsort((e.service[rows], place))
    ends = np.cumsum(np.bincount(place, minlength=len(places)))
    begins = np.concatenate(([0], ends[:-1]))
    medians = e.service[rows][order][(begins + ends - 1) // 2]
    return np.maximum(medians, 1)[place]


def rank_correlation(one: Stamps, other: Stamps) -> float:
    """Spearman's rank correlation, ties sharing their ranks; 0 where one side never changes."""
    ranks = [_ranks(values) for values in (one, other)]
    first, second = (values - values.mean() for values in ranks)
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm else 0.0


def _ranks(values: Stamps) -> Stamps:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place])


OF_SLOWNESS = (find_pause, find_one_route, find_connecting, find_late_sending, find_transfer, find_queueing)
