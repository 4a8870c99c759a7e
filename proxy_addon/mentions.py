"""Whether a page names another recorded address to which the browser then goes past the recorder.

Pure: what browsers received and reached comes in with its time, sentences come out.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from nestperf.capture.kinds import Fields
from nestperf.capture.model import Upstream

_PATIENCE_NS = 10_000_000_000
"""A page that names an address usually goes there at once."""
_MEDIA = re.compile(r"text/(?!css|event-stream)|json|javascript|ecmascript|xml", re.IGNORECASE)
_HEADERS = ("content-security-policy", "content-security-policy-report-only", "link", "location")
_SLASHES = rb"(?:\\?/|\\u002[fF]){2}"
"""As in HTML, as escaped in JSON, and as escaped in JSON that stands in a script."""
_SCHEMES = {"http": b"(?:http|ws):", "https": b"(?:https|wss):"}
_NO_SCHEME = rb"(?<=[\"'`(=\s])"
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = rb"(?:localhost|127\.0\.0\.1|\[::1\])"


class Mentions:
    """The addresses that are still waited for."""

    def __init__(self, upstreams: Sequence[Upstream], ways: Sequence[str]) -> None:
        """`ways`: for each upstream what to do so that browsers reach it through the recorder; none: say nothing."""
        self._upstreams = upstreams
        self._ways = ways
        self._sought = {
            index: _pattern(upstream.url)
            for index, upstream in enumerate(upstreams)
            if len(upstreams) > 1 and ways and urlsplit(upstream.url).scheme in _SCHEMES
        }
        """Neither reached nor named so far."""
        self._named_ns: dict[int, int] = {}
        """Named, not reached, not said."""

    def reached(self, upstream: int) -> None:
        """A browser came there through the recorder."""
        self._sought.pop(upstream, None)
        self._named_ns.pop(upstream, None)

    def seeks(self, upstream: int, answered: Fields) -> bool:
        """Whether an answer of that upstream with these fields is worth reading."""
        return any(index != upstream for index in self._sought) and (
            any(name in answered for name in _HEADERS) or _MEDIA.search(answered.get("content-type", "")) is not None
        )

    def read(self, upstream: int, answered: Fields, body: bytes, now_ns: int) -> None:
        """A browser received that answer, decoded, of an upstream."""
        text = body if _MEDIA.search(answered.get("content-type", "")) else b""
        fields = "\n".join(answered[name] for name in _HEADERS if name in answered)
        for index, pattern in tuple(self._sought.items()):
            if index != upstream and (pattern.search(fields.encode("latin-1", "replace")) or pattern.search(text)):
                del self._sought[index]
                self._named_ns[index] = now_ns

    def overdue(self, now_ns: int) -> Iterator[str]:
        """A sentence for each address that has not been reached in time, once."""
        for index, named_ns in tuple(self._named_ns.items()):
            if now_ns - named_ns >= _PATIENCE_NS:
                del self._named_ns[index]
                yield (
                    f"A page names {self._upstreams[index].url}, but no browser came there through the recorder within "
                    f"{_PATIENCE_NS // 10**9} s: what it does there is not recorded. {self._ways[index]}"
                )


def ways_there(urls: Sequence[str], flags: Sequence[str], *, browser: bool) -> list[str]:
    """For each address, given as for `record`, what leads browsers to it through the recorder.

    Args:
        urls: `[LISTEN_PORT=]URL`.
        flags: of the recording that goes on, to be given again.
        browser: there is one that `--browser` can open; else the application's port has to be taken over.
    """
    if browser:
        command = shlex.join(["nestperf", "record", "--browser", *urls, *flags])
        return [f"End this recording and run  {command}"] * len(urls)
    ways = []
    for index, url in enumerate(urls):
        address = url.partition("=")[2] or url
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme, 0)  # no browser goes to anything else
        taken = f"{port}={parts.scheme}://{parts.hostname}:{port + 100}"
        command = shlex.join(["nestperf", "record", *urls[:index], taken, *urls[index + 1 :], *flags])
        ways.append(f"End this recording, move that application to port {port + 100} and run  {command}")
    return ways


def _pattern(url: str) -> re.Pattern[bytes]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    names = _LOOPBACK if _is_loopback(host) else re.escape(parts.netloc.rpartition(":")[0].encode())
    place = rb":%d(?![0-9])" % port if port is not None else rb""
    if port == _PORTS[parts.scheme]:
        place = rb"(?::%d(?![0-9])|(?![\w.:-]))" % port
    return re.compile(rb"(?:%b|%b)%b%b%b" % (_SCHEMES[parts.scheme], _NO_SCHEME, _SLASHES, names, place), re.IGNORECASE)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
