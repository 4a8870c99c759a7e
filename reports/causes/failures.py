"""Why exchanges failed: the application went away, limited or refused a user, or answered something else. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nestperf.capture.model import Outcome
from reports.causes.evidence import FEWEST, MOST, NOBODY, PART, Cause, CauseKind, Evidence

if TYPE_CHECKING:
    from reports.columns import Codes, Mask

_MINUTE_NS = 60_000_000_000


def find_outage(e: Evidence) -> Cause | None:
    """Connects refused over a span in which nothing that was sent succeeded, everything before (and after) did.

    What failed later in the sessions of that time follows from it: a restarted application may know nobody any more.
    """
    x = e.x
    refused = np.flatnonzero(x.outcome.among(Outcome.CONNECT_ERROR))
    if len(refused) < FEWEST:
        return None
    begin, end = np.min(x.sent[refused]), np.max(x.sent[refused])
    same = np.isin(x.upstream, np.unique(x.upstream[refused]))
    answered = same & x.outcome.among(Outcome.OK, Outcome.REFUSED, Outcome.LIMITED)
    if (answered & (x.sent >= begin) & (x.sent <= end)).any() or not (answered & (x.sent < begin)).any():
        return None
    cut = x.outcome.among(Outcome.CONNECT_ERROR) | (x.outcome.among(Outcome.RESET) & ~(x.done > end))
    known = np.setdiff1d(e.user[same & (x.sent <= end)], [NOBODY])
    follows = np.isin(e.user, known) & (x.sent > end)
    direct, rows = e.failed[cut[e.failed]], e.failed[(cut | follows)[e.failed]]
    if not e.enough(rows, e.failed) or len(direct) < PART * len(e.failed):
        return None
    after = answered & (x.sent > end)
    kind = CauseKind.RESTART if after.any() else CauseKind.GONE
    back_ns = int(np.min(x.sent[after])) if after.any() else None
    return e.cause(kind, rows, begin_ns=int(begin), end_ns=back_ns)


def find_limits(e: Evidence) -> Cause | None:
    """429s: what failed are those, or unexpected answers in a session after its first."""
    x = e.x
    limited = x.outcome.among(Outcome.LIMITED) & (e.user != NOBODY)
    if not limited.any():
        return None
    users, place = np.unique(e.user[limited], return_inverse=True)
    first = np.full(len(users), np.inf)
    np.minimum.at(first, place, x.sent[limited])
    candidates = e.failed[x.outcome.among(Outcome.LIMITED, Outcome.MISMATCH)[e.failed]]
    known = np.searchsorted(users, e.user[candidates]).clip(max=len(users) - 1)
    of_user = users[known] == e.user[candidates]
    rows = candidates[of_user & (x.sent[candidates] >= first[known])]
    if not e.enough(rows, e.failed):
        return None
    earliest = int(np.argmin(first))
    own = x.sent[(e.user == users[earliest]) & e.work]
    before = int(((own < first[earliest]) & (own >= first[earliest] - _MINUTE_NS)).sum())
    return e.cause(CauseKind.LIMITED, rows, begin_ns=int(first[earliest]), busy=float(before), status=429)


def find_refused_credentials(e: Evidence) -> Cause | None:
    """401s: of users who had been let in at the same place a token ran out; of others it never fitted."""
    x = e.x
    refused = e.broken[x.status[e.broken] == 401]
    if not e.enough(refused, np.union1d(refused, e.failed)):  # a recording's 401 is refused, not failed
        return None
    let_in = np.flatnonzero((x.status < 400) & np.isfinite(x.status))
    earlier = _had_before(e, refused, let_in)
    kind = CauseKind.EXPIRED if earlier.mean() >= MOST else CauseKind.UNAUTHORIZED
    method, route = e.most_frequent(refused)
    return e.cause(
        kind,
        refused[earlier] if kind is CauseKind.EXPIRED else refused,
        status=401,
        begin_ns=int(x.sent[refused].min()),
        method=method,
        route=route,
    )


def _had_before(e: Evidence, rows: Codes, others: Codes) -> Mask:
    """Of each of `rows`, whether one of `others` of the same user, method and route was sent before it."""
    places = int(np.max(e.place)) + 1
    keys = e.user[others] * places + e.place[others]
    known, place = np.unique(keys, return_inverse=True)
    if not len(known):
        return np.zeros(len(rows), dtype=bool)
    first = np.full(len(known), np.inf)
    np.minimum.at(first, place, e.x.sent[others])
    wanted = e.user[rows] * places + e.place[rows]
    found = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.asarray((known[found] == wanted) & (first[found] < e.x.sent[rows]))


def find_failures_of_one_sort(e: Evidence) -> Cause | None:
    """5xx, timeouts, or answers of another class than recorded: said with the status and place met most."""
    x = e.x
    answered_5xx = x.status >= 500
    sorts = (
        (CauseKind.SERVER_ERRORS, answered_5xx),
        (CauseKind.TIMEOUTS, x.outcome.among(Outcome.TIMEOUT)),
        (CauseKind.MISMATCHES, x.outcome.among(Outcome.MISMATCH) & ~answered_5xx),
    )
    for kind, mask in sorts:
        rows = e.failed[mask[e.failed]]
        if e.enough(rows, e.failed):
            statuses, counts = np.unique(x.status[rows][np.isfinite(x.status[rows])], return_counts=True)
            status = int(statuses[np.argmax(counts)]) if len(statuses) else None
            method, route = e.most_frequent(rows)
            return e.cause(kind, rows, status=status, method=method, route=route, begin_ns=int(np.min(x.sent[rows])))
    return None


OF_FAILURES = (find_outage, find_limits, find_refused_credentials, find_failures_of_one_sort)
