"""The addon inside stock `mitmdump -s`."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port
from proxy_addon import __file__ as package
from tests.tls import Certificates, Stream

ANSWER = b"HTTP/1.1 200 Fine\r\nx-OdD: 1\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("client_tls", [False, True])
@pytest.mark.parametrize("upstream_tls", [False, True])
async def test_addon_in_stock_mitmdump_relays_and_records(
    client_tls: bool, upstream_tls: bool, tmp_path: Path, certificates: Certificates
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer)
        with contextlib.suppress(OSError):  # of the connection that only looked whether somebody listens
            if upstream_tls:
                await stream.start_tls(certificates.server_context())
            await stream.read()
            await stream.write(ANSWER)
            await stream.read_until()
            await stream.end()
        stream.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    upstream, port = server.sockets[0].getsockname()[1], free_port()
    url = f"{'https' if upstream_tls else 'http'}://localhost:{upstream}"
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("mitmdump")), "-q", "-s", str(Path(package).with_name("mitmdump.py"))),
            *("--mode", f"reverse:{url}@127.0.0.1:{port}"),
            *("--set", f"nestperf_output={tmp_path / 'qa.db'}", "--set", f"confdir={tmp_path}"),
            *("--set", f"ssl_verify_upstream_trusted_ca={certificates.ca}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        await listening(port)
        authority = tmp_path / "mitmproxy-ca-cert.pem"
        stream = await Stream.connect(port, certificates.client_context(authority) if client_tls else None)
        await stream.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await stream.end()
        got = await stream.read_until()
        stream.close()
    finally:
        process.terminate()
        _, errors = await asyncio.to_thread(process.communicate, timeout=60)
        server.close()
    assert got == ANSWER, errors
    assert stream.tls is None or stream.tls.selected_alpn_protocol() == "http/1.1"
    assert stream.ending == ("close_notify" if client_tls else "FIN")
    with Capture.open(tmp_path / "qa.db") as capture:
        assert [(e.target, e.status, e.reason) for e in capture.exchanges()] == [("/x", 200, "Fine")]
        assert capture.run.upstreams[0].url == url
        assert capture.run.losses == {}


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.perf_counter() + 40
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            assert time.perf_counter() < deadline
            await asyncio.sleep(0.1)
    writer.close()
