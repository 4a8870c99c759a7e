"""Exchanges as another program recorded them (a browser's HAR, mitmproxy's flows): what an import is made of.

Times are nanoseconds since 1970-01-01 UTC here, since other programs have clocks of their own; bodies are decoded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from nestperf.capture.model import Outcome, Pairs

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_LINE_END = re.compile(r"[\r\n\0]")
LATEST_NS = 2**62
"""A moment beyond this (the year 2116) is none: stamps have 64 bits."""


class Content(NamedTuple):
    """A body, content coding removed."""

    content: bytes | None
    """None where only its size is known."""
    size: int
    """Decoded, bytes."""
    wire_size: int
    """As transferred, bytes."""


class Message(NamedTuple):
    """One WebSocket message, or control frame."""

    sender: str
    """`client` or `server`."""
    unix_ns: int
    opcode: str
    """`text`, `binary`, `close`, `ping`, `pong`."""
    payload: bytes


class Ending(NamedTuple):
    """Why an exchange has no whole answer."""

    outcome: Outcome
    detail: str
    """One sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignExchange:
    """One HTTP request with its answer, or with the lack of one."""

    client: str
    """Who sent it: an address, else what the file tells of its one user."""
    connection: str | None
    """Equal for exchanges of one connection; None where the file does not tell, or where they shared it at a time."""
    upstream: str
    """`scheme://host:port`."""
    method: str
    target: str
    """Path and query."""
    version: str
    request_headers: Pairs
    request_head_size: int | None = None
    """Bytes; None where the file does not tell."""
    request_trailers: Pairs = ()
    request_body: Content | None = None
    status: int | None = None
    """None where there was no answer."""
    reason: str = ""
    response_headers: Pairs = ()
    response_head_size: int | None = None
    response_trailers: Pairs = ()
    response_body: Content | None = None
    sent_unix_ns: int
    request_done_unix_ns: int
    first_byte_unix_ns: int
    done_unix_ns: int
    """Of a WebSocket the handshake's end."""
    connect_ns: int | None = None
    """Duration; None where no connection had to be opened for it."""
    ending: Ending | None = None
    switched: str = ""
    """The protocol that a 101 led to, in lower case; empty where there was none."""
    messages: tuple[Message, ...] = ()
    closed_unix_ns: int | None = None
    """The WebSocket's end, as far as it is known."""
    closing: tuple[str, int | None, str] | None = None
    """Who closed it, code and reason; None where that is not known."""


def is_one_request(exchange: ForeignExchange) -> bool:
    """Whether written out it would be this one request and this one answer: no line ends where none belong."""
    texts = [exchange.method, exchange.target, exchange.reason]
    for pairs in (exchange.request_headers, exchange.request_trailers, exchange.response_headers,
                  exchange.response_trailers):  # fmt: skip
        texts += (text for pair in pairs for text in pair)
    return _METHOD.fullmatch(exchange.method) is not None and not any(map(_LINE_END.search, texts))


@dataclass(slots=True)
class Account:
    """What became of a file's entries while they were read."""

    taken: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Sentences' ends, each with a count: `came from the browser's cache`."""
    unreadable: int = 0
    """Entries that make no sense."""
    first_unreadable: str = ""
    """Which one, and what is wrong with it."""
    with_credentials: int = 0
    """Exchanges with cookies or Authorization, in either direction."""
    without_content: int = 0
    """Bodies of which only the size is known."""


class ForeignFile(Protocol):
    """A file of another program, which can be read more than once."""

    name: str
    format: str
    """`har`, `flows`."""
    vantage: str
    all_from_browser: bool
    """A browser wrote it: it holds no calls that an application made."""

    def exchanges(self, account: Account) -> Iterator[ForeignExchange]:
        """What is in it, in its own order; `account` says what was left out.

        Raises:
            CaptureError: it is damaged, or not what it should be.
        """
        ...
