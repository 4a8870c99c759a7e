"""Likely causes: each is found where it is the cause, and none is claimed where there is none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestperf.capture.model import Exchange, Kind, Outcome, Row
from reports.causes import likely_causes
from reports.causes.evidence import Cause, CauseKind
from reports.causes.slowness import rank_correlation
from reports.samples import Samples
from tests.reports.conftest import MS, S, Write, exchange

Causes = Callable[..., tuple[Cause, ...]]
LIMIT_NS = 500 * MS


@pytest.fixture
def causes(written: Write) -> Causes:
    """The causes of calls that failed, or took longer than half a second: `causes(rows)`."""

    names = (f"{number}.db" for number in count())

    def find(rows: list[Row]) -> tuple[Cause, ...]:
        x = Samples.read(written(rows, name=next(names))).exchanges
        felt = x.done - np.where(np.isfinite(x.intended), x.intended, x.sent)
        bad = ~x.outcome.among(Outcome.OK, Outcome.REFUSED) | (x.status == 401)
        return likely_causes(x, np.ones(len(x), dtype=bool), bad | (felt > LIMIT_NS))

    return find


def kinds(found: tuple[Cause, ...]) -> list[CauseKind]:
    return [cause.kind for cause in found]


def call(number: int, at_ms: float, took_ms: float | None = 20, **changes: Any) -> Exchange:
    """A call of one of five users."""
    changes = {"session_id": number % 5, "route": f"/api/{number % 7}", **changes}
    return exchange(number, took_ms, sent_ns=round(at_ms * MS), **changes)


def steady(number: int = 200, begin_ms: float = 0, first: int = 1) -> list[Row]:
    """Calls that are fine, one each 50 ms."""
    return [call(first + n, begin_ms + n * 50) for n in range(number)]


def failures(number: int, begin_ms: float, **changes: Any) -> list[Row]:
    return [call(1000 + n, begin_ms + n * 50, **changes) for n in range(number)]


def test_causes_of_nothing_broken_are_none(causes: Causes) -> None:
    assert causes(steady()) == ()


def test_causes_of_two_accidents_are_none(causes: Causes) -> None:
    assert causes([*steady(), *failures(2, 3000, outcome=Outcome.RESET)]) == ()


def test_cause_of_refused_connects_between_answers_is_a_restart(causes: Causes) -> None:
    rows = [*steady(100), *failures(20, 5010, took_ms=None, outcome=Outcome.CONNECT_ERROR), *steady(100, 6100, 200)]
    (cause,) = causes(rows)
    assert (cause.kind, cause.explained, cause.broken) == (CauseKind.RESTART, 20, 20)
    assert (cause.begin_ns, cause.end_ns) == (5010 * MS, 6100 * MS)


def test_cause_of_refused_connects_to_the_end_is_that_it_is_gone(causes: Causes) -> None:
    rows = [*steady(100), *failures(20, 5010, took_ms=None, outcome=Outcome.CONNECT_ERROR)]
    assert kinds(causes(rows)) == [CauseKind.GONE]


def test_cause_of_a_restart_counts_the_requests_it_cut(causes: Causes) -> None:
    cut = [call(900 + n, 4990 + n, took_ms=30, outcome=Outcome.RESET) for n in range(4)]
    rows = [*steady(90), *cut, *failures(20, 5010, took_ms=None, outcome=Outcome.CONNECT_ERROR), *steady(9, 6100, 200)]
    (cause,) = causes(rows)
    assert (cause.kind, cause.explained) == (CauseKind.RESTART, 24)


def test_cause_of_a_restart_counts_what_followed_in_the_same_sessions(causes: Causes) -> None:
    """The restarted application knows nobody any more; who came later is let in."""
    outage = failures(20, 5010, took_ms=None, outcome=Outcome.CONNECT_ERROR)
    strangers = [call(2000 + n, 6200 + n * 20, status=401, outcome=Outcome.MISMATCH) for n in range(30)]
    later = [call(3000 + n, 6100 + n * 50, session_id=99) for n in range(30)]
    (cause,) = causes([*steady(100), *outage, *strangers, *later])
    assert (cause.kind, cause.explained, cause.broken) == (CauseKind.RESTART, 50, 50)


def test_causes_of_connects_refused_now_and_then_are_none(causes: Causes) -> None:
    """Answers between them: nothing restarted, the listen queue was full."""
    assert causes([*steady(), *failures(20, 1025, took_ms=None, outcome=Outcome.CONNECT_ERROR)]) == ()


def test_causes_of_connects_that_never_worked_are_none(causes: Causes) -> None:
    assert causes(failures(20, 0, took_ms=None, outcome=Outcome.CONNECT_ERROR)) == ()


def test_cause_of_429s_is_the_limit_with_what_was_sent_before(causes: Causes) -> None:
    rows: list[Row] = [call(n, n * 100, session_id=1) for n in range(1, 101)]
    rows += [call(200 + n, 10_100 + n * 100, session_id=1, status=429, outcome=Outcome.LIMITED) for n in range(20)]
    rows += [call(300 + n, 13_000 + n * 100, session_id=1, status=404, outcome=Outcome.MISMATCH) for n in range(5)]
    (cause,) = causes(rows)
    assert (cause.kind, cause.explained, cause.busy) == (CauseKind.LIMITED, 25, 100)


def test_cause_of_mismatches_in_other_sessions_than_the_429s_is_not_the_limit(causes: Causes) -> None:
    rows: list[Row] = [*steady(), call(900, 100, session_id=77, status=429, outcome=Outcome.LIMITED)]
    rows += failures(20, 200, status=404, outcome=Outcome.MISMATCH, route="/api/9")
    (cause,) = causes(rows)
    assert (cause.kind, cause.status, cause.route) == (CauseKind.MISMATCHES, 404, "/api/9")


def test_cause_of_401_after_answers_is_an_expired_token(causes: Causes) -> None:
    rows = [*steady(), *failures(60, 10_010, status=401, outcome=Outcome.MISMATCH)]
    (cause,) = causes(rows)
    assert (cause.kind, cause.explained, cause.begin_ns) == (CauseKind.EXPIRED, 60, 10_010 * MS)


def test_cause_of_401_in_a_recording_is_found_though_it_is_no_failure(causes: Causes) -> None:
    rows = [*steady(), *failures(60, 10_010, status=401, outcome=Outcome.REFUSED)]
    assert kinds(causes(rows)) == [CauseKind.EXPIRED]


def test_cause_of_401_among_slowness_of_another_sort_is_found(causes: Causes) -> None:
    slow = [call(3000 + n, 500 + n * 200, took_ms=900, route="/api/search") for n in range(40)]
    rows = [*steady(), *slow, *failures(60, 10_010, status=401, outcome=Outcome.MISMATCH)]
    assert kinds(causes(rows)) == [CauseKind.EXPIRED, CauseKind.ONE_ROUTE]


def test_cause_of_401_from_the_start_is_no_expiry(causes: Causes) -> None:
    rows: list[Row] = [call(n, n * 50, route="/signin") for n in range(1, 50)]
    rows += failures(40, 3000, status=401, outcome=Outcome.MISMATCH, route="/api/me")
    (cause,) = causes(rows)
    assert (cause.kind, cause.method, cause.route) == (CauseKind.UNAUTHORIZED, "GET", "/api/me")


def test_cause_of_401_where_others_were_let_in_is_no_expiry(causes: Causes) -> None:
    rows: list[Row] = [call(n, n * 50, session_id=1, route="/api/me") for n in range(1, 50)]
    rows += failures(40, 3000, status=401, outcome=Outcome.MISMATCH, route="/api/me", session_id=2)
    assert kinds(causes(rows)) == [CauseKind.UNAUTHORIZED]


SORTS = [
    (Outcome.HTTP_ERROR, 502, CauseKind.SERVER_ERRORS),
    (Outcome.MISMATCH, 500, CauseKind.SERVER_ERRORS),
    (Outcome.TIMEOUT, None, CauseKind.TIMEOUTS),
    (Outcome.MISMATCH, 404, CauseKind.MISMATCHES),
]


@pytest.mark.parametrize(("outcome", "status", "kind"), SORTS)
def test_cause_of_failures_of_one_sort_says_where(
    causes: Causes, outcome: Outcome, status: int | None, kind: CauseKind
) -> None:
    (cause,) = causes([*steady(), *failures(30, 1000, status=status, outcome=outcome, route="/api/x")])
    assert (cause.kind, cause.status, cause.route, cause.explained) == (kind, status, "/api/x", 30)
    (cause,) = causes([*steady(), *failures(30, 1000, status=status, outcome=outcome)])
    assert cause.route is None


def test_causes_of_failures_of_every_sort_are_none(causes: Causes) -> None:
    sorts = (Outcome.HTTP_ERROR, Outcome.TIMEOUT, Outcome.RESET)
    rows = [call(1000 + n, 500 + n * 50, outcome=sorts[n % 3]) for n in range(30)]
    assert causes([*steady(), *rows]) == ()


def test_cause_of_one_moment_at_which_all_waited_is_a_pause(causes: Causes) -> None:
    waiting = [call(1000 + n, 5000 + n * 20, took_ms=2000 - n * 20 + n, route=f"/api/{n % 7}") for n in range(30)]
    (cause, *_) = causes([*steady(99), *waiting, *steady(100, 7200, 300)])
    assert (cause.kind, cause.explained) == (CauseKind.PAUSE, 30)
    assert cause.end_ns == 7000 * MS


def test_cause_of_slowness_on_one_route_is_that_route(causes: Causes) -> None:
    slow = [call(1000 + n, 500 + n * 300, took_ms=900 + n, route="/api/search") for n in range(30)]
    (cause,) = causes([*steady(), *slow])
    assert (cause.kind, cause.method, cause.route) == (CauseKind.ONE_ROUTE, "GET", "/api/search")
    assert (cause.usual_ns, cause.explained) == (20 * MS, 30)


def test_causes_of_slowness_everywhere_are_none(causes: Causes) -> None:
    slow = [call(1000 + n, 500 + n * 300, took_ms=900 + n) for n in range(30)]
    assert causes([*steady(), *slow]) == ()


def test_causes_of_a_capture_of_one_route_do_not_blame_it(causes: Causes) -> None:
    slow = [call(1000 + n, 500 + n * 1000, took_ms=900 + n, route="/api/search") for n in range(30)]
    assert causes(list(slow)) == ()


def test_cause_of_long_connects_is_connecting(causes: Causes) -> None:
    rows = failures(30, 500, took_ms=600, connect_ns=500 * MS)
    assert CauseKind.CONNECTING in kinds(causes([*steady(), *rows]))


def test_cause_of_what_was_due_long_before_is_late_sending(causes: Causes) -> None:
    rows = [call(1000 + n, 5000 + n * 50, intended_ns=(4000 + n * 50) * MS) for n in range(30)]
    assert kinds(causes([*steady(), *rows])) == [CauseKind.SENT_LATE]


def test_cause_of_large_answers_that_take_long_to_come_is_transfer(causes: Causes) -> None:
    rows: list[Row] = []
    for n in range(30):
        row = call(1000 + n, 500 + n * 900, took_ms=800, response_bytes=5_000_000)
        rows.append(row._replace(first_byte_ns=row.sent_ns + 30 * MS))
    (cause,) = causes([*steady(), *rows])
    assert (cause.kind, cause.size, cause.broken_ns) == (CauseKind.TRANSFER, 5_000_000, 770 * MS)


def test_causes_of_small_answers_that_trickle_in_are_no_transfer(causes: Causes) -> None:
    rows: list[Row] = []
    for n in range(30):
        row = call(1000 + n, 500 + n * 900, took_ms=800, response_bytes=2_000)
        rows.append(row._replace(first_byte_ns=row.sent_ns + 30 * MS))
    assert causes([*steady(), *rows]) == ()


def one_server(arrivals_ms: list[float], work_ms: float) -> list[Row]:
    """What a server that does one thing at a time makes of arrivals."""
    rows: list[Row] = []
    free = 0.0
    for number, at_ms in enumerate(arrivals_ms, 1):
        free = max(free, at_ms) + work_ms
        rows.append(call(number, at_ms, took_ms=free - at_ms))
    return rows


def test_cause_of_slowness_that_grows_with_load_is_queueing(causes: Causes) -> None:
    """Waves: arrivals slower than the server, then faster, then slower again."""
    arrivals, at = [], 0.0
    for wave in range(3):
        for gap in [200.0] * 30 + [40.0] * 60 + [400.0] * 10:
            at += gap
            arrivals.append(at)
        at += 3000 * wave
    (cause,) = causes(one_server(arrivals, 100))
    assert cause.kind is CauseKind.QUEUEING
    assert cause.busy is not None
    assert cause.usual is not None
    assert cause.busy >= 2 * cause.usual


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_causes_of_latency_that_ignores_the_load_are_none(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lognormal times of every route alike, arrivals in bursts: nothing explains the slow ones."""
    from nestperf.capture.reader import Capture
    from nestperf.capture.writer import CaptureWriter
    from tests.reports.conftest import RUN

    random = np.random.default_rng(seed)
    gaps = np.where(random.random(400) < 0.2, 400, 30) * random.exponential(1, 400)
    took = random.lognormal(5, 0.8, 400)
    path = tmp_path_factory.mktemp("none") / "run.db"
    writer = CaptureWriter.create(path, RUN)
    writer.extend(call(n + 1, at, float(ms)) for n, (at, ms) in enumerate(zip(np.cumsum(gaps), took, strict=True)))
    writer.close()
    with Capture.open(path) as capture:
        x = Samples.read(capture).exchanges
    assert likely_causes(x, np.ones(len(x), dtype=bool), (x.done - x.sent) > LIMIT_NS) == ()


def test_causes_look_at_work_only(causes: Causes) -> None:
    """A poll lasts as long as nothing happens, and says nothing about load."""
    polls: list[Row] = [call(2000 + n, n * 1000, took_ms=25_000, kind=Kind.POLL) for n in range(20)]
    slow: list[Row] = [call(1000 + n, 500 + n * 300, took_ms=900, route="/api/search") for n in range(60)]
    x_kinds = kinds(causes([*steady(), *slow, *polls]))
    assert CauseKind.QUEUEING not in x_kinds


def test_rank_correlation_of_orders() -> None:
    up = np.arange(10.0)
    assert rank_correlation(up, up**3) == pytest.approx(1)
    assert rank_correlation(up, -up) == pytest.approx(-1)
    assert rank_correlation(up, np.full(10, 5.0)) == 0


def test_causes_of_half_failures_and_half_slowness_name_both(causes: Causes) -> None:
    slow: list[Row] = [call(1000 + n, 500 + n * 300, took_ms=900, route="/api/search") for n in range(30)]
    failed: list[Row] = [call(2000 + n, n * 300, outcome=Outcome.HTTP_ERROR, status=500) for n in range(30)]
    assert kinds(causes([*steady(), *slow, *failed])) == [CauseKind.SERVER_ERRORS, CauseKind.ONE_ROUTE]


def test_causes_of_a_capture_of_an_hour_keep_their_moments(causes: Causes) -> None:
    rows = [*steady(100), *failures(20, 3_600_000, took_ms=None, outcome=Outcome.CONNECT_ERROR)]
    (cause,) = causes(rows)
    assert cause.begin_ns == 3600 * S
