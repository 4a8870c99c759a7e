from __future__ import annotations

from pathlib import Path

import pytest

from nestperf.capture.model import Client, Frame, Kind, Outcome, Row, Statement
from nestperf.errors import CaptureForeign, CaptureMissing
from reports.samples import Samples
from reports.waterfall import MOST_BARS, MOST_TICKS, open_source, waterfalls
from tests.reports.conftest import MS, S, Write, exchange, packet, query, session, socket

RECORDED: list[Row] = [
    Client(1, "127.0.0.1", "Firefox/1"),
    exchange(1, 30, client_id=1, sent_ns=0, kind=Kind.PAGE),
    exchange(2, 20, client_id=1, sent_ns=S),
    exchange(3, 5_000, client_id=1, sent_ns=10 * MS, kind=Kind.UPGRADE),
    exchange(4, 5, client_id=None, sent_ns=5 * MS, server_call=True),
]


def replayed(**changes: object) -> list[Row]:
    rows: list[Row] = []
    for user in (1, 2, 3):
        begin = user * 10 * S
        rows.append(session(user, source_session=1, intended_ns=begin, started_ns=begin,
                            ended_ns=begin + (4 - user) * S, label=f"user {user}"))  # fmt: skip
        rows.append(exchange(user * 10, 25, session_id=user, intended_ns=begin, sent_ns=begin + MS, source_exchange=1))
        rows.append(exchange(user * 10 + 1, 15, session_id=user, intended_ns=begin + S, sent_ns=begin + S,
                             source_exchange=2, outcome=Outcome.RESET if user == 2 else Outcome.OK))  # fmt: skip
    return rows


def test_a_recording_s_visits_are_its_clients(written: Write) -> None:
    capture = written(RECORDED)
    ((visit, recorded),) = waterfalls(capture, Samples.read(capture))
    assert recorded is None
    assert visit.why == "3 exchanges"
    assert [bar.ref for bar in visit.bars] == ["1", "2"]
    assert [(bar.begin_ns, bar.end_ns) for bar in visit.bars] == [(0, 30 * MS), (S, S + 20 * MS)]
    assert [bar.step for bar in visit.bars] == [1, 2]


def test_a_replay_s_visits_are_the_slowest_the_failed_the_typical_and_the_fastest(written: Write) -> None:
    capture = written(replayed(), purpose="replay", vantage="client")
    pairs = waterfalls(capture, Samples.read(capture))
    assert [(visit.why, visit.ref) for visit, _ in pairs] == [
        ("the slowest", "session:1"),
        ("most failures", "session:2"),
        ("the fastest", "session:3"),
    ]
    assert [bar.failed for bar in pairs[1].visit.bars] == [False, True]


def test_a_visit_stands_beside_the_recorded_one(written: Write, tmp_path: Path) -> None:
    written(RECORDED, name="recording.db", uid="r1")
    capture = written(replayed(), purpose="replay", vantage="client", source_uid="r1", source_path="recording.db")
    with_source = open_source(capture, None)
    assert with_source is not None
    for visit, recorded in waterfalls(capture, Samples.read(capture), with_source):
        assert recorded is not None
        assert [bar.step for bar in recorded.bars] == [bar.step for bar in visit.bars]
    with_source.close()


def test_no_source_is_no_error_unless_it_was_named(written: Write, tmp_path: Path) -> None:
    written(RECORDED, name="other.db", uid="r2")
    capture = written(replayed(), purpose="replay", source_uid="r1", source_path="gone.db")
    assert open_source(capture, None) is None
    with pytest.raises(CaptureMissing):
        open_source(capture, tmp_path / "gone.db")
    with pytest.raises(CaptureForeign, match="not the recording"):
        open_source(capture, tmp_path / "other.db")


def test_the_source_beside_it_must_be_the_one_that_was_replayed(written: Write) -> None:
    written(RECORDED, name="recording.db", uid="r2")
    capture = written(replayed(), purpose="replay", source_uid="r1", source_path="recording.db")
    assert open_source(capture, None) is None


def test_queries_lie_in_the_exchange_that_asked_others_are_counted(written: Write) -> None:
    rows: list[Row] = [
        *RECORDED,
        exchange(7, 50, client_id=None, sent_ns=S + 8 * MS),
        Statement(1, "select 1", "a"),
        query(1, 20, 2),
        query(2, 1_002, 3),
        query(3, 1_010, 2),
        query(4, 3_000, 2),
    ]
    capture = written(rows)
    ((visit, _),) = waterfalls(capture, Samples.read(capture))
    assert [[q.ref for q in bar.queries] for bar in visit.bars] == [["query:1"], ["query:2"]]
    assert visit.bars[1].queries[0][1:] == (S + 2 * MS, 3 * MS, "select 1")
    assert visit.ambiguous == 1


def test_sockets_carry_their_packets_and_plain_ones_their_frames(written: Write) -> None:
    frame = Frame(1, 2, "client", 300 * MS, 300 * MS, "text", True, False, 12, 8, None)
    rows: list[Row] = [
        *RECORDED,
        socket(1, client_id=1, opened_ns=10 * MS, closed_ns=2 * S, closed_by="client"),
        socket(2, client_id=1, opened_ns=20 * MS, protocol="websocket", target="/ws"),
        packet(1, 1, 100),
        packet(2, 1, 200, sender="client", engine_type="pong", type=None, event=None, namespace=None),
        frame,
    ]
    capture = written(rows)
    ((visit, _),) = waterfalls(capture, Samples.read(capture))
    first, second = visit.lanes
    assert [(tick.at_ns, tick.from_server, tick.what) for tick in first.ticks] == [
        (100 * MS, True, "event service:status /"),
        (200 * MS, False, "pong"),
    ]
    assert [tick.what for tick in second.ticks] == ["text frame, 8 bytes"]
    assert (first.end, second.end) == ("closed by client", "open at the end")


def test_of_very_long_visits_the_beginning_is_there_and_the_rest_counted(written: Write) -> None:
    rows: list[Row] = [Client(1, "127.0.0.1", "Firefox/1"), socket(1, client_id=1)]
    rows += [exchange(number, 1, client_id=1) for number in range(1, MOST_BARS + 51)]
    rows += [packet(number, 1, number) for number in range(1, MOST_TICKS + 8)]
    capture = written(rows)
    ((visit, _),) = waterfalls(capture, Samples.read(capture))
    assert (len(visit.bars), visit.bars_left_out) == (MOST_BARS, 50)
    assert (len(visit.lanes[0].ticks), visit.lanes[0].more) == (MOST_TICKS, 7)
