"""https targets: whom the replay trusts, which name it asks for, and the certificate it shows."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nestperf.capture.model import Outcome
from nestperf.errors import UsageError
from replay.transport.dial import resolve_target
from replay.transport.tls import Trust
from tests.replay.conftest import Recording, Replays
from tests.replay.transport.test_http import Client, body_of, get, post

BODY = b"x" * 300_000


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.path = folder / "ca.pem"
        made = self._certificate(self._name, self._key, None)
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, *names: x509.GeneralName) -> tuple[Path, Path]:
        """Certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        made = self._certificate(subject, key, x509.SubjectAlternativeName(names) if names else None)
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, secret

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, names: x509.SubjectAlternativeName | None
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=subject == self._name, path_length=None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


Serve = Callable[[ssl.SSLContext], Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A server on 127.0.0.1 that answers three times on one connection; its port."""
    servers: list[asyncio.Server] = []

    async def start(context: ssl.SSLContext) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                for _ in range(3):
                    head = await reader.readuntil(b"\r\n\r\n")
                    if b"POST" in head:
                        await reader.readexactly(len(BODY))
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))
                    await writer.drain()
            except (OSError, asyncio.IncompleteReadError):
                # Refused by the client, or it has gone.
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_authority_of_ones_own_is_trusted_and_the_name_is_asked_for(authority: Authority, serve: Serve) -> None:
    asked: list[str | None] = []
    context = server_context(authority.sign("localhost", x509.DNSName("localhost")))
    context.sni_callback = lambda _, name, __: asked.append(name)
    port = await serve(context)
    user = Client(f"https://localhost:{port}", trust=Trust(ca=authority.path))
    answers = [await user.send(get()), await user.send(post(BODY)), await user.send(get())]
    user.connections.close()
    assert [answer.failure for answer in answers] == [None] * 3
    assert [body_of(answer) for answer in answers] == [BODY] * 3
    assert {answer.connection for answer in answers} == {1}
    assert asked == ["localhost"]
    assert answers[0].connect_ns is not None
    assert answers[1].connect_ns is None


@pytest.mark.parametrize("known", [True, False], ids=["another name", "unknown authority"])
async def test_certificate_that_does_not_fit_is_a_connect_error(
    authority: Authority, serve: Serve, known: bool
) -> None:
    name = "elsewhere.test" if known else "localhost"
    port = await serve(server_context(authority.sign(name, x509.DNSName(name))))
    answer = await Client(f"https://localhost:{port}", trust=Trust(ca=authority.path if known else None)).send(get())
    assert answer.failure is Outcome.CONNECT_ERROR
    assert "certificate that is not trusted" in (answer.detail or "")
    assert answer.sent_ns is None
    accepted = Client(f"https://localhost:{port}", trust=Trust(insecure=True))
    assert (await accepted.send(get())).failure is None
    accepted.connections.close()


async def test_address_in_the_certificate_is_accepted(authority: Authority, serve: Serve) -> None:
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    port = await serve(server_context(authority.sign("address", address)))
    user = Client(f"https://127.0.0.1:{port}", trust=Trust(ca=authority.path))
    assert (await user.send(get())).failure is None
    user.connections.close()


async def test_client_certificate_is_shown_to_a_server_that_wants_one(authority: Authority, serve: Serve) -> None:
    context = server_context(authority.sign("localhost", x509.DNSName("localhost")))
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    port = await serve(context)
    certificate, key = authority.sign("tester")
    with_one = Client(f"https://localhost:{port}", trust=Trust(ca=authority.path, certificate=certificate, key=key))
    assert (await with_one.send(get())).status == 200
    with_one.connections.close()
    without = await Client(f"https://localhost:{port}", trust=Trust(ca=authority.path)).send(get())
    # With TLS 1.3 a server says only after the handshake that it wanted a certificate.
    assert without.failure in (Outcome.RESET, Outcome.CONNECT_ERROR)


async def test_tls_with_a_server_that_speaks_none_is_a_connect_error() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await Client(f"https://127.0.0.1:{port}", trust=Trust(insecure=True)).send(get())
    server.close()
    assert answer.failure is Outcome.CONNECT_ERROR
    assert f"TLS with 127.0.0.1:{port} failed" in (answer.detail or "")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ca": "missing.pem"}, "holds no certificates"),
        ({"ca": "empty.pem"}, "holds no certificates"),
        ({"certificate": "missing.pem"}, "is no client certificate"),
        ({"certificate": "empty.pem"}, "is no client certificate"),
        ({"key": "empty.pem"}, "is a key without a certificate"),
    ],
)
def test_file_that_cannot_be_used_is_said_before_anything_is_sent(
    tmp_path: Path, options: dict[str, str], sentence: str
) -> None:
    (tmp_path / "empty.pem").touch()
    paths = {name: tmp_path / file for name, file in options.items()}
    with pytest.raises(UsageError, match=sentence):
        resolve_target("https://127.0.0.1:1", Trust(**paths))  # type: ignore[arg-type]


async def test_command_takes_the_files(
    authority: Authority, serve: Serve, recordings: Callable[..., Recording], replay: Replays
) -> None:
    context = server_context(authority.sign("localhost", x509.DNSName("localhost")))
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    recording = recordings(f"https://localhost:{await serve(context)}")
    recording.exchange("GET", "/a", 0, 1)
    certificate, key = authority.sign("tester")
    trusted = ("--ca", str(authority.path), "--client-cert", str(certificate), "--client-key", str(key))
    (exchange,) = (await replay(recording.finish(), *trusted)).exchanges
    assert (exchange.outcome, exchange.status) == (Outcome.OK, 200)
