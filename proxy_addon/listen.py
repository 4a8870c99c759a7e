"""Which ports the recorder listens on for which application address; parses `[LISTEN_PORT=]URL`, finds free ports."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from nestperf.capture.model import Upstream
from nestperf.errors import UsageError

LOOPBACK = ("127.0.0.1", "::1")
_FIRST_PORT = 8400
_LAST_PORT = 8999
_DEFAULT_PORTS = {"http": 80, "https": 443, "postgres": 5432, "postgresql": 5432}
_CREDENTIALS = re.compile(r"//[^/]*@")
_DATABASES = frozenset({"postgres", "postgresql"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One port of the recorder and the application address behind it."""

    url: str
    """`scheme://host:port` of the application, or of its database."""
    hosts: tuple[str, ...]
    """Addresses to listen on."""
    port: int
    tls: bool = False
    """Speaks TLS to the browser."""
    target: str = ""
    """`scheme://host:port` of what stands in for the application; empty where it does itself."""
    by_way_of: tuple[str, int] | None = None
    """What to connect to in order to reach it, where that is not its own address: something that shapes the way."""

    @property
    def authority(self) -> str:
        """`host:port` to reach it at."""
        host = "127.0.0.1" if "127.0.0.1" in self.hosts or "0.0.0.0" in self.hosts else self.hosts[0]  # noqa: S104
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def upstream(self) -> Upstream:
        """As the run's row has it."""
        return Upstream(self.url, listen=self.authority)

    @property
    def shown(self) -> str:
        """The URL to use instead of the application's."""
        if self.is_database:
            return f"postgres://{self.authority}"
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    @property
    def application_tls(self) -> bool:
        """The application speaks TLS."""
        return (self.target or self.url).startswith("https:")

    @property
    def is_database(self) -> bool:
        """Relays PostgreSQL."""
        return self.url.startswith("postgres:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`[LISTEN_PORT=]URL` as given."""

    url: str
    host: str
    port: int
    listen_port: int | None

    @property
    def tls(self) -> bool:
        """The application speaks TLS."""
        return self.url.startswith("https:")

    @property
    def is_database(self) -> bool:
        """It speaks PostgreSQL."""
        return self.url.startswith("postgres:")


def parse_upstream(text: str) -> Request:
    """`[LISTEN_PORT=]URL`.

    Raises:
        UsageError: no such scheme, host or port, or a path, which belongs into the browser.

    Of a database's URL only host and port are taken: credentials are the application's business.
    """
    head, mark, url = text.partition("=")
    listen_port = None
    if mark and head.isdigit():
        listen_port = int(head)
        if not 0 < listen_port < 65536:
            raise UsageError(f"{head} in {_CREDENTIALS.sub('//…@', text)!r} is no port: use one from 1 to 65535.")
    else:
        url = text
    parts = urlsplit(url)
    url = _CREDENTIALS.sub("//…@", url)
    if parts.scheme not in _DEFAULT_PORTS:
        shown = f"{parts.scheme}://" if "://" in url else repr(url)
        raise UsageError(f"Cannot record {shown}: give the application's address as http://HOST:PORT (or https://).")
    try:
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except ValueError as error:
        raise UsageError(f"{url!r} names no port: use one from 1 to 65535.") from error
    if not parts.hostname:
        raise UsageError(f"{url!r} names no host: give the application's address as http://HOST:PORT (or https://).")
    database = parts.scheme in _DATABASES
    if not database and (parts.path not in ("", "/") or parts.query or parts.username):
        raise UsageError(
            f"{url!r} is more than an address: give only {parts.scheme}://HOST:PORT, and open the path in the browser."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = "postgres" if database else parts.scheme
    return Request(url=f"{scheme}://{host}:{port}", host=parts.hostname, port=port, listen_port=listen_port)


def choose_listeners(
    requests: Sequence[Request], hosts: Sequence[str], speaks_tls: Sequence[bool] = ()
) -> tuple[Listener, ...]:
    """A free port for each request: the one asked for, else the upstream's own, else the next from 8400.
    `speaks_tls`: which of them speak TLS to the browser; none where it is empty.

    Raises:
        UsageError: a port asked for is in use, asked for twice, or the application's own.
    """
    taken = [request.listen_port for request in requests if request.listen_port is not None]
    for port in taken:
        if taken.count(port) > 1:
            raise UsageError(f"Port {port} is asked for twice: give each address a port of its own.")
    chosen: list[Listener] = []
    for request in requests:
        used = {listener.port for listener in chosen} | set(taken)
        chosen.append(_listener(request, hosts, used))
    if speaks_tls:
        return tuple(replace(listener, tls=tls) for listener, tls in zip(chosen, speaks_tls, strict=True))
    return tuple(chosen)


def _listener(request: Request, hosts: Sequence[str], used: set[int]) -> Listener:
    if request.listen_port is not None:
        if request.listen_port == request.port and is_loopback(request.host):
            raise UsageError(
                f"The application itself is at port {request.port}: listen elsewhere, e.g. 8400={request.url}, "
                f"or move the application and take its port over."
            )
        bound = _bindable(request.listen_port, hosts)
        if not bound:
            raise UsageError(f"Port {request.listen_port} is in use: stop what listens there, or name another port.")
        return Listener(url=request.url, hosts=bound, port=request.listen_port)
    own = () if is_loopback(request.host) else (request.port,)
    for port in (*own, *range(_FIRST_PORT, _LAST_PORT)):
        if port not in used and (bound := _bindable(port, hosts)):
            return Listener(url=request.url, hosts=bound, port=port)
    raise UsageError(f"No port from {_FIRST_PORT} to {_LAST_PORT} is free: name one, e.g. 9400={request.url}.")


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bindable(port: int, hosts: Iterable[str]) -> tuple[str, ...]:
    """The hosts on which `port` can be listened on; none where it is in use on any of them."""
    bound = []
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                probe.listen(1)
        except PermissionError as error:
            raise UsageError(f"Port {port} needs more rights than you have: name one above 1023.") from error
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and host == "::1":
                continue  # a machine without IPv6
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"{host} is no address of this machine: name another with --listen.") from error
            return ()
        bound.append(host)
    return tuple(bound)
