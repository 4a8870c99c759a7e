"""TLS for the tests: certificates of an authority of their own, and streams that say how they ended."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMES: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.DNSName("app.test"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)
_SIGNS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip


@dataclass(frozen=True)
class Certificates:
    """Files of an authority and of a server that it vouches for."""

    ca: Path
    server: Path
    """Key and certificate."""

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def client_context(self, *more: Path) -> ssl.SSLContext:
        """Trusts this authority, and `more`."""
        context = ssl.create_default_context(cafile=str(self.ca))
        for authority in more:
            context.load_verify_locations(str(authority))
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


def make_certificates(folder: Path) -> Certificates:
    """A new authority, and a server's certificate for the names that tests use."""
    ca_key, ca = _certificate("nestperf tests", None)
    key, server = _certificate("localhost", (ca_key, ca))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + server.public_bytes(serialization.Encoding.PEM))
    return Certificates(folder / "ca.pem", folder / "server.pem")


def _certificate(
    name: str, issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    signer, issuer_name = (key, _name(name)) if issuer is None else (issuer[0], issuer[1].subject)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is None:  # Python 3.13 looks for it
        builder = builder.add_extension(_SIGNS, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(NAMES), critical=False)
    return key, builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Stream:
    """A connection, in clear or with TLS inside, whose half-closes and endings a test can make and see."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ending: str | None = None
        """How the other side ended: `FIN` in clear, with TLS `close_notify` or `cut` (none came)."""
        self.tls: ssl.SSLObject | None = None
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None = None, name: str = "localhost") -> Stream:
        stream = cls(*await asyncio.open_connection("127.0.0.1", port))
        try:
            if context is not None:
                await stream.start_tls(context, name)
        except BaseException:
            stream.close()
            raise
        return stream

    async def start_tls(self, context: ssl.SSLContext, name: str | None = None) -> None:
        """Do the handshake; `name` of the server makes it a client's."""
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=name is None, server_hostname=name)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                await self._flush()
                raise
        await self._flush()

    async def write(self, data: bytes) -> None:
        if self.tls is None:
            self._writer.write(data)
            await self._writer.drain()
            return
        self.tls.write(data)
        await self._flush()

    async def read(self) -> bytes:
        """What comes next; empty at the end."""
        if self.tls is None:
            data = await self._reader.read(65536)
            self.ending = self.ending if data else "FIN"
            return data
        while True:
            try:
                data = self.tls.read(65536)
                self.ending = self.ending if data else "close_notify"
                return data
            except ssl.SSLWantReadError:
                await self._feed()
            except ssl.SSLZeroReturnError:
                self.ending = "close_notify"
                return b""
            except ssl.SSLEOFError:
                self.ending = "cut"
                return b""

    async def read_until(self, size: int | None = None, *, seconds: float = 20) -> bytes:
        """That many bytes, or all of them until the end."""
        got = bytearray()
        async with asyncio.timeout(seconds):
            while size is None or len(got) < size:
                data = await self.read()
                if not data:
                    break
                got += data
        return bytes(got)

    async def end(self, *, announced: bool = True) -> None:
        """Send no more, but go on reading. With TLS a close_notify says so where that is `announced`."""
        if self.tls is not None and announced:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                assert "close notify" in str(error).replace("_", " ").lower(), error  # noqa: PT017 - data on its way
            await self._flush()
            return
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    async def _feed(self) -> None:
        data = await self._reader.read(65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._writer.write(data)
            await self._writer.drain()
