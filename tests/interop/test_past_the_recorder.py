"""Traffic that does not come from the browser through the recorder: what goes past, and what applications ask."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from tests.conftest import Recorder
from tests.tls import Stream

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0"
NODE = Path(__file__).parent / "node"


class Page:
    """A server that answers everything with one page, compressed."""

    def __init__(self, text: str = "") -> None:
        self.port = 0
        self.text = text

    async def __aenter__(self) -> Page:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = gzip.compress(self.text.encode())
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        writer.close()


async def visit(port: int) -> None:
    stream = await Stream.connect(port)
    await stream.write(f"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {BROWSER}\r\n\r\n".encode())
    assert (await stream.read_until()).startswith(b"HTTP/1.1 200")
    stream.close()


async def test_address_that_browsers_reach_past_the_recorder_is_said_live_with_the_way_there(
    record: Callable[..., Recorder],
) -> None:
    async with Page() as page, Page() as reached, Page() as missed:
        page.text = (
            f"<script>const a = ['ws://localhost:{reached.port}', 'http://localhost:{missed.port}/api']</script>"
        )
        urls = [f"http://localhost:{each.port}" for each in (page, reached, missed)]
        recorder = await asyncio.to_thread(record, *urls)
        await visit(recorder.ports[0])
        await visit(recorder.ports[1])
        said = f"A page names {urls[2]}, but no browser came there through the recorder within 10 s"
        assert await asyncio.to_thread(recorder.wait_for, said, 30), recorder.output
        assert await asyncio.to_thread(recorder.stop) == 0
    assert (
        urls[1]
        not in "".join(line for line in recorder.output.splitlines(True) if "A page names" in line).partition(
            "End this recording"
        )[0]
    )
    command = re.search(r"run  nestperf record (.*)", recorder.output)
    assert command is not None
    assert set(urls) <= set(command[1].split()) or f"{missed.port}=http://localhost:{missed.port + 100}" in command[1]
    with Capture.open(recorder.capture) as capture:
        (notice,) = capture.run.relay["notices"]
        assert notice.startswith(said)


FRONTEND = """
import { createServer } from "node:http";
const server = createServer(async (request, response) => {
  const answer = await fetch(process.argv[1] + "/session", { headers: { cookie: "a=1" } });
  response.end(await answer.text());
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
"""


@pytest.mark.peer("node")
def quiet_listener() -> socket.socket:
    """A listener on a port that no outgoing connection is given: free again when it is closed."""
    for port in random.sample(range(20_000, 32_000), 50):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise AssertionError("50 ports are taken")


async def test_calls_that_nodes_fetch_sends_for_a_page_are_known_as_the_applications_own(
    record: Callable[..., Recorder],
) -> None:
    async with Page("the session") as api:
        held = quiet_listener()
        taken = held.getsockname()[1]
        frontend = subprocess.Popen(
            ["node", "--input-type=module", "-e", FRONTEND, f"http://127.0.0.1:{taken}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert frontend.stdout is not None
        port = int(await asyncio.to_thread(frontend.stdout.readline))
        held.close()
        recorder = await asyncio.to_thread(record, f"{taken}=http://127.0.0.1:{api.port}", f"http://127.0.0.1:{port}")
        stream = await Stream.connect(recorder.ports[1])
        await stream.write(
            f"GET /page HTTP/1.1\r\nHost: a\r\nUser-Agent: {BROWSER}\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"the session" in await stream.read_until()
        stream.close()
        assert await asyncio.to_thread(recorder.stop) == 0
        await asyncio.to_thread(frontend.communicate, timeout=20)
    with Capture.open(recorder.capture) as capture:
        assert {(e.target, e.server_call, e.outcome) for e in capture.exchanges()} == {
            ("/page", False, Outcome.OK),
            ("/session", True, Outcome.OK),
        }
        assert [session.label for session in capture.sessions()] == ["127.0.0.1 Chrome"]
