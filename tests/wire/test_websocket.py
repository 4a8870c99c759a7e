"""One direction of a WebSocket: frames and messages, plain and compressed, in any pieces."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.wire.observations import FrameSeen, MessageSeen, Opaque, WebSocketObservation
from nestperf.wire.websocket import DeflateParameters, WebSocketDecoder, encode_frame, negotiated_deflate, parse_close

MASK = b"\x01\x02\x03\x04"


def compressed_frames(
    payload: bytes, deflater: Any = None, *, cuts: tuple[int, ...] = (), mask: bytes | None = None
) -> bytes:
    """A permessage-deflate message, its compressed bytes cut into frames at `cuts`."""
    deflater = deflater or zlib.compressobj(wbits=-15)
    data = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    parts = [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    wire = b""
    for number, part in enumerate(parts):
        opcode = "continuation" if number else "text"
        frame = bytearray(encode_frame(opcode, part, mask=mask, fin=number == len(parts) - 1))
        if not number:
            frame[0] |= 0x40
        wire += frame
    return wire


def facts(seen: list[WebSocketObservation]) -> list[tuple[Any, ...]]:
    """What must be the same however the bytes were cut."""
    rows: list[tuple[Any, ...]] = []
    for one in seen:
        if isinstance(one, Opaque):
            rows.append(("Opaque", one.sender, one.reason))
        else:
            rows.append((type(one).__name__, *one._replace(stamp_ns=0, done_ns=0)))
    return rows


def told(wire: bytes, **options: Any) -> list[WebSocketObservation]:
    """The observations of bytes that came at once, after checking that single bytes tell the same."""
    seen = WebSocketDecoder("client", **options).receive(wire, 1)
    decoder = WebSocketDecoder("client", **options)
    single = [one for index in range(len(wire)) for one in decoder.receive(wire[index : index + 1], index)]
    rows = facts(single)
    if not options.get("deflate"):
        assert rows == facts(seen)
    else:  # how much of a fragment can be inflated before the next one depends on nothing but the fragment
        assert [row[:1] + row[3:] for row in rows] == [row[:1] + row[3:] for row in facts(seen)]
    return seen


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_message_of_one_frame_is_seen_with_its_sizes(size: int, mask: bytes | None) -> None:
    payload = bytes(index & 0xFF for index in range(size))
    wire = encode_frame("binary", payload, mask=mask)
    head = 2 + (0 if size < 126 else 2 if size < 65536 else 8) + (4 if mask else 0)
    assert len(wire) == head + size
    assert WebSocketDecoder("client").receive(wire, 7) == [
        FrameSeen(7, 7, "binary", True, False, len(wire), size, payload, False),
        MessageSeen(7, 7, "binary", payload, 1, False),
    ]


def test_masked_payload_of_the_standard_is_read() -> None:
    # RFC 6455, 5.7
    assert told(bytes.fromhex("818537fa213d7f9f4d5158"))[1] == MessageSeen(1, 1, "text", b"Hello", 1, False)
    assert encode_frame("text", b"Hello", mask=bytes.fromhex("37fa213d")) == bytes.fromhex("818537fa213d7f9f4d5158")


def test_frame_in_many_chunks_is_stamped_at_its_first_and_last_bytes() -> None:
    wire = encode_frame("text", b"hello", mask=MASK)
    decoder = WebSocketDecoder("client")
    assert decoder.receive(wire[:1], 1) == []
    assert decoder.receive(wire[1:8], 2) == []
    seen = decoder.receive(wire[8:] + wire, 3)
    assert [(type(one).__name__, one.stamp_ns, one.done_ns) for one in seen if not isinstance(one, Opaque)] == [
        ("FrameSeen", 1, 3),
        ("MessageSeen", 1, 3),
        ("FrameSeen", 3, 3),
        ("MessageSeen", 3, 3),
    ]


def test_fragmented_message_with_control_frames_between_is_joined() -> None:
    wire = (
        encode_frame("text", b"one ", mask=MASK, fin=False)
        + encode_frame("ping", b"?", mask=MASK)
        + encode_frame("continuation", b"", mask=MASK, fin=False)
        + encode_frame("pong", b"", mask=MASK)
        + encode_frame("continuation", b"two", mask=MASK)
        + encode_frame("close", b"\x03\xe8bye", mask=MASK)
    )
    seen = told(wire)
    assert [(one.opcode, one.payload) for one in seen if isinstance(one, FrameSeen)] == [
        ("text", b"one "),
        ("ping", b"?"),
        ("continuation", b""),
        ("pong", b""),
        ("continuation", b"two"),
        ("close", b"\x03\xe8bye"),
    ]
    assert [one for one in seen if isinstance(one, MessageSeen)] == [MessageSeen(1, 1, "text", b"one two", 3, False)]


def test_message_is_stamped_from_its_first_frame_to_its_last() -> None:
    decoder = WebSocketDecoder("server")
    decoder.receive(encode_frame("text", b"a", mask=None, fin=False), 1)
    decoder.receive(encode_frame("ping", b"", mask=None), 2)
    assert decoder.receive(encode_frame("continuation", b"b", mask=None), 3) == [
        FrameSeen(3, 3, "continuation", True, False, 3, 1, b"b", False),
        MessageSeen(1, 3, "text", b"ab", 2, False),
    ]


def test_payloads_beyond_the_limit_are_cut_and_their_sizes_whole() -> None:
    wire = (
        encode_frame("binary", b"0123456789", mask=MASK)
        + encode_frame("binary", b"0123", mask=MASK, fin=False)
        + encode_frame("continuation", b"4567", mask=MASK, fin=False)
        + encode_frame("continuation", b"89", mask=MASK)
        + encode_frame("binary", b"01234567", mask=MASK)
    )
    seen = told(wire, max_message=8)
    assert [(one.size, one.payload, one.cut) for one in seen if isinstance(one, FrameSeen)] == [
        (10, b"01234567", True),
        (4, b"0123", False),
        (4, b"4567", False),
        (2, b"89", False),
        (8, b"01234567", False),
    ]
    assert [(one.payload, one.cut) for one in seen if isinstance(one, MessageSeen)] == [
        (b"01234567", True),
        (b"01234567", True),
        (b"01234567", False),
    ]


def test_message_after_a_cut_frame_has_no_gap() -> None:
    wire = encode_frame("text", b"0123456789", mask=None, fin=False) + encode_frame("continuation", b"x", mask=None)
    message = told(wire, max_message=8)[-1]
    assert isinstance(message, MessageSeen)
    assert (message.payload, message.cut) == (b"01234567", True)


@pytest.mark.parametrize("context_takeover", [True, False])
def test_compressed_messages_are_inflated_with_and_without_context(context_takeover: bool) -> None:
    deflater = zlib.compressobj(wbits=-15)
    wire = b""
    for number in range(3):
        wire += compressed_frames(b"the same again " * 5 + b"%d" % number, deflater, mask=MASK)
        wire += encode_frame("text", b"plain", mask=MASK)
        if not context_takeover:
            deflater = zlib.compressobj(wbits=-15)
    seen = told(wire, deflate=DeflateParameters(context_takeover=context_takeover))
    texts = [one.payload for one in seen if isinstance(one, MessageSeen)]
    assert texts == [b"the same again " * 5 + b"0", b"plain", b"the same again " * 5 + b"1", b"plain",
                     b"the same again " * 5 + b"2", b"plain"]  # fmt: skip
    frames = [one for one in seen if isinstance(one, FrameSeen)]
    assert [(one.compressed, one.size) for one in frames[:2]] == [(True, 76), (False, 5)]
    assert frames[0].wire_size < 40


def test_compressed_fragments_are_inflated_piece_by_piece() -> None:
    wire = compressed_frames(bytes(range(256)) * 2, cuts=(100, 200))
    between = encode_frame("ping", b"p", mask=None)
    second = wire.index(b"\x00", 90)  # the first continuation's first byte: no FIN, opcode 0
    assert second == 102
    seen = told(wire[:second] + between + wire[second:], deflate=DeflateParameters())
    frames = [one for one in seen if isinstance(one, FrameSeen) and one.opcode != "ping"]
    assert [one.compressed for one in frames] == [True, True, True]
    assert sum(one.size for one in frames) == 512
    assert all(one.size > 0 for one in frames)
    assert b"".join(one.payload for one in frames) == bytes(range(256)) * 2
    assert seen[-1] == MessageSeen(1, 1, "text", bytes(range(256)) * 2, 3, False)


def test_compressed_examples_of_the_standard_are_read() -> None:
    # RFC 7692, 7.2.3: one frame, two frames, the window of the message before
    wire = bytes.fromhex("c107f248cdc9c907004103f248cd8004c9c90700c105f200110000")
    messages = [one for one in told(wire, deflate=DeflateParameters()) if isinstance(one, MessageSeen)]
    assert [(one.payload, one.frames) for one in messages] == [(b"Hello", 1), (b"Hello", 2), (b"Hello", 1)]
    # a block without compression, a final block, two blocks
    for single in (
        "c10b000500faff48656c6c6f00",
        "c108f348cdc9c9070000",
        "c10df24805000000ffffcac9c90700",
    ):
        message = told(bytes.fromhex(single), deflate=DeflateParameters())[-1]
        assert isinstance(message, MessageSeen)
        assert message.payload == b"Hello"


def test_compressed_bomb_is_kept_small_and_counted_whole() -> None:
    wire = compressed_frames(b"\0" * (64 << 20))
    seen = WebSocketDecoder("server", deflate=DeflateParameters(), max_message=1000).receive(wire, 1)
    assert [(one.size, len(one.payload), one.cut) for one in seen if isinstance(one, FrameSeen)] == [
        (64 << 20, 1000, True)
    ]


@pytest.mark.parametrize(
    ("wire", "deflate", "reason"),
    [
        (b"\x83\x00", None, "a frame with a reserved opcode"),
        (b"\xc1\x00", None, "a frame of an extension that was not agreed on"),
        (b"\xa1\x00", DeflateParameters(), "a frame of an extension that was not agreed on"),
        (b"\xc9\x00", DeflateParameters(), "a frame of an extension that was not agreed on"),
        (b"\x81\xff" + b"\xff" * 12, None, "a frame longer than the protocol allows"),
        (b"\x09\x00", None, "a control frame that is long or fragmented"),
        (b"\x89\x7e\x00\x80", None, "a control frame that is long or fragmented"),
        (b"\x80\x00", None, "a continuation of nothing"),
        (b"\x01\x00\x81\x00", None, "a new message inside a fragmented one"),
        (b"\xc1\x02\xff\xff", DeflateParameters(), "a compressed message that cannot be inflated"),
    ],
)
def test_frames_that_make_no_sense_are_one_opaque_and_then_silence(
    wire: bytes, deflate: DeflateParameters | None, reason: str
) -> None:
    seen = told(wire + encode_frame("text", b"x", mask=None), deflate=deflate)
    assert [(one.sender, one.reason) for one in seen if isinstance(one, Opaque)] == [("client", reason)]
    assert isinstance(seen[-1], Opaque)


def test_end_inside_a_frame_is_opaque_and_at_a_boundary_nothing() -> None:
    wire = encode_frame("text", b"hello", mask=MASK)
    for cut, data in ((1, wire[:1]), (8, b"he")):
        decoder = WebSocketDecoder("client")
        assert decoder.receive(wire[:cut], 1) == []
        assert decoder.end(2) == [Opaque("client", 2, "ended inside a frame", data)]
        assert decoder.end(3) == []
        assert decoder.receive(wire, 4) == []
    decoder = WebSocketDecoder("client")
    decoder.receive(wire, 1)
    assert decoder.end(2) == []


@pytest.mark.parametrize(
    ("payload", "parsed"),
    [
        (b"", (None, "")),
        (b"\x03", (None, "")),
        (b"\x03\xe8", (1000, "")),
        (b"\x03\xe9going away", (1001, "going away")),
        (b"\x0f\xa0\xff", (4000, "\ufffd")),
    ],
)
def test_close_payload_gives_code_and_reason(payload: bytes, parsed: tuple[int | None, str]) -> None:
    assert parse_close(payload) == parsed


@pytest.mark.parametrize(
    ("value", "client", "server"),
    [
        ("permessage-deflate", DeflateParameters(), DeflateParameters()),
        (
            "x-other, permessage-deflate; server_no_context_takeover;client_max_window_bits=10",
            DeflateParameters(window_bits=10),
            DeflateParameters(context_takeover=False),
        ),
        (
            'Permessage-Deflate; client_no_context_takeover; server_max_window_bits="9"',
            DeflateParameters(context_takeover=False),
            DeflateParameters(window_bits=9),
        ),
        ("permessage-deflate; client_max_window_bits=99", DeflateParameters(), DeflateParameters()),
        ("x-webkit-deflate-frame", None, None),
        ("", None, None),
    ],
)
def test_negotiated_deflate_is_read_for_each_side(
    value: str, client: DeflateParameters | None, server: DeflateParameters | None
) -> None:
    headers = (("Upgrade", "websocket"), ("sec-WebSocket-extensions", value))
    assert negotiated_deflate("client", headers) == client
    assert negotiated_deflate("server", headers) == server
    assert negotiated_deflate("server", headers[:1]) is None


MASKS = st.none() | st.binary(min_size=4, max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, bytes]]]:
    """A wire of several messages in fragments, control frames between them, and the messages."""
    wire, expected = b"", []
    for _ in range(draw(st.integers(1, 4))):
        opcode = draw(st.sampled_from(["text", "binary"]))
        pieces = draw(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
        for number, piece in enumerate(pieces):
            if draw(st.booleans()):
                wire += encode_frame(draw(st.sampled_from(["ping", "pong"])), piece[:125], mask=draw(MASKS))
            wire += encode_frame(
                "continuation" if number else opcode, piece, mask=draw(MASKS), fin=number == len(pieces) - 1
            )
        expected.append((opcode, b"".join(pieces)))
    return wire, expected


def in_pieces(decoder: WebSocketDecoder, wire: bytes, cuts: list[int]) -> list[WebSocketObservation]:
    bounds = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [one for stamp, (a, b) in enumerate(pairwise(bounds)) for one in decoder.receive(wire[a:b], stamp)]


CUTS = st.lists(st.integers(0, 5000), max_size=6)


@given(messages(), CUTS)
def test_encoded_messages_come_back_in_any_pieces(
    encoded: tuple[bytes, list[tuple[str, bytes]]], cuts: list[int]
) -> None:
    wire, expected = encoded
    seen = in_pieces(WebSocketDecoder("client"), wire, cuts)
    assert [(one.opcode, one.payload) for one in seen if isinstance(one, MessageSeen)] == expected
    assert sum(one.wire_size for one in seen if isinstance(one, FrameSeen)) == len(wire)
    assert facts(seen) == facts(WebSocketDecoder("client").receive(wire, 0))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.booleans(), st.lists(st.integers(1, 300)), CUTS)
def test_compressed_messages_come_back_in_any_pieces(
    payloads: list[bytes], takeover: bool, fragments: list[int], cuts: list[int]
) -> None:
    deflater = zlib.compressobj(wbits=-15)
    wire = b""
    for payload in payloads:
        size = len(compressed_frames(payload, deflater.copy())) - 2
        inner = tuple(sorted({cut for cut in fragments if cut < min(size, 120)}))
        wire += compressed_frames(payload, deflater, cuts=inner)
        if not takeover:
            deflater = zlib.compressobj(wbits=-15)
    seen = in_pieces(WebSocketDecoder("server", deflate=DeflateParameters(context_takeover=takeover)), wire, cuts)
    assert [one.payload for one in seen if isinstance(one, MessageSeen)] == payloads
    assert sum(one.size for one in seen if isinstance(one, FrameSeen)) == sum(map(len, payloads))


@given(st.lists(st.binary(max_size=50), max_size=8), st.booleans(), st.integers(0, 100))
def test_any_bytes_give_observations_and_never_an_exception(pieces: list[bytes], deflate: bool, limit: int) -> None:
    decoder = WebSocketDecoder("server", deflate=DeflateParameters() if deflate else None, max_message=limit)
    seen = [one for piece in pieces for one in decoder.receive(piece, 1)] + decoder.end(2)
    assert sum(isinstance(one, Opaque) for one in seen) <= 1
    assert all(len(one.payload) <= limit for one in seen if not isinstance(one, Opaque))
    whole = WebSocketDecoder("server", deflate=DeflateParameters() if deflate else None, max_message=limit)
    assert facts(whole.receive(b"".join(pieces), 1) + whole.end(2)) == facts(seen)
