"""Two applications in one run, and several runs judged together."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nestperf.capture.model import Session
from nestperf.capture.reader import Capture
from reports.compare.compare import is_interleaved
from tests.replay.conftest import CountingServer, Recording, Recordings, Request, command


@pytest.fixture
async def other() -> AsyncIterator[CountingServer]:
    counting = CountingServer()
    await counting.start()
    yield counting
    await counting.stop()


def two_people(recording: Recording) -> Path:
    for client, at in ((1, 0), (2, 5)):
        for number in range(3):
            recording.exchange("GET", f"/{client}/{number}", at + number * 20, at + number * 20 + 2, client=client)
    return recording.finish()


def sessions(path: Path) -> list[Session]:
    with Capture.open(path) as capture:
        return list(capture.sessions())


async def test_two_targets_get_the_same_sessions_in_turns_and_a_capture_each(
    server: CountingServer, other: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    path = two_people(recordings(server.url))
    _, printed = await command(tmp_path, str(path), "-o", "new.db", "--vs", other.url, "--users", "2", "--loops", "6")
    assert server.requests
    mine = Counter(request.target for request in server.requests)
    assert mine == Counter(request.target for request in other.requests) == dict.fromkeys(mine, 6)
    new, old = sessions(tmp_path / "new.db"), sessions(tmp_path / "new-vs.db")
    assert Counter(s.source_session for s in new) == Counter(s.source_session for s in old) == {1: 6, 2: 6}
    with Capture.open(tmp_path / "new.db") as a, Capture.open(tmp_path / "new-vs.db") as b:
        assert a.run.started_unix_ns == b.run.started_unix_ns
        assert a.run.source_uid == b.run.source_uid
        assert a.run.uid != b.run.uid
        assert [u.url for u in a.run.upstreams] == [server.url]
        assert [u.url for u in b.run.upstreams] == [other.url]
        assert a.run.settings["phases"] == b.run.settings["phases"]
        assert a.run.certificate["planned"] + b.run.certificate["planned"] == 72
        assert is_interleaved(a.run, b.run)
    # The machine's drift hits both: neither side is through before the other has well begun.
    begun = sorted([(s.intended_ns or 0, "a") for s in new] + [(s.intended_ns or 0, "b") for s in old])
    turns = [side for _, side in begun]
    assert max(len(list(run)) for _, run in itertools.groupby(turns)) <= 6
    # A generator that a busy machine kept from its steps measured nothing to compare.
    compared = "Invalid:" not in printed
    assert ("Compared with the baseline" in printed) is compared
    assert ("nestperf report new.db --baseline new-vs.db" in printed) is compared
    assert ("The two are not compared" in printed) is not compared


async def test_rate_is_shared_by_both_targets(
    server: CountingServer, other: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    path = two_people(recordings(server.url))
    arguments = ("-o", "new.db", "--vs", other.url, "--rate", "50/s", "--duration", "2s")
    _, printed = await command(tmp_path, str(path), *arguments)
    assert len(server.requests) + len(other.requests) == 100
    assert abs(len(server.requests) - len(other.requests)) <= 12
    assert printed.count("Asked 3,000.0 requests a minute of both sides together, reached") == 2


async def test_a_side_that_is_dead_leaves_the_other_alone(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    dead = CountingServer()
    await dead.start()
    url = dead.url
    await dead.stop()
    path = two_people(recordings(server.url))
    code, printed = await command(tmp_path, str(path), "-o", "new.db", "--vs", url)
    assert code == 4
    assert len(server.requests) == 6
    with Capture.open(tmp_path / "new.db") as new, Capture.open(tmp_path / "new-vs.db") as old:
        assert not any("connect" in sentence for sentence in new.run.invalid)
        assert any("Nothing could connect" in sentence for sentence in old.run.invalid)
    assert printed.count("Nothing could connect") == 1
    assert "The two are not compared" in printed


async def test_repeated_runs_are_judged_together_and_sometimes_is_inconclusive(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    seen: set[str] = set()

    async def worse(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        """Every run has addresses of its own: the third network gets errors."""
        seen.add(request.address.rsplit(".", 2)[0])
        status = 200 if len(seen) < 3 or request.target == "/a" else 503
        await asyncio.sleep(0.03)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())

    server.behaviour = worse
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 5)
    recording.exchange("GET", "/b", 20, 25)
    (tmp_path / "limits.toml").write_text(
        '[[threshold]]\nname = "always"\nexpression = "rate(failed) < 10%"\nroute = "/a"\n'
        '[[threshold]]\nname = "sometimes"\nexpression = "rate(failed) < 10%"\nroute = "/b"\n'
        '[[threshold]]\nname = "never"\nexpression = "p50(latency) < 1ms"\nroute = "/a"\n'
    )
    path = recording.finish()
    code, printed = await command(
        tmp_path, str(path), "-o", "r.db", "--users", "40", "--repeat", "3", "--thresholds", "limits.toml",
        "--start", "spread",
    )  # fmt: skip
    assert [Path(tmp_path / name).exists() for name in ("r.db", "r-2.db", "r-3.db")] == [True] * 3
    together = printed.partition("All 3 runs together")[2]
    rows = [line.split() for line in together.splitlines()]
    verdicts = {words[1]: words[0] for words in rows if words[:1] != ["FAIL"] and len(words) > 3}
    assert {name: verdicts[name] for name in ("always", "sometimes", "never")} == {
        "always": "pass",
        "sometimes": "inconclusive",
        "never": "fail",
    }
    assert "held in 2 of 3 runs" in together
    assert code == (4 if "Invalid:" in printed else 1)


async def test_captures_of_all_runs_and_sides_are_checked_before_anything_begins(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    path = two_people(recordings(server.url))
    for name in ("r-2.db", "r-2-vs.db"):
        (tmp_path / name).write_text("precious")
        code, printed = await command(tmp_path, str(path), "-o", "r.db", "--repeat", "2", "--vs", server.url)
        assert code == 2
        assert f"{name} exists" in printed
        (tmp_path / name).unlink()
    assert not server.requests


async def test_second_target_that_nobody_allowed_is_refused(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    code, printed = await command(tmp_path, str(two_people(recordings(server.url))), "--vs", "http://192.0.2.7")
    assert code == 2
    assert "--allow-host 192.0.2.7" in printed
    assert not server.requests
