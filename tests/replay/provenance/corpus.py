"""Recorded sessions whose every link is known, because the server that answered them was made up here.

A seeded generator plays small applications with random habits: how they sign people in, what their ids look like, where
ids and tokens travel, and what else is in their answers that means nothing. Whatever is sent is put together from
pieces that know where they came from, so the truth is read off the pieces. Shares no code with the linker.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from tests.replay.conftest import Recording

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
HTML = ("Content-Type", "text/html; charset=utf-8")
LOREM = ("river", "window", "garden", "market", "silver", "planet", "coffee", "travel", "winter", "orange", "stone")


class Live(str):
    """A value that some answer hands out. Two of one text are one only if they have one key."""

    key: str
    sent_as: str

    def __new__(cls, value: str, key: str = "", sent_as: str | None = None) -> Live:
        self = super().__new__(cls, value)
        self.key = key or value
        self.sent_as = value if sent_as is None else sent_as
        return self

    def coded(self, sent_as: str) -> Live:
        """The same value, written in another way."""
        return Live(str(self), self.key, sent_as)


class Number(int):
    """The same for a JSON number."""

    key: str

    def __new__(cls, value: int, key: str) -> Number:
        self = super().__new__(cls, value)
        self.key = key
        return self

    @property
    def text(self) -> Live:
        return Live(str(int(self)), self.key)


class Truth(NamedTuple):
    """A link that is really there."""

    row: int
    """The exchange or packet that sends it."""
    place: str
    """`target`, `header NAME`, `cookie NAME`, `body`, `payload`."""
    value: str
    sources: frozenset[int]
    """The exchanges and packets that had handed it out."""


@dataclass
class Corpus:
    """A recording and its truth."""

    path: Path
    truths: list[Truth] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    acks: dict[int, int] = field(default_factory=dict)
    """Ack: the event that it answers."""
    decoys: int = 0
    """Values sent that stood in an answer too, and mean nothing."""


class Visitor:
    """One session that is being recorded: a browser with cookies, and a clock."""

    def __init__(self, corpus: Corpus, recording: Recording, rng: random.Random, client: int, start: float) -> None:
        self.rng = rng
        self.client = client
        self.now = start
        self.jar: dict[str, Live] = {}
        self._corpus = corpus
        self._recording = recording
        self._given: dict[str, set[int]] = defaultdict(set)
        self.socket_id: int | None = None

    def exchange(
        self,
        method: str,
        path: Sequence[object],
        *,
        headers: Sequence[tuple[str, Sequence[object]]] = (),
        body: object = None,
        form: Sequence[tuple[str, object]] | None = None,
        answer: object = None,
        page: str | None = None,
        gives: Sequence[object] = (),
        answer_headers: Sequence[tuple[str, object]] = (),
        cookies: Sequence[tuple[str, Live, str]] = (),
        status: int = 200,
        decoys: int = 0,
    ) -> int:
        """Send and be answered. `gives`: what the page or header text in it hands out."""
        self.now += self.rng.uniform(20, 400)
        used: list[tuple[str, Live]] = [("target", one) for one in path if isinstance(one, Live)]
        fields: list[tuple[str, str]] = [("Host", "app.example.test"), ("User-Agent", "Corpus/1")]
        for name, pieces in headers:
            fields.append((name, "".join(_sent(one) for one in pieces)))
            used += [(f"header {name.lower()}", one) for one in pieces if isinstance(one, Live)]
        if self.jar:
            fields.append(("Cookie", "; ".join(f"{name}={value.sent_as}" for name, value in self.jar.items())))
            used += [
                (f"cookie {name}", Live(value.sent_as, value.key))
                for name, value in self.jar.items()
                if value.key != "own"
            ]
        content = b""
        if body is not None:
            fields.append(JSON)
            content = json.dumps(body, separators=(",", ":")).encode()
            used += [("body", one) for one in _lives(body)]
        if form is not None:
            fields.append(FORM)
            content = "&".join(f"{name}={quote_plus(str(value))}" for name, value in form).encode()
            used += [("body", value) for _, value in form if isinstance(value, Live)]
        out: list[tuple[str, str]] = []
        for name, value, attributes in cookies:
            out.append(("Set-Cookie", f"{name}={value.sent_as}; Path=/{attributes}"))
        out += [(name, str(value)) for name, value in answer_headers]
        out.append(HTML if page is not None else JSON)
        text = page.encode() if page is not None else b"" if answer is None else json.dumps(answer).encode()
        took = self.rng.uniform(3, 90)
        row = self._recording.exchange(
            method, "".join(_sent(one) for one in path), self.now, self.now + took,
            headers=tuple(fields), body=content, status=status, answer=text, answer_headers=tuple(out),
            client=self.client,
        )  # fmt: skip
        self._know(row, used)
        self.now += took
        for one in (*_lives(answer), *gives, *(value for _, value in answer_headers if isinstance(value, Live))):
            self._given[getattr(one, "key", str(one))].add(row)
        for name, value, _ in cookies:
            self._given[value.key].add(row)
            self.jar[name] = value
        self._corpus.decoys += decoys
        return row

    def connect(self, namespace: str, auth: object) -> None:
        """Open the socket, if there is none yet, and join."""
        if self.socket_id is None:
            self.now += self.rng.uniform(10, 50)
            self.socket_id = self._recording.socket(self.now, self.now + 5, None, client=self.client)
            self.now += 10
        row = self._packet("client", "connect", namespace, auth)
        self._know(row, [("payload", one) for one in _lives(auth)])
        sid = Live(self.token(20))
        row = self._packet("server", "connect", namespace, {"sid": sid})
        self._given[sid.key].add(row)

    def emit(self, namespace: str, event: str, *arguments: object, ack: object = None) -> None:
        """Send an event; be acknowledged where `ack` is given."""
        self.now += self.rng.uniform(10, 200)
        number = None if ack is None else self.rng.randrange(1, 10**6)
        row = self._packet("client", "event", namespace, list(arguments), event=event, ack_id=number)
        self._know(row, [("payload", one) for one in _lives(arguments)])
        if ack is not None:
            answer = self._packet("server", "ack", namespace, [ack], ack_id=number, answers=row)
            self._corpus.acks[answer] = row
            for one in _lives(ack):
                self._given[one.key].add(answer)

    def push(self, namespace: str, event: str, *arguments: object) -> None:
        """The server sends an event."""
        row = self._packet("server", "event", namespace, list(arguments), event=event)
        for one in _lives(arguments):
            self._given[one.key].add(row)

    def _packet(self, sender: str, kind: str, namespace: str, payload: object, **more: Any) -> int:
        assert self.socket_id is not None
        self.now += self.rng.uniform(2, 20)
        text = json.dumps(payload, separators=(",", ":"))
        return self._recording.packet(self.socket_id, sender, kind, self.now, namespace, text, **more)

    def _know(self, row: int, used: Sequence[tuple[str, Live]]) -> None:
        for place, value in used:
            sources = frozenset(self._given.get(value.key, ()))
            assert sources, f"{place} {value!r} was never handed out"
            self._corpus.truths.append(Truth(row, place, str(value), sources))

    # what servers make

    def token(self, length: int, alphabet: str = string.ascii_letters + string.digits + "-_") -> str:
        return "".join(self.rng.choice(alphabet) for _ in range(length))

    def hex(self, length: int) -> str:
        return self.token(length, "0123456789abcdef")

    def uuid(self) -> str:
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{self.rng.choice('89ab')}{text[17:20]}-{text[20:]}"

    def jwt(self) -> str:
        def part(value: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        claims = {"sub": self.uuid(), "iat": 1_760_000_000 + self.rng.randrange(10**6), "role": "user"}
        return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{self.token(43)}"

    def words(self, count: int) -> str:
        return " ".join(self.rng.choice(LOREM) for _ in range(count))

    def moment(self) -> str:
        return f"2026-0{self.rng.randrange(1, 10)}-1{self.rng.randrange(10)}T0{self.rng.randrange(10)}:15:00.000Z"


def _sent(piece: object) -> str:
    return piece.sent_as if isinstance(piece, Live) else str(piece)


def _lives(value: object) -> list[Live]:
    """All values with an origin in a JSON document."""
    if isinstance(value, Live):
        return [value]
    if isinstance(value, Number):
        return [value.text]
    if isinstance(value, dict):
        return [one for inner in value.values() for one in _lives(inner)]
    if isinstance(value, list | tuple):
        return [one for inner in value for one in _lives(inner)]
    return []
