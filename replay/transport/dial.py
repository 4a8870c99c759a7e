"""Opens the replay's connections: resolves a target once, connects from a virtual user's own address, stamps nothing.

Never retries: where a name has several addresses they are tried in order, and the one that answered first is kept for
the whole run.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from nestperf.errors import UsageError
from replay.transport.tls import Trust, client_context

_IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: choose the port when connecting, so that one address can be bound by more than 28,000 sockets."""
_CONNECTED = (0, errno.EISCONN)
_CONNECTING = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True, kw_only=True)
class Target:
    """Where an upstream's requests really go."""

    url: str
    """`scheme://host:port`."""
    host: str
    port: int
    tls: ssl.SSLContext | None
    addresses: tuple[str, ...]
    """IP addresses in the order to try them."""

    @property
    def is_loopback(self) -> bool:
        """Whether it stays on this machine."""
        return all(ipaddress.ip_address(address).is_loopback for address in self.addresses)

    def prefer(self, address: str) -> None:
        """From now on try this address first."""
        if self.addresses[0] != address:
            self.addresses = (address, *(other for other in self.addresses if other != address))


def resolve_target(url: str, trust: Trust | None = None) -> Target:
    """The target that a URL names.

    Raises:
        UsageError: it is no `http(s)://host:port`, the name does not exist, or what `trust` names cannot be used.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise UsageError(f"{url} is no target: write one like http://127.0.0.1:4000.") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise UsageError(f"{url} is no target: write one like http://127.0.0.1:4000.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"The target {url} has a path: leave it out, paths come from the capture.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Target(
        url=f"{parts.scheme}://{host}:{port}",
        host=parts.hostname,
        port=port,
        tls=client_context(trust or Trust()) if parts.scheme == "https" else None,
        addresses=_addresses(parts.hostname, port),
    )


def resolve_place(url: str, host: str, port: int, option: str) -> Target:
    """A target that speaks no TLS of its own; `option` named it.

    Raises:
        UsageError: the name does not exist.
    """
    return Target(url=url, host=host, port=port, tls=None, addresses=_addresses(host, port, option))


def _addresses(host: str, port: int, option: str = "--target") -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "no host name"
        raise UsageError(f"The target host {host} is unknown ({reason}): check it, or use {option}.") from None
    # IPv4 first: only there does every virtual user get a loopback address of its own.
    ordered = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in ordered))


def can_bind(address: str) -> bool:
    """Whether sockets can be bound to that address (Linux: every 127.x.y.z; elsewhere only 127.0.0.1)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


async def dial(target: Target, source: str | None, protocol: Callable[[], asyncio.Protocol]) -> socket.socket:
    """Connect a new protocol to the target, from `source` where that is given and the target is on IPv4 loopback.

    The socket is the transport's; what is sent on it directly must wait until the transport has nothing to send.

    Raises:
        OSError: no address accepted (ssl.SSLError: TLS failed, or the certificate is not trusted).
    """
    loop = asyncio.get_running_loop()
    refusal: OSError | None = None
    for address in target.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source is not None and address.startswith("127."):
                _bind(sock, source)
            await _connect(loop, sock, (address, target.port))
            hostname = target.host if target.tls is not None else None
            await loop.create_connection(protocol, sock=sock, ssl=target.tls, server_hostname=hostname)
        except OSError as error:
            sock.close()
            refusal = refusal or error
            if isinstance(error, ssl.SSLError):
                raise
        except BaseException:
            sock.close()
            raise
        else:
            target.prefer(address)
            return sock
    assert refusal is not None
    raise refusal


class Dial:
    """One connection on its way: exactly one of the two callbacks, or none after `cancel`."""

    __slots__ = ("_on_failure", "_on_open", "_protocol", "_source", "_target", "_task")

    def __init__(
        self,
        target: Target,
        source: str | None,
        protocol: asyncio.Protocol,
        *,
        on_open: Callable[[socket.socket], None],
        on_failure: Callable[[OSError], None],
    ) -> None:
        self._target = target
        self._source = source
        self._protocol = protocol
        self._on_open = on_open
        self._on_failure = on_failure
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """Give up."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            sock = await dial(self._target, self._source, lambda: self._protocol)
        except OSError as error:
            self._on_failure(error)
        else:
            self._on_open(sock)


async def _connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, place: tuple[str, int]) -> None:
    code = sock.connect_ex(place)
    if code == errno.EINPROGRESS:
        # On loopback the handshake is over by now, which only a second call says.
        code = sock.connect_ex(place)
    if code in _CONNECTING:
        await loop.sock_connect(sock, place)
    elif code not in _CONNECTED:
        raise OSError(code, os.strerror(code))


def _bind(sock: socket.socket, source: str) -> None:
    with contextlib.suppress(OSError):  # another system than Linux: the port is chosen now, which works as well
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


def describe_refusal(target: Target, error: BaseException) -> str:
    """Why a connection did not come about: the sentence of an exchange's row."""
    where = target.url.partition("://")[2]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{where} shows a certificate that is not trusted ({error.verify_message}); --insecure accepts it"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {where} failed: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return f"{where} did not accept a connection in time"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refused the connection"
    code = getattr(error, "errno", None)
    if code in (errno.EMFILE, errno.ENFILE):
        return "this machine has no file descriptors left: raise `ulimit -n` or use fewer users"
    if code == errno.EADDRNOTAVAIL:
        return f"no free address or port here to reach {where} from"
    return f"no connection to {where}: {getattr(error, 'strerror', None) or error}"
