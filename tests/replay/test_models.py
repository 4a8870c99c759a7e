"""The load models against a server that counts: what was asked arrives, in number, time and order."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from reports.samples import Samples
from tests.replay.conftest import MS, CountingServer, Recording, Recordings, Replays, answering, command


def visit(recording: Recording, *, steps: int = 3, apart: int = 20) -> Path:
    """A session of some requests, each answered 2 ms after it was sent."""
    for number in range(steps):
        recording.exchange("GET", f"/{number}", number * apart, number * apart + 2)
    return recording.finish()


async def test_requests_at_a_rate_go_out_in_evenly_spaced_slots(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    result = await replay(visit(recordings(server.url)), "--rate", "3000/m", "--duration", "2s")
    intended = sorted(e.intended_ns for e in result.exchanges if e.intended_ns is not None)
    assert len(server.requests) == len(intended) == 100
    assert {b - a for a, b in itertools.pairwise(intended)} == {20 * MS}
    assert all(e.sent_ns >= (e.intended_ns or 0) for e in result.exchanges)
    certificate = result.run.certificate
    assert (certificate["planned"], certificate["sent"], certificate["dropped"]) == (100, 100, 0)
    assert certificate["requests_per_minute_asked"] == 3000
    assert certificate["requests_per_minute_reached"] == pytest.approx(3000, rel=0.02)
    # Every session's steps in their order, each from one address of its own.
    for session in result.sessions:
        mine = [e for e in result.exchanges if e.session_id == session.id]
        assert [e.target for e in mine] == ["/0", "/1", "/2"][: len(mine)]
        assert all((b.intended_ns or 0) >= (a.done_ns or 0) + 18 * MS for a, b in itertools.pairwise(mine))
    assert len({session.client_id for session in result.sessions}) == len(result.sessions)


async def test_slots_that_find_no_free_user_are_dropped_counted_and_stored(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    server.behaviour = answering(after_s=0.2)
    path = visit(recordings(server.url))
    arguments = ("--rate", "50/s", "--duration", "2s", "--max-users", "2", "-o", "r.db")
    _, printed = await command(tmp_path, str(path), *arguments)
    with Capture.open(tmp_path / "r.db") as capture:
        exchanges, run = list(capture.exchanges()), capture.run
    dropped = [e for e in exchanges if e.outcome is Outcome.DROPPED]
    assert len(exchanges) == 100
    assert len(server.requests) == 100 - len(dropped)
    assert 70 <= len(dropped) < 100
    assert {(e.method, e.route, e.detail) for e in dropped} == {
        ("GET", "/{id}", "all 2 users were busy when it was due")
    }
    assert all(e.done_ns is None and e.session_id is None for e in dropped)
    assert run.certificate["slots_dropped"] == run.certificate["dropped"] == len(dropped)
    assert run.certificate["requests_per_minute_reached"] < 1000
    assert f"{len(dropped)} dropped, all users being busy (more: --max-users)" in printed


async def test_open_arrivals_never_wait_for_earlier_sessions(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    server.behaviour = answering(never="*")
    result = await replay(
        visit(recordings(server.url)), "--sessions", "20/s", "--duration", "2s", "--timeout", "3s", "--seed", "3"
    )
    arrivals = [session.intended_ns for session in result.sessions]
    assert len(arrivals) == len(server.connections) == 40
    assert len(set(server.connections)) == 40
    assert result.run.certificate["sessions_per_minute_asked"] == 1200
    assert result.run.certificate["arrivals_dropped"] == 0
    assert {e.outcome for e in result.exchanges} == {Outcome.TIMEOUT}
    assert len(result.exchanges) == 40


async def test_arrivals_that_find_no_free_user_are_stored_as_dropped_sessions(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    server.behaviour = answering(never="*")
    result = await replay(
        visit(recordings(server.url)), "--sessions", "20/s", "--duration", "1s", "--max-users", "5", "--timeout", "4s"
    )
    states = Counter(session.state for session in result.sessions)
    assert states["dropped"] == 15
    assert result.run.certificate["arrivals_dropped"] == 15
    assert len(server.requests) == 5


async def test_the_same_seed_makes_the_same_schedule(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    path = visit(recordings(server.url), steps=1)
    offsets = []
    for seed in ("5", "5", "6"):
        result = await replay(path, "--sessions", "40/s", "--duration", "1s", "--seed", seed)
        ((_, begin_ns, _),) = result.run.settings["phases"]
        offsets.append([(session.intended_ns or 0) - begin_ns for session in result.sessions])
    assert offsets[0] == offsets[1] != offsets[2]


async def test_arrivals_without_a_length_play_every_session_and_end(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    recording = recordings(server.url)
    for client in (1, 2, 3):
        recording.exchange("GET", f"/{client}", client, client + 2, client=client)
    result = await replay(recording.finish(), "--sessions", "20/s", "--loops", "2")
    assert Counter(request.target for request in server.requests) == {"/1": 2, "/2": 2, "/3": 2}
    assert [session.state for session in result.sessions] == ["finished"] * 6


async def test_stages_of_users_come_and_leave(server: CountingServer, recordings: Recordings, replay: Replays) -> None:
    path = visit(recordings(server.url), steps=2, apart=30)
    result = await replay(path, "--stages", "6@1s,1@1s", "--start", "together")
    ((_, begin_ns, _),) = result.run.settings["phases"]
    early: set[int | None] = set()
    late: set[int | None] = set()
    for session in result.sessions:
        began = (session.intended_ns or 0) - begin_ns
        (early if began < 1000 * MS else late).add(session.vu)
    assert early == set(range(6))
    assert late == {0}
    alive = [count for _, count in result.run.certificate["users_alive"]]
    assert max(alive) <= 6
    assert result.run.certificate["duration_ns"] == 2000 * MS


async def test_ramp_and_warm_up_are_marked_and_left_out_unless_asked_in(
    server: CountingServer, recordings: Recordings, replay: Replays, tmp_path: Path
) -> None:
    path = visit(recordings(server.url), steps=1)
    result = await replay(path, "--rate", "50/s", "--duration", "1s", "--ramp", "1s", "--warm-up", "1s")
    phases = result.run.settings["phases"]
    assert [name for name, _, _ in phases] == ["ramp", "warm-up", "load"]
    assert [last - first for _, first, last in phases] == [1000 * MS] * 3
    assert len(server.requests) == 125
    with Capture.open(result.path) as capture:
        judged, everything = Samples.read(capture), Samples.read(capture, everything=True)
    assert (len(judged.exchanges), judged.left_out) == (50, 75)
    assert (len(everything.exchanges), everything.left_out) == (125, 0)
    assert min(judged.exchanges.intended) >= phases[2][1]
    assert result.run.certificate["requests_per_minute_asked"] == 3000
    limits = tmp_path / "limits.toml"
    limits.write_text('[[threshold]]\nexpression = "count(exchanges) <= 60"\n')
    outcomes = []
    for more in ((), ("--judge-all",)):
        replayed = await command(
            tmp_path, str(path), "--rate", "50/s", "--duration", "1s", "--warm-up", "1s", "-o", "r.db", "--force",
            "--thresholds", str(limits), *more,
        )  # fmt: skip
        rows = [line.split() for line in replayed[1].splitlines()]
        outcomes += [words[0] for words in rows if words[1:2] == ["count(exchanges)"] and words[0].islower()]
    assert outcomes == ["pass", "fail"]


async def test_loops_repeat_every_session(server: CountingServer, recordings: Recordings, replay: Replays) -> None:
    result = await replay(visit(recordings(server.url), steps=1), "--users", "3", "--loops", "4")
    assert len(server.requests) == 12
    assert Counter(session.vu for session in result.sessions) == {0: 4, 1: 4, 2: 4}


PACES = [
    ("recorded", (), 200),
    ("twice as fast", ("--speed", "2x"), 100),
    ("half the pauses", ("--think", "0.5x"), 100),
    ("no long pauses", ("--max-idle", "50ms"), 50),
    ("no pauses", ("--think", "none"), 0),
]


@pytest.mark.parametrize(("arguments", "pause"), [row[1:] for row in PACES], ids=[row[0] for row in PACES])
async def test_pauses_are_as_asked(
    server: CountingServer, recordings: Recordings, replay: Replays, arguments: tuple[str, ...], pause: int
) -> None:
    result = await replay(visit(recordings(server.url), steps=2, apart=202), *arguments)
    first, second = result.exchanges
    assert second.intended_ns == (first.done_ns or 0) + pause * MS


async def test_jitter_is_bounded_and_repeats_with_its_seed(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    path = visit(recordings(server.url), steps=2, apart=102)
    pauses = []
    for seed in ("1", "1", "2"):
        result = await replay(path, "--users", "4", "--start", "together", "--think", "jitter", "--seed", seed)
        by_session = {s.vu: [e for e in result.exchanges if e.session_id == s.id] for s in result.sessions}
        pauses.append([(b.intended_ns or 0) - (a.done_ns or 0) for a, b in (by_session[vu] for vu in range(4))])
    assert pauses[0] == pauses[1] != pauses[2]
    assert all(50 * MS <= pause <= 150 * MS for pause in pauses[0])
    assert len(set(pauses[0])) == 4


async def test_hopeless_run_is_given_up_early(server: CountingServer, recordings: Recordings, tmp_path: Path) -> None:
    server.behaviour = answering("503 Gone")
    (tmp_path / "limits.toml").write_text('[[threshold]]\nexpression = "count(users) >= 1"\n')
    code, printed = await command(
        tmp_path, str(visit(recordings(server.url))), "--rate", "100/s", "--duration", "25s", "-o", "r.db",
        "--abort-on", "rate(failed) > 50%", "--thresholds", "limits.toml",
    )  # fmt: skip
    # A generator that a busy machine kept from its slots is said first.
    assert code == (4 if "Invalid:" in printed else 1), printed
    assert "Given up: rate(failed) > 50% held over the last 10 s" in printed
    with Capture.open(tmp_path / "r.db") as capture:
        run = capture.run
        exchanges = list(capture.exchanges())
    assert run.certificate["given_up"].startswith("Given up")
    assert run.certificate["elapsed_ns"] < 15e9
    assert 20 <= len(exchanges) < 1500


async def test_promising_run_is_not_given_up(server: CountingServer, recordings: Recordings, replay: Replays) -> None:
    result = await replay(
        visit(recordings(server.url)), "--rate", "50/s", "--duration", "2s", "--abort-on", "p95(latency) > 10s"
    )
    assert len(server.requests) == 100
    assert result.run.certificate["given_up"] is None
