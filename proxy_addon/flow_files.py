"""Reads flow files that `mitmdump -w` or mitmproxy wrote: HTTP flows with their WebSocket messages.

Flows of a proxy are like a recording of our own, with mitmproxy's stamps. Nothing is asked of a flow but what both
mitmproxy 11 and 12 have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mitmproxy import flow, http
from mitmproxy.io import FlowReader

from nestperf.capture.bodies import BodyCollector
from nestperf.capture.contents import MAX_REQUEST, MAX_RESPONSE
from nestperf.capture.foreign import LATEST_NS, Account, Content, Ending, ForeignExchange, Message, is_one_request
from nestperf.capture.kinds import field
from nestperf.capture.model import Outcome, Pairs
from nestperf.errors import CaptureForeign, CaptureMissing, CaptureTruncated

_OTHER = "is no HTTP"
_TUNNEL = "only opened a tunnel (CONNECT)"
_OPCODES = {1: "text", 2: "binary"}


class FlowFile:
    """One flow file."""

    format = "flows"
    vantage = "proxy"
    all_from_browser = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def exchanges(self, account: Account) -> Iterator[ForeignExchange]:
        """What it tells, in the order in which flows ended.

        Raises:
            CaptureForeign, CaptureTruncated, CaptureMissing: it holds no flows, is damaged, or gone.
        """
        number = 0
        for number, one in enumerate(self._flows(), 1):
            if not isinstance(one, http.HTTPFlow):
                account.left_out[_OTHER] += 1
            elif one.request.method == "CONNECT":
                account.left_out[_TUNNEL] += 1
            elif not 0 < one.request.timestamp_start < LATEST_NS / 1e9 or not one.request.host:
                self._unreadable(account, number, "without stamps or a host")
            elif not is_one_request(exchange := _exchange(one)):
                self._unreadable(account, number, "with a method or a head that is none")
            else:
                account.taken += 1
                yield exchange
        if not number:
            raise CaptureForeign(f"{self.path} holds no flows: write it with `mitmdump -w FILE`.")

    def _unreadable(self, account: Account, number: int, why: str) -> None:
        account.unreadable += 1
        account.first_unreadable = account.first_unreadable or f"flow {number} of {self.name}: one {why}"

    def _flows(self) -> Iterator[flow.Flow]:
        at = 0
        try:
            with self.path.open("rb") as file:
                for one in FlowReader(file).stream():
                    at += 1
                    yield one
        except GeneratorExit:
            raise
        except OSError as error:
            raise CaptureMissing(f"Cannot read {self.path}: {error.strerror}.") from error
        except (Exception, MemoryError) as error:  # what a damaged state makes of mitmproxy's own reading
            raise CaptureTruncated(
                f"{self.path} is damaged or cut off behind flow {at:,}: write it again with `mitmdump -w FILE`."
            ) from error


def _exchange(one: http.HTTPFlow) -> ForeignExchange:
    request, response = one.request, one.response
    sent = _unix_ns(request.timestamp_start)
    request_done = max(sent, _unix_ns(request.timestamp_end or request.timestamp_start))
    first_byte = max(sent, _unix_ns(response.timestamp_start)) if response is not None else request_done
    done = max(first_byte, _unix_ns(response.timestamp_end or response.timestamp_start)) if response else request_done
    ending = _ending(one)
    if ending is not None and one.error is not None:
        done = max(done, _unix_ns(one.error.timestamp))
    headers = _pairs(request)
    if not field(headers, "host"):
        headers = (("Host", request.host_header or f"{request.host}:{request.port}"), *headers)
    host = f"[{request.host}]" if ":" in request.host else request.host
    messages = _messages(one)
    peer = one.client_conn.peername
    return ForeignExchange(
        client=str(peer[0]) if peer else "",
        connection=one.client_conn.id if request.http_version.startswith("HTTP/1") else None,
        upstream=f"{request.scheme}://{host}:{request.port}",
        method=request.method,
        target=request.path or "/",
        version=request.http_version,
        request_headers=headers,
        request_trailers=_trailers(request),
        request_body=_content(request, MAX_REQUEST),
        status=response.status_code if response is not None else None,
        reason=response.reason if response is not None else "",
        response_headers=_pairs(response) if response is not None else (),
        response_trailers=_trailers(response) if response is not None else (),
        response_body=_content(response, MAX_RESPONSE) if response is not None else None,
        sent_unix_ns=sent,
        request_done_unix_ns=request_done,
        first_byte_unix_ns=first_byte,
        done_unix_ns=done,
        connect_ns=_connect_ns(one),
        ending=ending,
        switched=_switched(one),
        messages=messages,
        closed_unix_ns=_closed(one, done, messages),
        closing=_closing(one),
    )


def _unix_ns(seconds: float) -> int:
    # A float of seconds has some 200 ns of grain by now: whole microseconds are what it can tell.
    return min(max(round(min(seconds, 1e10) * 1e6) * 1000, 0), LATEST_NS)


def _pairs(message: http.Message) -> Pairs:
    return _decoded(message.headers.fields)


def _trailers(message: http.Message) -> Pairs:
    return _decoded(message.trailers.fields) if message.trailers else ()


def _decoded(fields: tuple[tuple[bytes, bytes], ...]) -> Pairs:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def _content(message: http.Message, limit: int) -> Content | None:
    """The body, decoded within a bound."""
    raw = message.raw_content
    if raw is None:
        told = message.headers.get("content-length", "")
        size = int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0
        return Content(None, size, size) if size else None
    if not raw:
        return None
    collector = BodyCollector(message.headers.get("content-encoding", ""), limit)
    collector.add(raw)
    content = collector.content()
    return Content(content, collector.size, len(raw))


def _ending(one: http.HTTPFlow) -> Ending | None:
    if one.error is not None and one.websocket is None:
        said = one.error.msg[:200]
        if "client" in said.lower() or "killed" in said.lower():
            return Ending(Outcome.ABORTED, f"mitmproxy said: {said}")
        if one.server_conn.timestamp_tcp_setup is None:
            return Ending(Outcome.CONNECT_ERROR, f"mitmproxy said: {said}")
        return Ending(Outcome.RESET, f"mitmproxy said: {said}")
    if one.response is None:
        return Ending(Outcome.UNFINISHED, "still open when the flows were saved")
    return None


def _connect_ns(one: http.HTTPFlow) -> int | None:
    """How long the connection took that was opened for this flow; None on one that was there."""
    server = one.server_conn
    ended = server.timestamp_tls_setup or server.timestamp_tcp_setup
    if not server.timestamp_start or not ended or server.timestamp_start < one.request.timestamp_start:
        return None
    return max(0, _unix_ns(ended) - _unix_ns(server.timestamp_start))


def _switched(one: http.HTTPFlow) -> str:
    if one.response is None or one.response.status_code != 101:
        return ""
    return "websocket" if one.websocket is not None else one.request.headers.get("upgrade", "websocket").lower()


def _messages(one: http.HTTPFlow) -> tuple[Message, ...]:
    if one.websocket is None:
        return ()
    return tuple(
        Message(
            "client" if message.from_client else "server",
            _unix_ns(message.timestamp),
            _OPCODES.get(int(message.type), "binary"),
            message.content,
        )
        for message in one.websocket.messages
        if not message.dropped
    )


def _closed(one: http.HTTPFlow, done: int, messages: tuple[Message, ...]) -> int | None:
    if one.websocket is None:
        return None
    end = one.websocket.timestamp_end
    return max([done, *(message.unix_ns for message in messages[-1:]), *([_unix_ns(end)] if end else [])])


def _closing(one: http.HTTPFlow) -> tuple[str, int | None, str] | None:
    if one.websocket is None or one.websocket.closed_by_client is None:
        return None
    by = "client" if one.websocket.closed_by_client else "server"
    return by, one.websocket.close_code, one.websocket.close_reason or ""
