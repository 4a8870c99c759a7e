"""The relay's end of the tap: ordered, bounded, and it never waits for the recorder."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from proxy_addon.spool import Spool
from proxy_addon.tap import Record, TapReader, What

COPY = "import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, open(sys.argv[1], 'wb'))"
SLEEP = "import sys, time, shutil; time.sleep(1); shutil.copyfileobj(sys.stdin.buffer, open(sys.argv[1], 'wb'))"


def read(path: Path) -> list[Record]:
    return list(TapReader().receive(path.read_bytes()))


async def test_spool_hands_on_every_record_in_order(tmp_path: Path) -> None:
    spool = Spool()
    spool.put(What.OPENED, 1, 10, 0, b"{}")  # before there is a recorder
    await spool.start([sys.executable, "-c", COPY, str(tmp_path / "tap")])
    for number in range(1000):
        spool.put(What.CLIENT_BYTES, 1, number, 5, b"x" * number)
    await spool.finish("finished")
    assert spool.process is not None
    assert spool.process.wait(10) == 0
    records = read(tmp_path / "tap")
    assert [record.what for record in records] == [What.OPENED, *[What.CLIENT_BYTES] * 1000, What.FINISHED]
    assert [len(record.payload) for record in records[1:-1]] == list(range(1000))
    assert records[-1].json() == {"state": "finished", "dropped_bytes": 0, "faults": 0}


async def test_spool_with_a_slow_recorder_drops_whole_connections_and_counts(tmp_path: Path) -> None:
    spool = Spool(most_waiting=3_000_000)
    await spool.start([sys.executable, "-c", SLEEP, str(tmp_path / "tap")])
    for _ in range(100):
        spool.put(What.CLIENT_BYTES, 1, 0, 0, b"x" * 100_000)
        await asyncio.sleep(0)
    spool.put(What.CLOSED, 1, 0)
    await spool.finish("finished")
    assert spool.process is not None
    assert spool.process.wait(10) == 0
    records = read(tmp_path / "tap")
    kept = [record for record in records if record.what is What.CLIENT_BYTES]
    assert [record.what for record in records if record.what is not What.CLIENT_BYTES] == [
        What.GAP,
        What.CLOSED,
        What.FINISHED,
    ]
    assert 0 < len(kept) < 100
    assert records[-1].json()["dropped_bytes"] == (100 - len(kept)) * 100_000


async def test_spool_with_a_late_recorder_hands_on_all_that_waited(tmp_path: Path) -> None:
    spool = Spool()
    await spool.start([sys.executable, "-c", SLEEP, str(tmp_path / "tap")])
    for number in range(200):
        spool.put(What.CLIENT_BYTES, 1, number, 0, b"x" * 100_000)
        await asyncio.sleep(0)
    await spool.finish("finished")
    assert spool.process is not None
    assert spool.process.wait(10) == 0
    records = read(tmp_path / "tap")
    assert [record.stamp_ns for record in records if record.what is What.CLIENT_BYTES] == list(range(200))
    assert spool.dropped_bytes == 0


async def test_spool_whose_recorder_dies_with_much_waiting_ends_and_counts_it() -> None:
    spool = Spool()
    await spool.start([sys.executable, "-c", "import time; time.sleep(1)"])
    for _ in range(100):
        spool.put(What.CLIENT_BYTES, 1, 0, 0, b"x" * 100_000)
        await asyncio.sleep(0)
    await asyncio.wait_for(spool.finish("finished"), 30)
    assert spool.process is not None
    assert spool.process.wait(10) == 0
    assert spool.lost_recorder
    assert spool.dropped_bytes > 5_000_000


async def test_spool_without_its_recorder_goes_on_and_says_so() -> None:
    spool = Spool()
    await spool.start([sys.executable, "-c", "pass"])
    assert spool.process is not None
    await asyncio.to_thread(spool.process.wait, 10)
    for _ in range(50):
        spool.put(What.CLIENT_BYTES, 1, 0, 0, b"x" * 100_000)
        await asyncio.sleep(0.01)
    assert spool.lost_recorder
    assert spool.dropped_bytes > 0
    await spool.finish("finished")
