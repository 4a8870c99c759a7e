"""Secrets of every kind go through a recording; not one of them stands in the raw bytes of the capture."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import brotli
import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Run
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from nestperf.wire.websocket import encode_frame
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What


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
ELSEWHERE = canary("bearer")
"""Known from its place; what follows repeats it elsewhere."""
EXCHANGES |= {
    "path": (ask(target=f"/users/{ELSEWHERE}/photo"), OK),
    "innocent": (ask(), tell(json.dumps({"note": ELSEWHERE}).encode())),
    "encoded": (ask(), tell(json.dumps({"b": base64.b64encode(b"x" + ELSEWHERE.encode() + b"yz").decode()}).encode())),
}
PIN = "94712605"
MASK = b"\x01\x02\x03\x04"


def socket_records(connection: int) -> Iterable[tuple[What, bytes]]:
    """A Socket.IO visit with secrets in its auth, its events, split over frames, and in its close reason."""
    yield (
        What.CLIENT_BYTES,
        ask(target="/socket.io/?EIO=4&transport=websocket", head="Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    )
    yield What.SERVER_BYTES, b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    auth = f'40/media,{{"ticket":"{canary("auth")}"}}'.encode()
    yield (
        What.CLIENT_BYTES,
        encode_frame("text", auth[:25], mask=MASK, fin=False) + encode_frame("continuation", auth[25:], mask=MASK),
    )
    yield What.SERVER_BYTES, encode_frame("text", f'42["hello",{{"token":"{canary("event")}"}}]'.encode(), mask=None)
    yield What.SERVER_BYTES, encode_frame("text", f'42["say","{canary("auth")}"]'.encode(), mask=None)
    yield What.SERVER_BYTES, encode_frame("close", b"\x03\xe8" + canary("auth").encode(), mask=None)


def recorded(tmp_path: Path) -> tuple[Path, Vault]:
    path = tmp_path / "qa.db"
    vault = Vault.create(path)
    writer = CaptureWriter.create(path, Run("u", "record", "proxy", "running", "0", time.time_ns()), vault=vault)
    recorder = Recorder(Contents(Redactor(vault), writer.add), writer.add, Clock(0, 0))
    opened = b'{"client":"127.0.0.1","upstream":0}'
    for number, (request, response) in enumerate(EXCHANGES.values(), 1):
        recorder.feed(Record(What.OPENED, number, 1, 0, opened))
        recorder.feed(Record(What.CLIENT_BYTES, number, 2, 0, request))
        recorder.feed(Record(What.SERVER_BYTES, number, 3, 0, response))
    recorder.feed(Record(What.OPENED, 999, 1, 0, opened))
    recorder.feed(Record(What.CLIENT_BYTES, 999, 2, 0, ask("POST", head=JSON, body=f'{{"pin": {PIN}}}'.encode())))
    recorder.feed(Record(What.SERVER_BYTES, 999, 3, 0, OK))
    recorder.feed(Record(What.OPENED, 1000, 1, 0, opened))
    for what, payload in socket_records(1000):
        recorder.feed(Record(what, 1000, 4, 0, payload))
    writer.commit()
    recorder.finish()
    assert recorder.tally.losses == {}
    assert recorder.tally.exchanges == len(EXCHANGES) + 2
    writer.close()
    return path, vault


def forms(secret: str) -> Iterable[bytes]:
    """A secret as it might stand somewhere."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode())
        yield encoded[4:-4]


NAMES = [*(name for name in EXCHANGES if name not in ("path", "innocent", "encoded")), "auth", "event"]


@pytest.mark.parametrize("name", NAMES)
def test_canary_stands_only_in_the_secrets_file(name: str, tmp_path: Path) -> None:
    path, _ = recorded(tmp_path)
    content = path.read_bytes()
    wanted = jwt(name) if name.startswith("jwt") else canary(name)
    assert not [form for form in forms(wanted) if form in content]
    assert not name.startswith("jwt") or base64.urlsafe_b64encode(canary(name).encode())[4:-4] not in content
    kept = secrets_path(path).read_text()
    assert wanted in json.dumps(kept) or wanted in kept


def test_canary_number_stays_a_number(tmp_path: Path) -> None:
    path, vault = recorded(tmp_path)
    content = path.read_bytes()
    assert PIN.encode() not in content
    assert PIN in vault.values


def test_canaries_none_at_all_is_left_in_the_capture(tmp_path: Path) -> None:
    path, _ = recorded(tmp_path)
    assert b"canary-" not in path.read_bytes()
