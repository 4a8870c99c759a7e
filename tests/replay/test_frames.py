"""Frames of plain WebSockets: messages out of them, what they are called, and which of them caused which."""

from __future__ import annotations

import itertools
import json

import pytest

from nestperf.capture.model import Frame
from nestperf.wire.websocket import MAX_MESSAGE
from replay.frames import AT_ONCE_NS, Message, cue_of_end, heard_of, kind_of_message, messages_of, says_of
from replay.steps import Cue

MS = 1_000_000


def frame(number: int, sender: str, opcode: str, content: bytes | None, *, fin: bool = True, size: int = 0) -> Frame:
    return Frame(
        id=number, socket_id=1, sender=sender, stamp_ns=number * MS, done_ns=number * MS + 1, opcode=opcode, fin=fin,
        compressed=False, wire_size=0, size=size or len(content or b""), content=content,
    )  # fmt: skip


def joined(*frames: Frame) -> list[tuple[str, str, bytes | None]]:
    messages = messages_of(frames, lambda content: content.replace(b"PLACEHOLDER", b"original"))
    return [(message.sender, message.opcode, message.content) for message in messages]


def test_messages_are_joined_from_frames_and_controls_between_them_are_left_out() -> None:
    assert joined(
        frame(1, "client", "text", b"PLACEHOLDER"),
        frame(2, "server", "binary", None, fin=False, size=3),
        frame(3, "server", "ping", b"?"),
        frame(4, "client", "pong", b"?"),
        frame(5, "client", "ping", b"!"),
        frame(6, "server", "continuation", b"abcdef", size=3),
        frame(7, "client", "close", b""),
    ) == [("client", "text", b"original"), ("client", "ping", b"!"), ("server", "binary", b"abcdef")]


def test_message_that_was_not_stored_whole_has_no_content() -> None:
    assert joined(frame(1, "client", "text", b"beginning", size=MAX_MESSAGE + 1)) == [("client", "text", None)]
    ((_, say),) = says_of(1, list(messages_of([frame(1, "client", "text", None)], bytes)))
    assert say is None


@pytest.mark.parametrize(
    ("opcode", "content", "kind"),
    [
        ("text", b'{"type": "tick", "n": 1}', "tick"),
        ("text", b'{"id": 1, "method": "sub"}', "sub"),
        ("text", b'{"b": 1, "a": 2}', "a,b"),
        ("text", b'["join", "room"]', "join"),
        ("text", b'{"type": 7', "text"),
        ("text", b"hello", "text"),
        ("text", b"[]", "text"),
        ("text", b"{}", "text"),
        ("binary", b'{"type":"x"}', "binary"),
    ],
)
def test_kind_of_a_message_is_what_it_calls_itself(opcode: str, content: bytes, kind: str) -> None:
    assert kind_of_message(opcode, content) == kind


def conversation(*said: tuple[str, str, float]) -> list[Message]:
    """(sender, type, moment in ms)."""
    ids = itertools.count(1)
    return [
        Message(next(ids), sender, round(at * MS), round(at * MS), "text", json.dumps({"type": name}).encode())
        for sender, name, at in said
    ]


def cues(*said: tuple[str, str, float]) -> list[Cue | None]:
    return [say.cue for _, say in says_of(1, conversation(*said)) if say is not None]


def test_message_right_after_one_of_the_server_was_caused_by_it() -> None:
    assert cues(("client", "hello", 0), ("server", "ready", 500), ("client", "go", 510)) == [
        None, Cue("ready", 1, 10 * MS)
    ]  # fmt: skip


def test_cause_is_counted_since_the_clients_message_before() -> None:
    said = (("server", "tick", 0), ("client", "a", 500), ("server", "tick", 600), ("server", "tick", 700))
    assert cues(*said, ("client", "b", 701)) == [None, Cue("tick", 2, 1 * MS)]


def test_message_that_a_person_wrote_keeps_its_time() -> None:
    assert cues(("server", "ready", 0), ("client", "go", AT_ONCE_NS / MS + 1)) == [None]


def test_kind_that_mostly_comes_by_itself_keeps_its_time_also_where_it_comes_beside_another() -> None:
    said = [(sender, "beat", at) for at in (0, 1000, 2000) for sender in ("client",)]
    assert cues(*said, ("server", "tick", 2999), ("client", "beat", 3000)) == [None] * 4


def test_close_right_after_a_message_was_caused_by_it() -> None:
    said = conversation(("client", "bye", 0), ("server", "done", 40))
    assert cue_of_end(said, 45 * MS) == Cue("done", 1, 5 * MS)
    assert cue_of_end(said, 400 * MS) is None
    assert cue_of_end(said[:1], 5 * MS) is None


def test_what_the_server_said_in_json_may_hand_out_values() -> None:
    (heard,) = heard_of(7, conversation(("client", "x", 0), ("server", "welcome", 3)))
    assert (heard.socket, heard.type, heard.event, heard.stamp_ns) == (7, "message", "welcome", 3 * MS)
