"""TLS on either side of the recorder: how connections end, what is negotiated, and what is said where it fails."""

from __future__ import annotations

import asyncio
import ssl
import stat
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from tests.conftest import Recorder
from tests.tls import Certificates, Stream, make_certificates

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

Play = Callable[[Stream], Coroutine[None, None, None]]


class Application:
    """A server of one conversation; how its handshakes and its clients ended."""

    def __init__(self, play: Play, context: ssl.SSLContext | None, host: str = "127.0.0.1") -> None:
        self.port = 0
        self.host = host
        self.endings: asyncio.Queue[str | None] = asyncio.Queue()
        self.names: list[str | None] = []
        """The server names that were asked for (SNI)."""
        self._play = play
        self._context = context
        self._playing: set[asyncio.Task[None]] = set()
        if context is not None:
            context.sni_callback = lambda _, name, __: self.names.append(name)

    async def __aenter__(self) -> Application:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._playing.add(task)
        stream = Stream(reader, writer)
        try:
            if self._context is not None:
                await stream.start_tls(self._context)
            await self._play(stream)
            self.endings.put_nowait(stream.ending)
        except (OSError, TimeoutError) as error:
            self.endings.put_nowait(stream.ending or str(error))
        finally:
            stream.close()


async def answer_once(stream: Stream) -> None:
    """One request, one answer, then wait for the client's end and end too."""
    await stream.read_until(len(REQUEST))
    await stream.write(ANSWER)
    await stream.read_until()
    await stream.end()


async def answer_late(stream: Stream) -> None:
    """Answers only after the client has said all that it will say."""
    await stream.read_until()
    await stream.write(ANSWER)
    await stream.end()


async def break_off(stream: Stream) -> None:
    """A body that ends with the connection, which ends without a close_notify."""
    await stream.read_until(len(REQUEST))
    await stream.write(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
    await stream.end(announced=False)
    await stream.read_until()


@pytest.mark.parametrize("announced", [True, False])
async def test_end_of_the_client_arrives_as_it_was_sent(
    announced: bool, record: Callable[..., Recorder], certificates: Certificates
) -> None:
    async with Application(answer_late, certificates.server_context()) as application:
        recorder = await asyncio.to_thread(
            record, f"https://localhost:{application.port}", "--tls", "--upstream-ca", str(certificates.ca)
        )
        seen = []
        for port in (application.port, recorder.ports[0]):
            stream = await Stream.connect(port, certificates.client_context(recorder.authority))
            await stream.write(REQUEST)
            await stream.end(announced=announced)
            seen.append((await stream.read_until(), stream.ending, await application.endings.get()))
            stream.close()
        # OpenSSL does not write to a peer that was cut off.
        assert seen == [(ANSWER, "close_notify", "close_notify") if announced else (b"", "cut", "cut")] * 2


async def test_body_that_was_cut_off_is_cut_off_for_the_client_too(
    record: Callable[..., Recorder], certificates: Certificates
) -> None:
    async with Application(break_off, certificates.server_context()) as application:
        recorder = await asyncio.to_thread(
            record, f"https://localhost:{application.port}", "--tls", "--upstream-ca", str(certificates.ca)
        )
        for port in (application.port, recorder.ports[0]):
            stream = await Stream.connect(port, certificates.client_context(recorder.authority))
            await stream.write(REQUEST)
            assert await stream.read_until() == b"HTTP/1.1 200 OK\r\n\r\nhalf of"
            assert stream.ending == "cut"
            stream.close()


async def test_only_http_1_is_negotiated_and_the_application_hears_its_own_name(
    record: Callable[..., Recorder], certificates: Certificates
) -> None:
    context = certificates.server_context()
    async with Application(answer_once, context) as application:
        recorder = await asyncio.to_thread(
            record, f"https://localhost:{application.port}", "--tls", "--upstream-ca", str(certificates.ca)
        )
        trusting = certificates.client_context(recorder.authority)
        for name in ("localhost", "127.0.0.1", "app.test"):
            stream = await Stream.connect(recorder.ports[0], trusting, name)  # verifies the certificate for that name
            assert stream.tls is not None
            assert stream.tls.selected_alpn_protocol() == "http/1.1"
            await stream.write(REQUEST)
            assert await stream.read_until(len(ANSWER)) == ANSWER
            await stream.end()
            stream.close()
        assert application.names == ["localhost"] * 3
        await asyncio.to_thread(recorder.stop)
        assert "NOT EVERYTHING" not in recorder.output
        key = (recorder.authority.parent / "mitmproxy-ca.pem").read_bytes()
        assert stat.S_IMODE(recorder.authority.parent.stat().st_mode) == 0o700
        assert key[100:200] not in recorder.capture.read_bytes()
        assert b"PRIVATE KEY" not in recorder.capture.read_bytes()


async def test_untrusted_application_is_an_exchange_with_a_sentence_said_live(
    record: Callable[..., Recorder], certificates: Certificates, tmp_path: Path
) -> None:
    async with Application(answer_once, make_certificates(tmp_path / "strange").server_context()) as application:
        recorder = await asyncio.to_thread(
            record, f"https://localhost:{application.port}", "--upstream-ca", str(certificates.ca)
        )
        stream = await Stream.connect(recorder.ports[0])
        await stream.write(REQUEST)
        assert await stream.read_until() == b""
        stream.close()
        assert "unknown ca" in str(await application.endings.get())
        sentence = (
            f"No connection to https://localhost:{application.port}: its certificate is not trusted (unable to get "
            "local issuer certificate): name its authority with --upstream-ca FILE, or accept any certificate with "
            "--insecure."
        )
        assert await asyncio.to_thread(recorder.wait_for, sentence)
        assert await asyncio.to_thread(recorder.stop) == 0
        assert recorder.output.count(sentence) == 2, recorder.output  # live, and at the end
        with Capture.open(recorder.capture) as capture:
            (exchange,) = capture.exchanges()
            assert (exchange.outcome, exchange.target) == (Outcome.CONNECT_ERROR, "/x")
            assert "its certificate is not trusted" in (exchange.detail or "")
            assert capture.run.relay["notices"] == {sentence: 1}
            assert capture.run.losses == {}


async def test_any_application_is_accepted_with_insecure_and_said(
    record: Callable[..., Recorder], certificates: Certificates
) -> None:
    async with Application(answer_once, certificates.server_context()) as application:
        recorder = await asyncio.to_thread(record, f"https://127.0.0.1:{application.port}", "--insecure")
        assert "Any certificate of an application is accepted (--insecure)." in recorder.output
        stream = await Stream.connect(recorder.ports[0])
        await stream.write(REQUEST)
        assert await stream.read_until(len(ANSWER)) == ANSWER
        stream.close()


async def test_wrong_name_in_the_applications_certificate_is_refused(
    record: Callable[..., Recorder], certificates: Certificates
) -> None:
    async with Application(answer_once, certificates.server_context(), "127.0.0.2") as application:
        recorder = await asyncio.to_thread(
            record, f"https://127.0.0.2:{application.port}", "--upstream-ca", str(certificates.ca)
        )
        stream = await Stream.connect(recorder.ports[0])
        await stream.write(REQUEST)
        assert await stream.read_until() == b""
        stream.close()
        assert await asyncio.to_thread(recorder.wait_for, "its certificate is not trusted (IP address mismatch)")


async def test_clients_that_speak_otherwise_are_counted_and_said_once(
    record: Callable[..., Recorder], certificates: Certificates
) -> None:
    async with Application(answer_once, None) as application:
        address = f"http://localhost:{application.port}"
        plain = await asyncio.to_thread(record, address)
        secure = await asyncio.to_thread(record, address, "--tls")
        for _ in range(3):
            stream = await Stream.connect(secure.ports[0])
            await stream.write(b"GET /?token=never-said-anywhere HTTP/1.1\r\n\r\n")
            assert await stream.read_until() == b""
            stream.close()
        for _ in range(2):
            with pytest.raises(ssl.SSLCertVerificationError):
                await Stream.connect(secure.ports[0], certificates.client_context())
        unused = await Stream.connect(secure.ports[0])  # as browsers open some in advance
        unused.close()
        with pytest.raises(ssl.SSLError):
            await asyncio.wait_for(Stream.connect(plain.ports[0], certificates.client_context()), 10)
        wrong = secure.urls[0].replace("https://", "http://")
        said = {
            secure: [
                f"A client speaks plain HTTP to the recorder: open {secure.urls[0]}, not {wrong}. (3 times)",
                f"A client does not trust the recorder's certificate at {secure.urls[0]}",
                "docs/tls.md says how it will. (2 times)",
            ],
            plain: [f"A client speaks TLS to the recorder: open {plain.urls[0]}, or record with --tls."],
        }
        for recorder, sentences in said.items():
            assert await asyncio.to_thread(recorder.wait_for, sentences[0].removesuffix(" (3 times)"))
            assert await asyncio.to_thread(recorder.stop) == 0
            for sentence in sentences:
                assert sentence in recorder.output
            assert "never-said-anywhere" not in recorder.output
            with Capture.open(recorder.capture) as capture:
                assert capture.run.losses == {}
                assert sum(capture.run.relay["notices"].values()) in (1, 5)


@pytest.mark.peer("curl")
@pytest.mark.parametrize("version", ["--http2", "--http1.1", "--tls-max=1.2"])
async def test_curl_falls_back_to_http_1(
    version: str, record: Callable[..., Recorder], certificates: Certificates
) -> None:
    async with Application(answer_once, certificates.server_context()) as application:
        recorder = await asyncio.to_thread(
            record, f"https://localhost:{application.port}", "--tls", "--upstream-ca", str(certificates.ca)
        )
        words = [*version.split("="), "--silent", "--show-error", "--cacert", str(recorder.authority)]
        url = f"https://localhost:{recorder.ports[0]}/from-curl"
        ended = await asyncio.to_thread(
            subprocess.run, ["curl", *words, "-w", " %{http_version}", url], capture_output=True, text=True, timeout=30
        )
        assert (ended.stdout, ended.returncode) == ("ok 1.1", 0), ended.stderr
        await asyncio.to_thread(recorder.stop)
        with Capture.open(recorder.capture) as capture:
            (exchange,) = capture.exchanges()
            assert (exchange.target, exchange.status, exchange.http_version) == ("/from-curl", 200, "HTTP/1.1")
            assert exchange.connect_ns is not None
