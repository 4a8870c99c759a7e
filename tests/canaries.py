"""Secrets of every kind, each recognisable, as bytes on the wire; and where to look for them."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import brotli

from nestperf.wire.websocket import encode_frame

MASK = b"\x01\x02\x03\x04"


def canary(name: str) -> str:
    return f"canary-{name}-7f3a9c51"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def jwt(name: str) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'sub': canary(name)})}.{'s' * 30}{name}"


def ask(method: str = "GET", target: str = "/x", head: str = "", body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{head}{length}\r\n".encode() + body


def tell(body: bytes = b"", head: str = "", media: str = "application/json") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


def member(name: str, key: str) -> bytes:
    return json.dumps({"before": 1, key: canary(name), "after": [True]}).encode()


FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
JSON = "Content-Type: application/json\r\n"
OK = tell(b"{}")

EXCHANGES: dict[str, tuple[bytes, bytes]] = {
    "bearer": (ask(head=f"Authorization: Bearer {canary('bearer')}\r\n"), OK),
    "scheme": (ask(head=f"Authorization: MediaBrowser Token={canary('scheme')}\r\n"), OK),
    "proxy": (ask(head=f"Proxy-Authorization: Bearer {canary('proxy')}\r\n"), OK),
    "basic": (ask(head=f"Authorization: Basic {in_base64('kim:' + canary('basic'))}\r\n"), OK),
    "cookie": (ask(head=f"Cookie: theme=dark; session={canary('cookie')}\r\n"), OK),
    "quoted": (ask(head=f'Cookie: s="{canary("quoted")}"\r\n'), OK),
    "setcookie": (ask(), tell(b"{}", f"Set-Cookie: s={canary('setcookie')}; Path=/; HttpOnly\r\n")),
    "plex": (ask(head=f"X-Plex-Token: {canary('plex')}\r\n"), OK),
    "csrfhead": (ask(head=f"x-csrf-token: {canary('csrfhead')}\r\n"), OK),
    "apikeyhead": (ask(head=f"X-Api-Key: {canary('apikeyhead')}\r\n"), OK),
    "query": (ask(target=f"/x?X-Plex-Token={canary('query')}&y=1"), OK),
    "referer": (ask(head=f"Referer: http://a/x?access_token={canary('referer')}\r\n"), OK),
    "location": (ask(), tell(b"{}", f"Location: /next?token={canary('location')}\r\n")),
    "password": (ask("POST", head=JSON, body=member("password", "password")), OK),
    "apikey": (ask("POST", head=JSON, body=member("apikey", "apiKey")), OK),
    "refresh": (ask(), tell(member("refresh", "refreshToken"))),
    "nested": (ask(), tell(b'{"user":{"plex":' + member("nested", "client_secret") + b"}}")),
    "escaped": (ask(), tell(json.dumps({"token": f'"ü{canary("escaped")}'}).encode())),
    "form": (ask("POST", head=FORM, body=f"user=kim&password={canary('form')}".encode()), OK),
    "formencoded": (ask("POST", head=FORM, body=f"token={quote('ü/' + canary('formencoded'), safe='')}".encode()), OK),
    "hidden": (ask(), tell(f'<input name="csrf_token" value="{canary("hidden")}">'.encode(), media="text/html")),
    "gzip": (ask(), tell(gzip.compress(member("gzip", "token")), "Content-Encoding: gzip\r\n")),
    "br": (ask(), tell(brotli.compress(member("br", "token")), "Content-Encoding: br\r\n")),
    "chunks": (
        ask(),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked(member("chunks", "token"), 5),
    ),
    "upload": (
        ask("POST", head=JSON + "Transfer-Encoding: chunked\r\n") + chunked(member("upload", "password"), 3),
        OK,
    ),
    "jwttext": (ask(), tell(f"see {jwt('jwttext')} there".encode(), media="text/plain")),
    "jwthead": (ask(head=f"X-Note: {jwt('jwthead')}\r\n"), OK),
    "jwtagent": (ask(head=f"User-Agent: agent {jwt('jwtagent')}\r\n"), OK),
    "trailer": (
        ask(),
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Auth-Token: {canary('trailer')}\r\n\r\n".encode(),
    ),
    "interim": (
        ask(),
        b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: s=" + canary("interim").encode() + b"\r\n\r\n" + OK,
    ),
}  # fmt: skip
BOUNDARY = "Content-Type: multipart/form-data; boundary=b\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"


def part(name: str, value: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def multipart(*parts: tuple[str, str]) -> bytes:
    return ("".join(part(*one) for one in parts) + "--b--\r\n").encode()


def deflated(content: bytes) -> bytes:
    return zlib.compress(content)


def refused(body: bytes) -> bytes:
    return UNAUTHORIZED + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked_answer(body: bytes, size: int, head: str = "") -> bytes:
    start = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}Transfer-Encoding: chunked\r\n\r\n"
    return start.encode() + chunked(body, size)


JSON_COOKIE = quote(json.dumps({"user": "kim", "token": canary("cookiejson")}), safe="")
EVENTS = f'event: login\ndata: {{"token":"{canary("sse")}"}}\n\n'.encode()
LINES = f'{{"n":1}}\n{{"password":"{canary("ndjson")}"}}\n'.encode()
WITHIN = json.dumps({"message": json.dumps({"apiKey": canary("within")})}).encode()
EXCHANGES |= {
    "multipart": (ask("POST", head=BOUNDARY, body=multipart(("user", "kim"), ("password", canary("multipart")))), OK),
    "deflate": (ask(), tell(deflated(member("deflate", "token")), "Content-Encoding: deflate\r\n")),
    "gzipchunks": (
        ask(),
        chunked_answer(gzip.compress(member("gzipchunks", "secret")), 7, "Content-Encoding: gzip\r\n"),
    ),
    "brchunks": (ask(), chunked_answer(brotli.compress(member("brchunks", "token")), 7, "Content-Encoding: br\r\n")),
    "array": (ask(), tell(json.dumps({"backupTokens": ["x", canary("array")]}).encode())),
    "object": (ask(), tell(json.dumps({"credentials": {"user": "kim", "key": canary("object")}}).encode())),
    "within": (ask(), tell(WITHIN)),
    "meta": (ask(), tell(f'<meta name="csrf-token" content="{canary("meta")}">'.encode(), media="text/html")),
    "link": (ask(), tell(f'<a href="/x?a=1&amp;token={canary("link")}">'.encode(), media="text/html")),
    "xml": (ask(), tell(f'<user authToken="{canary("xml")}"/>'.encode(), media="application/xml")),
    "element": (ask(), tell(f"<u><password>{canary('element')}</password></u>".encode(), media="text/xml")),
    "fragment": (ask(), tell(b"{}", f"Location: /cb#access_token={canary('fragment')}&x=1\r\n")),
    "code": (ask(target=f"/callback?code={canary('code')}&state=1"), OK),
    "userinfo": (ask(), tell(b"{}", f"Location: http://kim:{canary('userinfo')}@b/\r\n")),
    "sse": (ask(), tell(EVENTS, media="text/event-stream")),
    "ndjson": (ask(), tell(LINES, media="application/x-ndjson")),
    "refusal": (ask(), refused(json.dumps({"error": f"bad token=x&token={canary('refusal')}"}).encode())),
    "cookiejson": (ask(head=f"Cookie: s={JSON_COOKIE}\r\n"), OK),
    "cookiejsonelsewhere": (ask(target=f"/x/{canary('cookiejson')}"), OK),
    "pingcookie": (ask(head=f"cookie: a=1; b={canary('pingcookie')}\r\n"), OK),
}  # fmt: skip
ELSEWHERE = canary("bearer")
"""Known from its place; what follows repeats it elsewhere."""
EXCHANGES |= {
    "path": (ask(target=f"/users/{ELSEWHERE}/photo"), OK),
    "innocent": (ask(), tell(json.dumps({"note": ELSEWHERE}).encode())),
    "agent": (ask(head=f"User-Agent: agent/{ELSEWHERE}\r\n"), OK),
    "reason": (ask(), f"HTTP/1.1 200 {ELSEWHERE}\r\nContent-Length: 0\r\n\r\n".encode()),
    "binary": (ask(), tell(b"\x00\xff" + ELSEWHERE.encode() + b"\xfe", media="application/octet-stream")),
    "hex": (ask(), tell(json.dumps({"bytea": ELSEWHERE.encode().hex()}).encode())),
    "partname": (ask("POST", head=BOUNDARY, body=multipart(("note", ELSEWHERE))), OK),
    "encoded": (ask(), tell(json.dumps({"b": base64.b64encode(b"x" + ELSEWHERE.encode() + b"yz").decode()}).encode())),
}
LATE: dict[str, tuple[tuple[bytes, bytes], tuple[bytes, bytes]]] = {
    "late": (
        (ask(target=f"/early/{canary('late')}?x={canary('late')}", head=f"X-Early: {canary('late')}\r\n"),
         tell(json.dumps({"x": canary("late"), "b": in_base64("?" + canary("late") + "?")}).encode())),
        (ask(head=f"Authorization: Bearer {canary('late')}\r\n"), OK),
    ),
    "lateagent": (
        (ask(head=f"User-Agent: {canary('lateagent')}\r\n"), OK),
        (ask("POST", head=JSON, body=member("lateagent", "password")), OK),
    ),
}  # fmt: skip
"""Seen under an innocent name before anybody could know: name, first exchange, and the one that tells."""
DERIVED = frozenset({"path", "innocent", "agent", "reason", "binary", "hex", "partname", "encoded",
                     "cookiejsonelsewhere"})  # fmt: skip
"""Exchanges that repeat the canary of another one."""
NAMES = [*(name for name in EXCHANGES if name not in DERIVED), *LATE, "auth", "event", "poll", "deflated"]
PIN = "94712605"


def upgrade(extensions: str = "") -> tuple[bytes, bytes]:
    """A WebSocket handshake of a Socket.IO client."""
    fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n" + extensions
    asked = ask(target="/socket.io/?EIO=4&transport=websocket", head=fields + "Sec-WebSocket-Version: 13\r\n")
    return asked, f"HTTP/1.1 101 S\r\n{fields}\r\n".encode()


def compressed(text: bytes) -> bytes:
    """A message as permessage-deflate sends it (RFC 7692, 7.2.1), without context takeover."""
    squeezed = zlib.compressobj(wbits=-15)
    return (squeezed.compress(text) + squeezed.flush(zlib.Z_SYNC_FLUSH))[:-4]


def visit() -> Iterator[tuple[str, bytes]]:
    """A Socket.IO connection with secrets in its auth, its events, split over frames, and in its close reason."""
    asked, answered = upgrade()
    yield "client", asked
    yield "server", answered
    auth = f'40/media,{{"ticket":"{canary("auth")}"}}'.encode()
    yield (
        "client",
        encode_frame("text", auth[:25], mask=MASK, fin=False) + encode_frame("continuation", auth[25:], mask=MASK),
    )
    yield "server", encode_frame("text", f'42["hello",{{"token":"{canary("event")}"}}]'.encode(), mask=None)
    yield "server", encode_frame("text", f'42["say","{canary("auth")}"]'.encode(), mask=None)
    yield "server", encode_frame("text", f'42["{canary("auth")}",1]'.encode(), mask=None)
    yield "server", encode_frame("binary", b"\x00" + canary("auth").encode() + b"\xff", mask=None)
    yield "client", encode_frame("ping", canary("auth").encode(), mask=MASK)
    yield "server", encode_frame("close", b"\x03\xe8" + canary("auth").encode(), mask=None)


def deflated_visit() -> Iterator[tuple[str, bytes]]:
    """The same with permessage-deflate."""
    asked, answered = upgrade("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n")
    yield "client", asked
    yield "server", answered
    for text in (f'40{{"token":"{canary("deflated")}"}}', f'42["x","{canary("deflated")}"]'):
        frame = bytearray(encode_frame("text", compressed(text.encode()), mask=MASK))
        frame[0] |= 0x40  # RSV1: compressed
        yield "client", bytes(frame)


POLL = (
    ask("POST", "/socket.io/?EIO=4&transport=polling&sid=abc",
        "Content-Type: text/plain;charset=UTF-8\r\n",
        f'40{{"token":"{canary("poll")}"}}\x1e42["say","{canary("poll")}"]'.encode()),
    tell(b"ok", media="text/html"),
)  # fmt: skip
NUMBER = (ask("POST", head=JSON, body=f'{{"pin": {PIN}}}'.encode()), OK)
AFTER_NUMBER = (ask("POST", head=JSON, body=f'{{"n": {PIN}, "s": "{PIN}"}}'.encode()), OK)
MALFORMED = f"GET /x?a b={ELSEWHERE} {ELSEWHERE} HTTP/1.1 what\r\nHost: a\r\n\r\n".encode()
"""A request whose target cannot be understood."""


def conversations() -> list[list[tuple[str, bytes]]]:
    """What is said on one connection each, with every kind of secret; the late ones are used before they are known."""
    spoken = (
        *(first for first, _ in LATE.values()), *EXCHANGES.values(), *(second for _, second in LATE.values()),
        NUMBER, AFTER_NUMBER, POLL,
    )  # fmt: skip
    turns: list[list[tuple[str, bytes]]] = [[("client", asked), ("server", told)] for asked, told in spoken]
    return [*turns, list(visit()), list(deflated_visit()), [("client", MALFORMED)]]


def wanted(name: str) -> str:
    """The secret that stands behind a name."""
    return jwt(name) if name.startswith("jwt") else canary(name)


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it might stand somewhere."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    yield secret.encode().hex().encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode())
        yield encoded[4:-4]


def leaks(content: bytes) -> list[str]:
    """The secrets of which any form stands in `content`."""
    found = [name for name in NAMES if any(form in content for form in forms(wanted(name)))]
    return found + [PIN] * (PIN.encode() in content)


def everything_in(folder: Path) -> bytes:
    """All files in a folder and below, but for the secrets' own."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(".secrets")]
    return b"\n".join(file.read_bytes() for file in files)
