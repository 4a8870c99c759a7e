"""A flow file that a real mitmdump wrote, imported."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from nestperf.cli import run
from nestperf.demo.children import free_port
from tests.capture.har.test_entries import entry
from tests.capture.har.test_reading import har_of
from tests.interop.talking_app import talking_app
from tests.interop.test_mitmdump import listening

SOCKET = "/socket.io/?EIO=4&transport=websocket"


async def visit(url: str) -> None:
    """What a person does, without a browser."""
    async with aiohttp.ClientSession(headers={"User-Agent": "Mozilla/5.0 (test)"}) as session:
        async with session.get(url + "/") as answer:
            await answer.read()
        login = {"user": "ann", "password": "canary-password-4711"}
        async with session.post(url + "/api/login", json=login) as answer:
            await answer.read()
        async with session.get(url + "/nowhere") as answer:
            await answer.read()
        async with session.ws_connect(url + SOCKET) as socket:
            await socket.receive_str()
            await socket.send_str('40{"token":"canary-socket-4711"}')
            await socket.receive_str()
            await socket.send_str('421["hello",{"a":1}]')
            for _ in range(3):
                await socket.receive()
            await socket.send_str("1")


async def record_flows(path: Path, folder: Path) -> str:
    """Visit the application through mitmdump; its address."""
    port = free_port()
    with talking_app() as url:
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("mitmdump")), "-q", "-w", str(path)),
                *("--mode", f"reverse:{url}@127.0.0.1:{port}", "--set", f"confdir={folder}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            await listening(port)
            await visit(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            _, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert path.exists(), errors
    return url


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A flow file and the address of the application in it."""
    folder = tmp_path_factory.mktemp("flows")
    return folder / "qa.flows", asyncio.run(record_flows(folder / "qa.flows", folder))


def test_flows_of_a_real_mitmdump_become_a_capture(recorded: tuple[Path, str], tmp_path: Path) -> None:
    flows, url = recorded
    db = tmp_path / "qa.db"
    assert b"canary-password-4711" in flows.read_bytes()
    assert run(["import", str(flows), "-o", str(db)]) == 0
    assert b"canary" not in db.read_bytes()
    with Capture.open(db) as capture:
        assert (capture.run.purpose, capture.run.vantage) == ("import", "proxy")
        assert [upstream.url for upstream in capture.run.upstreams] == [url]
        exchanges = list(capture.exchanges())
        told = [(e.method, e.target, e.status, e.outcome) for e in exchanges]
        assert told == [
            ("GET", "/", 200, Outcome.OK),
            ("POST", "/api/login", 200, Outcome.OK),
            ("GET", "/nowhere", 404, Outcome.REFUSED),
            ("GET", SOCKET, 101, Outcome.OK),
        ]
        assert all(e.sent_ns <= (e.first_byte_ns or 0) <= (e.done_ns or 0) for e in exchanges)
        assert not any(e.server_call for e in exchanges)
        body = capture.body(exchanges[0].response_body)
        assert body is not None
        assert (body.coding, body.state) == ("gzip", "whole") or body.coding == "deflate"
        assert (body.content or b"").startswith(b"<html>")
        (socket,) = capture.sockets()
        assert socket.protocol == "socket.io"
        assert socket.closed_by == "client"
        events = [(p.sender, p.event) for p in capture.packets() if p.type == "event"]
        assert events == [("client", "hello"), ("server", "news")]
        assert [session.label for session in capture.sessions()] == ["127.0.0.1 Mozilla"]


def test_flow_file_that_was_cut_off_is_refused_and_leaves_nothing(
    recorded: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = recorded[0].read_bytes()
    cut = tmp_path / "cut.flows"
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert run(["import", str(cut), "-o", str(tmp_path / "qa.db")]) == 3
    assert "is damaged or cut off behind flow" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.flows"]


@pytest.mark.parametrize("content", [b"12:hello world!", b"999999999999:9:x,", b"4:3:abc,}", b"2:1:,x"])
def test_file_that_only_begins_like_flows_is_refused(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.flows").write_bytes(content)
    assert run(["import", str(tmp_path / "x.flows"), "-o", str(tmp_path / "qa.db")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "qa.db").exists()


def test_flows_and_a_har_become_one_capture_and_keep_who_sent_what(recorded: tuple[Path, str], tmp_path: Path) -> None:
    bare = [{"name": "Host", "value": "api.test"}]
    with_flows = [entry(request__headers=bare, startedDateTime="2020-01-01T00:00:00Z")]
    (tmp_path / "a.har").write_text(har_of(*with_flows))
    for order in (("a.har", "flows"), ("flows", "a.har")):
        files = [str(recorded[0]) if name == "flows" else str(tmp_path / name) for name in order]
        db = tmp_path / f"{order[0]}.db"
        assert run(["import", *files, "-o", str(db)]) == 0
        with Capture.open(db) as capture:
            assert [e.target for e in capture.exchanges()][:2] == ["/api/items?x=1", "/"]
            assert [client.address for client in capture.clients()] == ["a.har", "127.0.0.1"]
            assert len(capture.run.settings["imported"]) == 2


def test_flow_that_would_be_more_than_one_request_is_left_out(
    recorded: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = recorded[0].read_bytes().replace(b"/nowhere", b"/\r\nwhere", 1)
    (tmp_path / "x.flows").write_bytes(content)
    assert run(["import", str(tmp_path / "x.flows"), "-o", str(tmp_path / "qa.db")]) == 0
    assert "LEFT OUT 1 that make no sense, such as flow 3 of x.flows: one with a method" in capsys.readouterr().out
