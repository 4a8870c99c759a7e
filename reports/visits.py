"""Which visits of a capture are worth a look: the slowest, what failed most, a typical one, the fastest. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nestperf.capture import model
from nestperf.capture.model import FAILED
from reports.samples import Samples

MOST_VISITS = 4


def choose_visits(known: dict[int, model.Session], samples: Samples) -> Iterator[tuple[str, model.Session]]:
    """Visits and why they are shown, none twice."""
    if not samples.sessions:
        of, counts = np.unique(samples.exchanges.client[np.isfinite(samples.exchanges.client)], return_counts=True)
        for place in np.argsort(-counts, kind="stable")[:MOST_VISITS]:
            if (session := known.get(int(of[place]))) is not None:
                yield f"{counts[place]:,} exchanges", session
        return
    seen: set[int] = set()
    for why, session_id in _worth_a_look(samples):
        if session_id in known and session_id not in seen:
            seen.add(session_id)
            yield why, known[session_id]


def _worth_a_look(samples: Samples) -> Iterator[tuple[str, int]]:
    x = samples.exchanges
    failed = x.session[x.outcome.among(*FAILED) & np.isfinite(x.session)]
    finished = sorted(
        (s.ended_ns - (s.started_ns if s.intended_ns is None else s.intended_ns), s.id)
        for s in samples.sessions
        if s.state == "finished" and s.ended_ns is not None and s.started_ns is not None
    )
    if finished:
        yield "the slowest", finished[-1][1]
    if len(failed):
        of, counts = np.unique(failed, return_counts=True)
        yield "most failures", int(of[np.argmax(counts)])
    if finished:
        yield "a typical one (median)", finished[(len(finished) - 1) // 2][1]
        yield "the fastest", finished[0][1]
    else:
        of, counts = np.unique(x.session[np.isfinite(x.session)], return_counts=True)
        for place in np.argsort(-counts, kind="stable")[:2]:
            yield f"{counts[place]:,} exchanges", int(of[place])
