"""What is sent and what became of it: one request as bytes, one answer with its stamps. No sockets here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nestperf.capture.bodies import BodyCollector
from nestperf.capture.kinds import field
from nestperf.capture.model import Outcome, Pairs
from replay.transport.response import Head

if TYPE_CHECKING:
    from replay.transport.connection import Connection

SLICE = 64 * 1024
"""Bytes of a body handed over at once, and the size of the chunks a chunked one is sent in."""
KEPT = 4 * 2**20
"""Bytes of an answer's body, as they came, that are kept until it is over."""
_ODD = frozenset({"HEAD", "CONNECT"})


class Request:
    """One request as bytes, made once and sent as often as wanted."""

    __slots__ = ("body", "chunked", "expects_continue", "head", "is_odd", "method", "trailers", "whole")

    def __init__(
        self,
        *,
        method: str,
        head: bytes,
        body: bytes = b"",
        chunked: bool = False,
        trailers: bytes = b"",
        expects_continue: bool = False,
    ) -> None:
        """`head`: request line, fields and the blank line. `body`: content-coded, without chunk framing. `trailers`:
        field lines, each with its line end."""
        self.method = method
        self.head = head
        self.body = body
        self.chunked = chunked
        self.is_odd = method in _ODD
        """Its answer does not end where the head says."""
        self.trailers = trailers
        self.expects_continue = expects_continue and bool(body or chunked)
        self.whole: bytes | None = None
        """All of it, where it goes out in one piece; None where it takes several."""
        if len(body) <= SLICE and not self.expects_continue:
            self.whole = head + (chunk(body) + self.last_chunk() if chunked else body)

    def last_chunk(self) -> bytes:
        """What ends a chunked body."""
        return b"0\r\n" + self.trailers + b"\r\n"


class EarlyAnswer(NamedTuple):
    """A 1xx answer."""

    status: int
    headers: Pairs
    stamp_ns: int


class Answer:
    """What became of one request. Stamps are the run's; None: it did not happen.

    Made for every request of a run: what most of them never need costs nothing, because its default stands in the
    class.
    """

    patient = False
    """Once it has begun, it may be silent for as long as it likes: a stream."""
    hangs = False
    """It may be silent before it begins as well: the server answers when it has something to say."""
    keep = KEPT
    """Bytes of its body that are kept at most."""
    connection: int | None = None
    """Number of the connection it used, counted from 1 in this run."""
    progress_ns = 0
    """When something last happened."""
    sent_ns: int | None = None
    request_done_ns: int | None = None
    first_byte_ns: int | None = None
    done_ns: int | None = None
    """It is over, well or badly."""
    head: Head | None = None
    """Of the final answer."""
    body: Sequence[bytes] = ()
    """Pieces, still content-coded, without chunk framing."""
    trailers: Pairs = ()
    interim: tuple[EarlyAnswer, ...] = ()
    plain = False
    """One final head and a whole body, nothing before and nothing after: what most answers are."""
    whole = False
    request_bytes = 0
    response_bytes = 0
    failure: Outcome | None = None
    detail: str | None = None
    carrier: Connection | None = None
    _kept = 0

    def __init__(
        self,
        request: Request,
        upstream: int,
        wanted: int | None,
        on_done: Callable[[Answer], None],
        tag: Any = None,
    ) -> None:
        """`wanted`: the recorded connection it would like to share. `on_done`: called once, when it is over. `tag`:
        whatever the asker wants to find again then."""
        self.request = request
        self.upstream = upstream
        self.wanted = wanted
        self.tag = tag
        self.on_done = on_done
        # Read for each of them: a default in the class takes longer to find.
        self.connect_ns: int | None = None
        self.queued_ns = 0
        """How long it waited for a connection to be free."""

    @property
    def status(self) -> int | None:
        """The final answer's; None where none came."""
        return None if self.head is None else self.head.status

    @property
    def reason(self) -> str:
        """As sent, or empty."""
        return "" if self.head is None else self.head.reason

    @property
    def headers(self) -> Pairs:
        """The final answer's."""
        return () if self.head is None else self.head.headers

    @property
    def version(self) -> str:
        """As sent, or empty."""
        return "" if self.head is None else self.head.version

    @property
    def over(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.done_ns is not None

    def take(self, piece: bytes) -> None:
        """The next piece of its body."""
        room = self.keep - self._kept
        self._kept += len(piece)
        if room > 0:
            if not isinstance(self.body, list):
                self.body = [*self.body]
            self.body.append(piece if len(piece) <= room else piece[:room])

    @property
    def body_complete(self) -> bool:
        """Whether all of the body that came was kept."""
        return self._kept <= self.keep

    def finish(self, stamp_ns: int, failure: Outcome | None = None, detail: str | None = None) -> None:
        """It is over; tell whoever waits for it, once."""
        if self.done_ns is not None:
            return
        self.done_ns = stamp_ns
        self.failure = failure
        self.detail = detail
        self.on_done(self)


def decoded(answer: Answer, limit: int) -> bytes:
    """The answer's body, content coding removed, `limit` bytes of it at most."""
    coding = field(answer.headers, "content-encoding")
    if not coding:
        return answer.body[0] if len(answer.body) == 1 else b"".join(answer.body)
    collector = BodyCollector(coding, limit)
    for piece in answer.body:
        collector.add(piece)
    return collector.content()


def chunk(data: bytes) -> bytes:
    """One chunk; nothing for nothing, because an empty chunk ends a body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def head_bytes(method: str, target: str, version: str, headers: Pairs) -> bytes:
    """Request line and fields as bytes, the blank line included."""
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def head_pairs(head: bytes) -> Pairs:
    """The fields that `head_bytes` wrote."""
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return tuple((name, value) for name, _, value in (line.partition(": ") for line in lines))


def trailer_bytes(trailers: Pairs) -> bytes:
    """Trailer fields as bytes."""
    return "".join(f"{name}: {value}\r\n" for name, value in trailers).encode("latin-1", "replace")
