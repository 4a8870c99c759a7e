"""What a test suite finds in its environment: the recorder's addresses, and database URLs that lead to the recorder.

Of a database's URL only host and port are replaced; what else stands in it is nobody's business and is never shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from proxy_addon.listen import Listener, is_loopback

URL = "NESTPERF_URL"
"""The first application's address; `NESTPERF_URL_1`, `NESTPERF_URL_2`, ... are all of them, as they were given."""
DATABASE_URL = "NESTPERF_DATABASE_URL"
"""`postgres://HOST:PORT` of the first recorded database, without credentials; numbered as `URL` is."""
CAPTURE = "NESTPERF_CAPTURE"
"""The capture, as `nestperf mark` wants it."""
OF_SUITES = ("DATABASE_URL", "TEST_DATABASE_URL")
"""Where suites look for their database."""
_POSTGRES_PORT = 5432


class ForSuite(NamedTuple):
    """What is set, and what to say of it."""

    variables: dict[str, str]
    remarks: tuple[str, ...]


def environment_for(listeners: Sequence[Listener], capture: str, present: Mapping[str, str]) -> ForSuite:
    """The variables for a suite whose environment is `present` so far."""
    applications = [listener.shown for listener in listeners if not listener.is_database]
    databases = [listener for listener in listeners if listener.is_database]
    variables = {CAPTURE: capture, **dict(_numbered(URL, applications))}
    variables |= _numbered(DATABASE_URL, [listener.shown for listener in databases])
    remarks = []
    if databases:
        for name in OF_SUITES:
            if name in present:
                led = _led(present[name], databases)
                if led is None:
                    remarks.append(f"{name} leads to no recorded database and stays as it is.")
                else:
                    variables[name] = led
        if not any(name in present for name in OF_SUITES):
            remarks.append(
                f"Neither {' nor '.join(OF_SUITES)} is set, so nothing was replaced: {DATABASE_URL} says where the "
                "recorder is."
            )
    return ForSuite(variables, tuple(remarks))


def _numbered(name: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    if values:
        yield name, values[0]
    for number, value in enumerate(values, 1):
        yield f"{name}_{number}", value


def _led(url: str, databases: Sequence[Listener]) -> str | None:
    """`url` with the recorder's host and port, where it is that of one of the databases; None where it is not."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _POSTGRES_PORT
    except ValueError:
        return None
    if not parts.scheme.startswith("postgres") or not host:
        return None
    for database in databases:
        recorded = urlsplit(database.url)
        if port == recorded.port and _same_host(host, recorded.hostname or ""):
            credentials, at, _ = parts.netloc.rpartition("@")
            begin = url.index(parts.netloc)
            return f"{url[:begin]}{credentials}{at}{database.authority}{url[begin + len(parts.netloc) :]}"
    return None


def _same_host(one: str, other: str) -> bool:
    return one.lower() == other.lower() or (is_loopback(one) and is_loopback(other))
