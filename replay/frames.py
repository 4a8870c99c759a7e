"""What was said over a plain WebSocket: frames joined to messages, and which message of the server caused which of the
client's. Pure.

A message that the client sent at once after one of the server's was caused by it, if most of its kind were: such a
message waits for its cause on replay, all others keep their recorded time.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from nestperf.capture.model import Frame
from nestperf.wire.websocket import MAX_MESSAGE
from replay.provenance.answers import Heard
from replay.steps import Cue, Say

AT_ONCE_NS = 100_000_000
"""A program answers within this time; a person does not."""
MESSAGE = "message"
"""What a message of a plain WebSocket is called where packets have types."""
_NAMING = ("type", "event", "op", "action", "kind", "method", "cmd", "command", "topic", "name")
"""Keys under which protocols on WebSockets say what a message is."""
_LONGEST = 80
_DATA = frozenset({"text", "binary", "continuation"})


class Message(NamedTuple):
    """A text or binary message, or a ping."""

    id: int
    """Its last frame."""
    sender: str
    stamp_ns: int
    """Its first byte."""
    done_ns: int
    opcode: str
    """`text`, `binary`, `ping`."""
    content: bytes | None
    """None where it was not stored whole."""

    @property
    def kind(self) -> str:
        """What sort of message it is."""
        return kind_of_message(self.opcode, self.content or b"")


def messages_of(frames: Iterable[Frame], reveal: Callable[[bytes], bytes]) -> Iterator[Message]:
    """The messages, and the client's pings, of one socket in order; `reveal` gives placeholders their originals."""
    parts: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.opcode == "ping" and frame.sender == "client":
            content = reveal(frame.content or b"")
            yield Message(frame.id, frame.sender, frame.stamp_ns, frame.done_ns, "ping", content)
        elif frame.opcode in _DATA:
            parts[frame.sender].append(frame)
            if frame.fin:
                yield _joined(parts.pop(frame.sender), reveal)


def _joined(frames: Sequence[Frame], reveal: Callable[[bytes], bytes]) -> Message:
    """The recorder stores a message's content with its last frame."""
    first, last = frames[0], frames[-1]
    whole = last.content is not None and sum(frame.size for frame in frames) <= MAX_MESSAGE
    content = reveal(last.content) if whole and last.content is not None else None
    return Message(last.id, last.sender, first.stamp_ns, last.done_ns, first.opcode, content)


def kind_of_message(opcode: str, content: bytes) -> str:
    """A name for messages of one sort: what they call themselves, else the keys they have, else the opcode."""
    if opcode != "text" or content[:1] not in (b"{", b"["):
        return opcode
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return opcode
    if isinstance(document, list):
        return document[0][:_LONGEST] if document and isinstance(document[0], str) else opcode
    for key in _NAMING:
        if isinstance(document.get(key), str):
            return str(document[key])[:_LONGEST]
    return ",".join(sorted(document))[:_LONGEST] or opcode


def heard_of(socket: int, messages: Iterable[Message]) -> Iterator[Heard]:
    """What the server said in JSON: later messages and requests may repeat values of it."""
    for message in messages:
        if message.sender == "server" and message.opcode == "text" and (message.content or b"")[:1] in (b"{", b"["):
            text = (message.content or b"").decode("utf-8", "replace")
            yield Heard(message.id, message.done_ns, socket, MESSAGE, "", message.kind, text)


def cue_of_end(messages: Sequence[Message], closed_ns: int) -> Cue | None:
    """What made the client close; None where nothing did."""
    since: list[Message] = []
    for message in messages:
        if message.sender == "client":
            since.clear()
        else:
            since.append(message)
    return _cue(since, closed_ns)


def says_of(socket: int, messages: Sequence[Message]) -> Iterator[tuple[Message, Say | None]]:
    """The client's messages in order, each with the step that repeats it; None where it was not stored whole."""
    cues = _cues(messages)
    for message in messages:
        if message.sender != "client":
            continue
        content = message.content
        if content is None:
            yield message, None
            continue
        text = message.opcode == "text"
        say = Say(
            socket=socket,
            source=message.id,
            opcode=message.opcode,
            kind=message.kind,
            payload=content.decode("utf-8", "surrogateescape") if text else "",
            content=b"" if text else content,
            cue=cues.get(message.id),
        )
        yield message, say


def _cue(since: Sequence[Message], stamp_ns: int) -> Cue | None:
    """The last of the server's messages, if what the client did followed at once."""
    if not since or stamp_ns - since[-1].done_ns > AT_ONCE_NS:
        return None
    kind = since[-1].kind
    return Cue(kind, sum(other.kind == kind for other in since), max(0, stamp_ns - since[-1].done_ns))


def _cues(messages: Sequence[Message]) -> dict[int, Cue]:
    """By the client's message: what caused it."""
    found: dict[int, Cue] = {}
    kinds: Counter[str] = Counter()
    caused: Counter[str] = Counter()
    since: list[Message] = []
    for message in messages:
        if message.sender == "server":
            since.append(message)
            continue
        kinds[message.kind] += 1
        cue = _cue(since, message.stamp_ns)
        if cue is not None:
            found[message.id] = cue
            caused[message.kind] += 1
        since = []
    mostly = {message.id for message in messages if caused[message.kind] * 2 >= kinds[message.kind]}
    return {message_id: cue for message_id, cue in found.items() if message_id in mostly}
