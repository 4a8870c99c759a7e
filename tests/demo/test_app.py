from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Any

import pytest

from nestperf.demo.app import LISTENING, DemoApp
from nestperf.errors import UsageError


async def test_counts_are_shown_and_cleared_to_this_machine(app: DemoApp, friend: Any) -> None:
    await friend.get("/health")
    shown = (await friend.get("/_demo/counts")).json
    assert shown["requests"]["GET /health"] == 1
    assert shown["users"] == [friend.user["id"]]
    assert not any("_demo" in row["target"] for row in shown["requestOrder"])
    assert (await friend.send("DELETE", "/_demo/counts")).status == 200
    assert (await friend.get("/_demo/counts")).json["requests"] == {}
    assert app.counts.statuses == {}


async def test_port_in_use_is_refused_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        app = DemoApp()
        with pytest.raises(UsageError, match=r"Cannot listen on 127\.0\.0\.1:\d+ .*choose another --port"):
            await app.start(port=taken.getsockname()[1])


async def run_app(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nestperf.demo.app", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process_says_where_and_ends_cleanly_when_asked(number: signal.Signals, new_client: Any) -> None:
    process = await run_app("--port", "0")
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 15)).decode().strip()
        assert line.startswith(LISTENING + "http://127.0.0.1:")
        app = DemoApp()
        app.url = line.removeprefix(LISTENING)
        client = await new_client(app, signed_in=True)
        assert (await client.get("/dashboard")).status == 200
        process.send_signal(number)
        rest, errors = await asyncio.wait_for(process.communicate(), 10)
        assert (process.returncode, rest, errors) == (0, b"", b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--faults", "nope=1"], "There is no fault 'nope'"), (["--port", "99999"], "Invalid value for '--port'")],
)
async def test_process_with_bad_flags_ends_with_2_and_a_sentence(arguments: list[str], said: str) -> None:
    process = await run_app(*arguments)
    _, errors = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2
    assert said in errors.decode()
    assert "Traceback" not in errors.decode()
