"""A replay goes by the names of its recording: marks that somebody set, and tests that named themselves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

from nestperf.capture.model import Exchange
from nestperf.capture.reader import Capture
from tests.replay.conftest import CountingServer, Recording, Replays


async def test_replay_keeps_the_names_of_what_it_repeats(
    server: CountingServer, recordings: Callable[..., Recording], replay: Replays
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/before", 0, 5)
    recording.exchange("GET", "/films", 10, 15, headers=(("x-nestperf-test", "lists films"),))
    recording.exchange("GET", "/films/1", 20, 25)
    recording.mark(9, "now requesting The Matrix")
    result = await replay(recording.finish(), "--users", "6")
    with Capture.open(result.path) as capture:
        named = {(one.source, one.text): one.exchanges for one in capture.named()}
        targets = {exchange.id: exchange.target for exchange in capture.exchanges()}
    films = sorted(number for number, target in targets.items() if target == "/films")
    one = sorted(number for number, target in targets.items() if target == "/films/1")
    assert len(films) == len(one) == 6
    assert named == {
        ("key", "now requesting The Matrix"): tuple(sorted((*films, *one))),
        ("test", "lists films"): tuple(films),
    }
    # What named the test goes out again, as it was recorded.
    assert {r.target for r in server.requests if ("x-nestperf-test", "lists films") in r.headers} == {"/films"}


async def test_check_keeps_them_too(
    server: CountingServer, recordings: Callable[..., Recording], tmp_path: Path
) -> None:
    recording = recordings(server.url)
    recording.mark(0, "looking at films")
    recording.exchange("GET", "/films", 10, 15)
    suite = tmp_path / "suite.toml"
    suite.write_text("[[contract]]\nname = 'films'\nkind = 'burst'\ncall = 'GET /films'\nusers = 5\nwithin = '30s'\n")
    arguments = [str(recording.finish()), "--suite", str(suite), "-o", str(tmp_path / "check.db")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nestperf", "check", *arguments, cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    printed, _ = await asyncio.wait_for(process.communicate(), 90)
    (path,) = tmp_path.glob("check*.db")
    with Capture.open(path) as capture:
        (named,) = capture.named()
        assert named.text == "looking at films", printed
        assert len(named.exchanges) == capture.count(Exchange) >= 5
