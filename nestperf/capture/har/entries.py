"""One HAR entry as an exchange: Chrome's and Playwright's, Firefox's, and what the specification allows.

Pure. What was never sent over the network (the browser's cache, `data:` URLs) is left out with a reason.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from nestperf.capture.foreign import Ending, ForeignExchange, Message
from nestperf.capture.har.bodies import request_body_of, response_body_of
from nestperf.capture.har.fields import (
    Object,
    Unreadable,
    bytes_of,
    count_of,
    duration_of,
    moment_of,
    object_of,
    objects,
    pairs_of,
    parse_moment,
    text_of,
)
from nestperf.capture.model import Outcome, Pairs
from nestperf.wire.websocket import OPCODES

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[\w.:%~-]{1,255}")
CACHED = "came from the browser's cache"
NO_HTTP = "is no HTTP (data:, blob:, extensions)"
BLOCKED = "was blocked before it was sent"
_ENDINGS = (
    (("BLOCKED", "CACHE_MISS", "INTERNET_DISCONNECTED"), None),
    (("REFUSED", "NAME_NOT_RESOLVED", "UNREACHABLE", "ADDRESS", "SSL", "CERT", "CONNECTION_FAILED"),
     Outcome.CONNECT_ERROR),
    (("TIMED_OUT", "TIMEOUT"), Outcome.TIMEOUT),
    (("RESET", "EMPTY_RESPONSE", "CLOSED", "INCOMPLETE", "CONTENT_LENGTH", "NET_INTERRUPT"), Outcome.RESET),
)  # fmt: skip
"""Words in a browser's name of what went wrong (net::ERR_..., NS_ERROR_...), and the outcome; else it gave up."""


_CUT = frozenset(
    {Outcome.TIMEOUT, Outcome.CONNECT_ERROR, Outcome.RESET, Outcome.ABORTED, Outcome.UNFINISHED, Outcome.DROPPED}
)
"""What `nestperf export` says of exchanges without a whole answer."""


class LeftOut(Exception):
    """An entry that is no exchange with an application, and why."""


def exchange_of(entry: Object, client: str) -> ForeignExchange:
    """What an entry tells.

    Raises:
        LeftOut: it is none of the network's.
        Unreadable: it makes no sense.
    """
    request, response = object_of(entry, "request"), object_of(entry, "response")
    upstream, authority, target = _address(text_of(request, "url"))
    if entry.get("_fromCache") or response.get("_fetchedViaServiceWorker") or response.get("_fromDiskCache"):
        raise LeftOut(CACHED)
    body, told_again = request_body_of(request)
    headers = _once(pairs_of(request), told_again)
    if not any(name.lower() == "host" for name, _ in headers):
        headers = (("Host", authority), *headers)
    status = count_of(response, "status") or None
    if status is not None and not 100 <= status <= 999:
        raise Unreadable("a status that is none")
    messages = _messages(entry)
    switched = _switched(entry, status, headers, is_socket=bool(messages) or text_of(request, "url")[:2] == "ws")
    sent, request_done, first_byte, done, connect = _times(entry)
    closed, closing = None, object_of(entry, "_closing")
    if switched:
        # Programs differ in whether the entry's time is the handshake's or the connection's.
        closed = moment_of(closing, "time") or max([done, *(message.unix_ns for message in messages[-1:])])
        done = min([done, *(message.unix_ns for message in messages[:1])])
        first_byte, request_done = min(first_byte, done), min(request_done, done)
    return ForeignExchange(
        client=text_of(entry, "_user") or text_of(entry, "_clientAddress") or client,
        connection=text_of(entry, "connection") or None,
        upstream=upstream,
        method=text_of(request, "method") or "GET",
        target=target,
        version=_version(text_of(request, "httpVersion")),
        request_headers=headers,
        request_head_size=count_of(request, "headersSize") or None,
        request_body=body,
        status=status,
        reason=text_of(response, "statusText").replace("\r", " ").replace("\n", " "),
        response_headers=pairs_of(response),
        response_head_size=count_of(response, "headersSize") or None,
        response_body=None if switched else response_body_of(response),
        sent_unix_ns=sent,
        request_done_unix_ns=max(request_done, sent),
        first_byte_unix_ns=max(first_byte, sent),
        done_unix_ns=max(done, sent),
        connect_ns=connect,
        ending=_ending(entry, response, status),
        switched=switched,
        messages=messages if switched else (),
        closed_unix_ns=closed,
        closing=_closing(closing) if switched else None,
    )


def _once(headers: Pairs, told_again: frozenset[str]) -> Pairs:
    """Without the second of those fields that the body's text repeated: Firefox appends them to the head."""
    if not told_again:
        return headers
    seen: set[str] = set()
    kept = []
    for name, value in headers:
        lower = name.lower()
        if lower not in told_again or lower not in seen:
            kept.append((name, value))
        seen.add(lower)
    return tuple(kept)


def _address(url: str) -> tuple[str, str, str]:
    """Upstream, authority and target of a URL."""
    try:
        parts = urlsplit(url)
        scheme, host, port = _SCHEMES.get(parts.scheme.lower()), parts.hostname, parts.port
    except ValueError:
        raise Unreadable("a URL that is none") from None
    if scheme is None:
        if parts.scheme:
            raise LeftOut(NO_HTTP)
        raise Unreadable("no URL")
    if not host or not _HOST.fullmatch(host):
        raise Unreadable("a URL without a host")
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port in (None, _PORTS[scheme]) else f"{bracketed}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return (
        f"{scheme}://{bracketed}:{port or _PORTS[scheme]}",
        authority,
        quote(target, safe="%/?#[]@!$&'()*+,;=:|{}^`\"<>\\"),
    )


def _version(told: str) -> str:
    """`HTTP/1.1`, `HTTP/2`, ...: browsers also say `h2`, `http/2.0`, `h3`."""
    lower = told.lower()
    if lower in ("h2", "h3"):
        return f"HTTP/{lower[1]}"
    return lower.upper() if lower.startswith("http/") and len(lower) <= 8 else "HTTP/1.1"


def _times(entry: Object) -> tuple[int, int, int, int, int | None]:
    """Moments: sent, request done, first byte, done; and how long connecting took.

    Waiting in the browser's queue, for a name and for a connection comes before anything is sent.
    """
    start = parse_moment(text_of(entry, "startedDateTime"))
    timings = object_of(entry, "timings")
    blocked, dns, connect, send, wait, receive = (
        duration_of(timings, name) for name in ("blocked", "dns", "connect", "send", "wait", "receive")
    )
    ssl, total = duration_of(timings, "ssl"), duration_of(entry, "time")
    if ssl and total is not None and total >= sum(filter(None, (blocked, dns, connect, ssl, send, wait, receive))):
        # In the specification `connect` contains `ssl`; Firefox tells the two apart, and adds them up.
        connect = (connect or 0) + ssl
    sent = start + (blocked or 0) + (dns or 0) + (connect or 0)
    if wait is None and receive is None:
        done = max(sent, start + (duration_of(entry, "time") or 0))
        return sent, sent, done, done, connect or None
    request_done = sent + (send or 0)
    first_byte = request_done + (wait or 0)
    return sent, request_done, first_byte, first_byte + (receive or 0), connect or None


def _switched(entry: Object, status: int | None, headers: Pairs, *, is_socket: bool) -> str:
    if status != 101:
        return ""
    asked = next((value.lower() for name, value in headers if name.lower() == "upgrade"), "")
    return "websocket" if is_socket or text_of(entry, "_resourceType") == "websocket" else asked or "websocket"


def _messages(entry: Object) -> tuple[Message, ...]:
    """Chrome's, Playwright's and Firefox's form; in order of time, which for equal stamps is the file's."""
    found = []
    for one in objects(entry, "_webSocketMessages"):
        code, stamp = one.get("opcode", 1), moment_of(one, "time")
        opcode = OPCODES.get(code) if isinstance(code, int) else None
        if opcode is None or opcode == "continuation" or stamp is None:
            continue  # Chrome's -1: an error of the connection
        payload = bytes_of(text_of(one, "data"), "base64" if opcode == "binary" else text_of(one, "_encoding"))
        sender = "client" if text_of(one, "type") in ("send", "request", "sent") else "server"
        found.append(Message(sender, stamp, opcode, payload or b""))
    return tuple(sorted(found, key=lambda message: message.unix_ns))


def _closing(told: Object) -> tuple[str, int | None, str] | None:
    by = text_of(told, "by")
    return (by, count_of(told, "code"), text_of(told, "reason")) if by in ("client", "server", "cut") else None


def _ending(entry: Object, response: Object, status: int | None) -> Ending | None:
    """Why there is no whole answer; None where there is one."""
    own = text_of(entry, "_outcome")
    if own in _CUT:
        return Ending(Outcome(own), text_of(response, "_error") or own)
    if status is not None:
        return None
    told = next((text for holder in (response, entry) for name in ("_error", "_failureText")
                 if (text := text_of(holder, name))), "")  # fmt: skip
    upper = told.upper()
    for words, outcome in _ENDINGS:
        if any(word in upper for word in words):
            if outcome is None:
                raise LeftOut(BLOCKED)
            return Ending(outcome, f"the browser had no answer: {told[:200]}")
    return Ending(Outcome.ABORTED, f"the browser gave up: {told[:200]}" if told else "the browser tells of no answer")
