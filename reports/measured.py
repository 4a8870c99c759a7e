"""What a program measured itself, to a capture and back: each measurement is an exchange of method `measure`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.model import FAILED, Exchange, Kind, Outcome, Run
from nestperf.capture.reader import Capture
from nestperf.capture.writer import CaptureWriter
from reports.metrics import Metric
from reports.thresholds import MEASURE

_OUTCOMES = {"TimeoutError": Outcome.TIMEOUT, "": Outcome.OK}
"""By the name of the exception that a block raised; any other ends it before it is done."""


def write_spans(path: Path, clock: Clock, spans: Iterable[tuple[str, int, int, str]], *, force: bool) -> None:
    """Write measurements (name, begin, end, what went wrong) to a new capture.

    Raises:
        UsageError: it exists (and not `force`), or cannot be written.
    """
    ordered = sorted(spans, key=lambda span: (span[1], span[2]))
    # A duration that was recorded may have begun before the monitor did.
    began_ns = min(0, ordered[0][1])
    run = Run(
        uid=os.urandom(8).hex(),
        purpose=MEASURE,
        vantage="client",
        state="finished",
        version=__version__,
        started_unix_ns=clock.unix_ns + began_ns,
        ended_ns=max(done_ns for _, _, done_ns, _ in ordered) - began_ns,
    )
    writer = CaptureWriter.create(path, run, force=force)
    for number, (name, begun_ns, done_ns, wrong) in enumerate(ordered, 1):
        writer.add(_exchange(number, name, begun_ns - began_ns, done_ns - began_ns, wrong))
    writer.close()


def _exchange(number: int, name: str, begun_ns: int, done_ns: int, wrong: str) -> Exchange:
    outcome = _OUTCOMES.get(wrong, Outcome.RESET)
    return Exchange(
        id=number, session_id=None, client_id=None, connection=None, upstream=0, kind=Kind.CALL, server_call=False,
        method=MEASURE, authority="", target=name, route=name, http_version="", request_headers=None,
        request_trailers=None, request_body=None, request_bytes=0, status=None, reason=None, response_headers=None,
        response_trailers=None, response_body=None, response_bytes=0, interim=None, intended_ns=None, sent_ns=begun_ns,
        request_done_ns=None, first_byte_ns=None, done_ns=done_ns, connect_ns=None, relay_ns=None, outcome=outcome,
        detail=f"the measured block did not end well: {wrong}" if wrong else None, source_exchange=None,
    )  # fmt: skip


def read_metrics(path: Path) -> dict[str, Metric]:
    """The metrics of a capture: of measurements by their names, of any other exchanges as `METHOD route`.

    Raises:
        CaptureError: it cannot be used.
    """
    metrics: dict[str, Metric] = {}
    columns = ("method", "route", "sent_ns", "intended_ns", "done_ns", "outcome")
    failed = {str(outcome) for outcome in FAILED}
    counted = {str(Outcome.OK), str(Outcome.REFUSED)}
    with Capture.open(path) as capture:
        for method, route, sent_ns, intended_ns, done_ns, outcome in capture.columns(Exchange, *columns):
            name = route if method == MEASURE else f"{method} {route}"
            metric = metrics.setdefault(name, Metric(name, []))
            if outcome in failed:
                metric.failed += 1
            elif outcome in counted and done_ns is not None:
                metric.durations_ns.append(done_ns - (sent_ns if intended_ns is None else intended_ns))
    return metrics
