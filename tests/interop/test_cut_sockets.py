"""`record --cut-sockets-every` with Node's own client, which comes back by itself, and with one that does not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.model import NESTPERF, Outcome
from nestperf.capture.reader import Capture
from nestperf.cli import run as nestperf
from reports.returns import find_returns
from reports.samples import Samples
from tests.conftest import Recorder, missing_peer

pytestmark = pytest.mark.peer("node")

NODE = Path(__file__).parent / "node"


@pytest.fixture
def server() -> Iterator[str]:
    if not (NODE / "node_modules" / "socket.io").is_dir():
        missing_peer("Node's socket.io is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")
    process = subprocess.Popen(
        ["node", str(NODE / "news.mjs"), "{}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.communicate(timeout=20)


def watch(url: str, **options: Any) -> subprocess.Popen[str]:
    command = ["node", str(NODE / "news-watcher.mjs"), url, json.dumps(options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(watcher: subprocess.Popen[str]) -> dict[str, Any]:
    printed, _ = watcher.communicate(timeout=60)
    counted: dict[str, Any] = json.loads(printed)
    return counted


def test_live_websockets_are_cut_counted_and_come_back(
    server: str, record: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = record(server, "--cut-sockets-every", "2s")
    counted = told(watch(recorder.urls[0], stay=9000))
    assert recorder.stop() == 0, recorder.output
    assert counted["connects"] >= 3
    assert counted["reasons"].count("transport close") >= 2
    assert set(counted["reasons"]) <= {"transport close", "io client disconnect"}
    assert "WEBSOCKETS WILL BE CUT every 2s" in recorder.output
    with Capture.open(recorder.capture) as capture:
        sockets = list(capture.sockets())
        ours = [socket for socket in sockets if socket.closed_by == NESTPERF]
        cuts = capture.run.relay["sockets_cut"]
        # One may be cut before Socket.IO's client calls it connected.
        assert len(ours) == cuts >= counted["connects"] - 1
        assert f"CUT ON PURPOSE: {cuts} WebSockets were cut by nestperf, every 2 s" in recorder.output
        assert {socket.outcome for socket in ours} == {Outcome.ABORTED}, "no failure of anybody"
        assert all(socket.outcome is not Outcome.RESET and socket.closed_by != "server" for socket in sockets)
        assert capture.run.losses == {}
        returns = find_returns(Samples.read(capture))
    assert all(one.by_nestperf for one in returns)
    whole = [one for one in returns if one.back_ns is not None and one.subscribed_ns is not None]
    assert len(whole) >= 2
    for one in whole:
        assert 0 < (one.tried_ns or 0) < (one.back_ns or 0) < (one.subscribed_ns or 0)
    nestperf(["report", str(recorder.capture)])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{cuts} WebSockets were cut by nestperf" in printed
    assert "Returns after abnormal ends" in printed


def test_client_that_does_not_come_back_is_a_finding(
    server: str, record: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = record(server, "--cut-sockets-every", "2s")
    counted = told(watch(recorder.urls[0], stay=9500, once=True))
    assert recorder.stop() == 0, recorder.output
    assert counted["connects"] == 1
    nestperf(["report", str(recorder.capture)])
    printed = " ".join(capsys.readouterr().out.split())
    assert "(/socket.io/) was cut by nestperf after" in printed
    assert "its client did not come back: `nestperf show FILE socket:" in printed


@pytest.mark.parametrize("wrong", ["often", "0s", "-1s"])
def test_a_time_that_is_none_is_refused(wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "qa.db"
    assert nestperf(["record", "http://127.0.0.1:9", "-o", str(output), "--cut-sockets-every", wrong]) == 2
    assert not output.exists()
    assert "duration" in capsys.readouterr().err.lower()
