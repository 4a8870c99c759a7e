"""Engine.IO and Socket.IO packets: read, written, and held against python-socketio's own packet classes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from engineio.packet import packet_names as engine_names
from engineio.payload import Payload
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import BINARY_ACK, BINARY_EVENT, Packet, packet_names

from nestperf.wire import socketio
from nestperf.wire.observations import Opaque, PacketSeen, Sender, SocketIoObservation
from nestperf.wire.socketio import SocketIoDecoder, decode_payload, encode_event, encode_packet, is_socket_io


def told(*messages: str | bytes, version: int = 4, sender: Sender = "client") -> list[SocketIoObservation]:
    """Messages of one side, text as str, message n stamped 10n to 10n + 1."""
    decoder = SocketIoDecoder(version)
    return [
        one
        for number, message in enumerate(messages, 1)
        for one in decoder.receive(
            sender,
            message.encode() if isinstance(message, str) else message,
            isinstance(message, bytes),
            10 * number,
            10 * number + 1,
        )
    ]


def only(*messages: str | bytes, version: int = 4) -> PacketSeen:
    (packet,) = told(*messages, version=version)
    assert isinstance(packet, PacketSeen)
    return packet


def test_names_are_those_of_the_protocol() -> None:
    assert [name.lower() for name in engine_names] == list(socketio.ENGINE_TYPES)
    assert [name.lower().removeprefix("binary_") for name in packet_names] == list(socketio.TYPES)


@pytest.mark.parametrize(
    ("text", "engine_type", "payload"),
    [
        ('0{"sid":"a", "pingInterval":25000}', "open", '{"sid":"a", "pingInterval":25000}'),
        ("1", "close", None),
        ("2", "ping", None),
        ("2probe", "ping", '"probe"'),
        ("3probe", "pong", '"probe"'),
        ("5", "upgrade", None),
        ("6", "noop", None),
    ],
)
def test_engine_packet_is_seen_with_its_text(text: str, engine_type: str, payload: str | None) -> None:
    assert only(text) == PacketSeen(
        "client", 10, 11, engine_type, None, None, None, None, payload, (), len(text)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "type_", "namespace", "event", "ack_id", "payload"),
    [
        ("40", "connect", "/", None, None, None),
        ('40{"token":"x"}', "connect", "/", None, None, '{"token":"x"}'),
        ('40/media,{"token": "x"}', "connect", "/media", None, None, '{"token": "x"}'),
        ("40/media,", "connect", "/media", None, None, None),
        ("40/media", "connect", "/media", None, None, None),
        ("41/media,", "disconnect", "/media", None, None, None),
        ("41", "disconnect", "/", None, None, None),
        ('42["a"]', "event", "/", "a", None, "[]"),
        ('42["a",1]', "event", "/", "a", None, "[1]"),
        ('42/admin,["a:b",{"k":[1,2]},null]', "event", "/admin", "a:b", None, '[{"k":[1,2]},null]'),
        ('42/admin,17["a",1]', "event", "/admin", "a", 17, "[1]"),
        ('4212["a"]', "event", "/", "a", 12, "[]"),
        ('42 [ "a" , 1 , "x" ] ', "event", "/", "a", None, '[1 , "x" ]'),
        ('42["a" ]', "event", "/", "a", None, "[]"),
        ('42["\\u0061\\"",1]', "event", "/", 'a"', None, "[1]"),
        ('42["a\\"],[",1]', "event", "/", 'a"],[', None, "[1]"),
        ("42[5,1]", "event", "/", "5", None, "[1]"),
        ("42[1.50]", "event", "/", "1.50", None, "[]"),
        ('43/media,7["ok",{"n":1}]', "ack", "/media", None, 7, '["ok",{"n":1}]'),
        ("430[]", "ack", "/", None, 0, "[]"),
        ('44/admin,{"message":"no"}', "connect_error", "/admin", None, None, '{"message":"no"}'),
        ('44"no"', "connect_error", "/", None, None, '"no"'),
        ('450-["a",1]', "event", "/", "a", None, "[1]"),
    ],
)
def test_packet_is_seen_with_its_parts(
    text: str, type_: str, namespace: str, event: str | None, ack_id: int | None, payload: str | None
) -> None:
    assert only(text) == PacketSeen(
        "client", 10, 11, "message", type_, namespace, event, ack_id, payload, (), len(text.encode())
    )


def test_payload_keeps_numbers_order_blanks_and_letters_as_sent() -> None:
    arguments = '[{"z":1.10,"a":1e400,"big":123456789012345678901234567890, "é":"\\u00e9"}]'
    packet = only('42["x",' + arguments[1:])
    assert packet.payload == arguments
    assert packet.size == len(('42["x",' + arguments[1:]).encode())


def test_event_name_that_no_file_could_store_is_escaped() -> None:
    packet = only('42["\\ud800",1]')
    assert packet.event == "\\ud800"
    assert packet.payload == "[1]"


def test_attachments_complete_their_packet_whatever_engine_packets_come_between() -> None:
    text = '452-/media,3["up",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    assert told(text, "2", b"one", "3", b"") == [
        PacketSeen("client", 20, 21, "ping", None, None, None, None, None, (), 1),
        PacketSeen("client", 40, 41, "pong", None, None, None, None, None, (), 1),
        PacketSeen(
            "client", 10, 51, "message", "event", "/media", "up", 3,
            '[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', (b"one", b""), len(text),
        ),
    ]  # fmt: skip


def test_attachments_of_both_sides_do_not_mix() -> None:
    decoder = SocketIoDecoder()
    text = b'461-5[{"_placeholder":true,"num":0}]'
    assert decoder.receive("client", text, False, 1, 1) == []
    assert decoder.receive("server", text, False, 2, 2) == []
    (server,) = decoder.receive("server", b"s", True, 3, 3)
    (client,) = decoder.receive("client", b"c", True, 4, 4)
    assert isinstance(server, PacketSeen)
    assert isinstance(client, PacketSeen)
    assert (server.sender, server.type, server.ack_id, server.attachments, server.done_ns) == (
        "server", "ack", 5, (b"s",), 3,
    )  # fmt: skip
    assert (client.sender, client.attachments, client.stamp_ns, client.done_ns) == ("client", (b"c",), 1, 4)


def test_attachments_of_engine_io_3_carry_a_type_byte() -> None:
    packet = only('451-["a",{"_placeholder":true,"num":0}]', b"\x04\x01\x02", version=3)
    assert packet.attachments == (b"\x01\x02",)
    assert [type(one) for one in told('451-["a"]', b"\x01\x02", version=3)] == [Opaque, Opaque]


def test_attachments_as_base64_on_a_websocket_are_decoded() -> None:
    assert only('451-["a",{"_placeholder":true,"num":0}]', "bAQID").attachments == (b"\x01\x02\x03",)


def test_namespace_query_of_socket_io_2_is_kept_as_payload() -> None:
    packet = only("40/admin?token=a&b=1,", version=3)
    assert (packet.type, packet.namespace, packet.payload) == ("connect", "/admin", '"token=a&b=1"')


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "no Engine.IO packet"),
        ("7", "no Engine.IO packet"),
        ("x", "no Engine.IO packet"),
        ("ok", "no Engine.IO packet"),
        ("d=42%5B%5D", "no Engine.IO packet"),
        ('___eio[0]("2");', "no Engine.IO packet"),
        ("b!", "no Engine.IO packet"),
        ("0{", "a payload that is no JSON"),
        ("4", "no Socket.IO packet"),
        ("47", "no Socket.IO packet"),
        ("42", "a payload that is no JSON"),
        ("42[", "a payload that is no JSON"),
        ('42["a"]x', "a payload that is no JSON"),
        ("42" + "[" * 100_000, "a payload that is no JSON"),
        ("42[" + "9" * 5000 + "]", "a payload that is no JSON"),
        ("42[]", "an event without a name"),
        ("42{}", "an event without a name"),
        ("42[true]", "an event without a name"),
        ("42[null]", "an event without a name"),
        ('42[["a"]]', "an event without a name"),
        ('43{"a":1}', "an ack that is no list"),
        ('45["a"]', "a binary packet without a number of attachments"),
        ('459999-["a"]', "a Socket.IO packet with an absurd number"),
        ("43" + "1" * 30 + "[]", "a Socket.IO packet with an absurd number"),
        (b"loose", "an attachment that no packet announced"),
    ],
)
def test_message_that_makes_no_sense_is_opaque_and_the_next_is_read(message: str | bytes, reason: str) -> None:
    opaque, packet = told(message, '42["next"]')
    data = message.encode() if isinstance(message, str) else message
    assert opaque == Opaque("client", 10, reason, data)
    assert isinstance(packet, PacketSeen)
    assert packet.event == "next"


def test_text_that_is_no_utf8_is_opaque() -> None:
    assert SocketIoDecoder().receive("server", b'42["\xff"]', False, 1, 2) == [
        Opaque("server", 1, "text that is no UTF-8", b'42["\xff"]')
    ]


def test_packet_whose_attachments_never_come_is_opaque_at_the_next_or_at_the_end() -> None:
    text = '452-["a"]'
    left = Opaque("client", 31, "a packet without all its attachments", text.encode())
    seen = told(text, b"one", '42["b"]')
    assert seen[0] == left
    assert isinstance(seen[1], PacketSeen)
    assert seen[1].event == "b"
    decoder = SocketIoDecoder()
    decoder.receive("client", text.encode(), False, 1, 1)
    assert decoder.end(31) == [left]
    assert decoder.end(32) == []


def test_attachments_beyond_what_is_kept_are_opaque() -> None:
    decoder = SocketIoDecoder()
    decoder.receive("client", b'499-["a"]', False, 1, 1)
    decoder.receive("client", b'4599-["a"]', False, 1, 1)
    block = b"x" * (1 << 20)
    seen: list[SocketIoObservation] = []
    count = 0
    while not seen:
        seen = decoder.receive("client", block, True, 2, 2)
        count += 1
    assert count == socketio.MAX_PENDING // len(block) + 1
    assert [type(one) for one in seen] == [Opaque, Opaque]


# Long-polling


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"", []),
        (b"ok", []),
        (b"2", [(b"2", False)]),
        (b'42["a"]', [(b'42["a"]', False)]),
        (
            b'42["a:b"]\x1e2\x1ebAQID\x1e6',
            [(b'42["a:b"]', False), (b"2", False), (b"\x01\x02\x03", True), (b"6", False)],
        ),
        (b"b!!", [(b"b!!", False)]),
        # Engine.IO 3 as text; lengths count UTF-16 units
        (b'7:42["a"]1:2', [(b'42["a"]', False), (b"2", False)]),
        ('9:42["é😀"]1:2'.encode(), [('42["é😀"]'.encode(), False), (b"2", False)]),
        (b"10:b4AQIDBA==", [(b"\x04\x01\x02\x03\x04", True)]),
        (b"6:b4AQID", [(b"\x04\x01\x02\x03", True)]),
        (b"9:short", [(b"9:short", False)]),
        (b"1:2x:3", [(b"1:2x:3", False)]),
        # Engine.IO 3 as bytes
        (
            b'\x00\x07\xff42["a"]\x01\x01\x02\xff' + b"\x04" + b"x" * 11,
            [(b'42["a"]', False), (b"\x04" + b"x" * 11, True)],
        ),
        (b"\x00\x09\xffshort", [(b"\x00\x09\xffshort", False)]),
        (b"\x00\xff", [(b"\x00\xff", False)]),
        (b'___eio[0]("2");', [(b'___eio[0]("2");', False)]),
    ],
)
def test_polling_body_is_split_into_packets(body: bytes, packets: list[tuple[bytes, bool]]) -> None:
    assert decode_payload(body) == packets


def test_polling_attachments_complete_their_packet() -> None:
    body = b'451-["a",{"_placeholder":true,"num":0}]\x1ebAQID'
    decoder = SocketIoDecoder()
    seen = [one for data, binary in decode_payload(body) for one in decoder.receive("client", data, binary, 1, 2)]
    assert [one.attachments for one in seen if isinstance(one, PacketSeen)] == [(b"\x01\x02\x03",)]


# Writing


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("connect", "/", None, None), "40"),
        (("connect", "/media", None, None), "40/media"),
        (("connect", "/media", '{"token":"x"}', None), '40/media,{"token":"x"}'),
        (("disconnect", "/media", None, None), "41/media"),
        (("event", "/", '["a"]', 12), '4212["a"]'),
        (("event", "/m", '["a"]', 0), '42/m,0["a"]'),
        (("event", "/m", '["a"]', 1, 2), '452-/m,1["a"]'),
        (("ack", "/", "[]", 3), "433[]"),
        (("ack", "/m", "[]", 3, 1), "461-/m,3[]"),
    ],
)
def test_packet_is_written_as_the_protocol_says(arguments: tuple[Any, ...], text: str) -> None:
    assert encode_packet(*arguments) == text


@pytest.mark.parametrize("arguments", [None, "[]", "[ ]"])
def test_event_without_arguments_is_its_name_alone(arguments: str | None) -> None:
    assert json.loads(encode_event("/", 'say "é"', arguments)[2:]) == ['say "é"']


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("/socket.io/?EIO=4&transport=websocket", 4),
        ("/socket.io/?transport=polling&EIO=3", 3),
        ("http://a.example/custom?x=1&EIO=4&sid=y", 4),
        ("/socket.io/?EIO=", None),
        ("/socket.io/?XEIO=4", None),
        ("/socket.io/?EIO=4x", None),
        ("/EIO=4", None),
    ],
)
def test_target_of_socket_io_names_its_engine_version(target: str, version: int | None) -> None:
    assert is_socket_io(target) == version


NAMESPACES = st.sampled_from(["/", "/media", "/a-b/c", "/é"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ACKS = st.none() | st.integers(0, 10**17)


@given(NAMESPACES, st.text(max_size=12), st.lists(JSON, max_size=3), ACKS, st.lists(st.binary(max_size=9), max_size=3))
def test_event_that_is_written_comes_back(
    namespace: str, event: str, arguments: list[Any], ack_id: int | None, attachments: list[bytes]
) -> None:
    payload = json.dumps(arguments)
    text = encode_event(namespace, event, payload, ack_id, len(attachments))
    assert only(text, *attachments) == PacketSeen(
        "client", 10, 11 + 10 * len(attachments), "message", "event", namespace, event, ack_id, payload,
        tuple(attachments), len(text.encode()),
    )  # fmt: skip


@given(st.sampled_from(["connect", "disconnect", "ack", "connect_error"]), NAMESPACES, st.none() | JSON, ACKS)
def test_packet_that_is_written_comes_back(type_: str, namespace: str, payload: Any, ack_id: int | None) -> None:
    text_payload = None if payload is None and type_ != "ack" else json.dumps([payload] if type_ == "ack" else payload)
    if text_payload is not None and text_payload[0].isdigit():
        ack_id, text_payload = None, f"[{text_payload}]"  # digits before a number would be one number
    packet = only(encode_packet(type_, namespace, text_payload, ack_id))
    assert (packet.type, packet.namespace, packet.payload, packet.ack_id) == (type_, namespace, text_payload, ack_id)


@given(
    NAMESPACES, st.text(min_size=1, max_size=8), st.lists(JSON | st.binary(max_size=8), max_size=4), ACKS, st.booleans()
)
def test_packets_of_python_socketio_are_read_as_it_meant_them(
    namespace: str, event: str, arguments: list[Any], ack_id: int | None, is_ack: bool
) -> None:
    data = arguments if is_ack else [event, *arguments]
    written = Packet(3 if is_ack else 2, data=data, namespace=namespace, id=ack_id)
    encoded = written.encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    packet = only("4" + text, *attachments)
    assert (packet.type, packet.namespace, packet.ack_id) == ("ack" if is_ack else "event", namespace, ack_id)
    assert packet.event == (None if is_ack else event)
    assert packet.attachments == tuple(one for one in arguments if isinstance(one, bytes))
    told_arguments = Packet.reconstruct_binary(json.loads(packet.payload or "null"), list(packet.attachments))
    assert told_arguments == arguments


@given(NAMESPACES, st.text(max_size=8), st.lists(JSON, max_size=3), ACKS, st.integers(0, 3))
def test_events_we_write_are_read_by_python_socketio(
    namespace: str, event: str, arguments: list[Any], ack_id: int | None, attachments: int
) -> None:
    packet = Packet(encoded_packet=encode_event(namespace, event, json.dumps(arguments), ack_id, attachments)[1:])
    assert (packet.namespace or "/", packet.data, packet.id) == (namespace, [event, *arguments], ack_id)
    assert packet.attachment_count == attachments
    assert packet.packet_type == (BINARY_EVENT if attachments else 2)
    assert int(encode_packet("ack", "/", "[]", 1, 1)[1]) == BINARY_ACK


POLLED = st.text(st.characters(codec="utf-8", exclude_characters="\x1e"), max_size=9).map(lambda text: "4" + text)


@given(st.lists(POLLED | st.binary(max_size=9), min_size=1, max_size=5))
def test_polling_bodies_of_python_engineio_are_split_as_it_meant_them(packets: list[str | bytes]) -> None:
    texts = [one if isinstance(one, str) else "b" + base64.b64encode(one).decode() for one in packets]
    body = "\x1e".join(texts).encode()
    expected = [(one.encode(), False) if isinstance(one, str) else (one, True) for one in packets]
    if len(texts) <= Payload.max_decode_packets:
        assert len(Payload(encoded_payload=body.decode()).packets) == len(expected)
    assert decode_payload(body) == expected or socketio._LENGTH.match(body)


PIECES = st.sampled_from(
    [
        "4",
        "2",
        "0",
        "5",
        "1-",
        "3",
        "/a,",
        "/",
        '["a"',
        ",1]",
        "]",
        "{",
        "}",
        '"x"',
        "\x1e",
        "b",
        "9:",
        "12",
        "\ud7ff",
        ":",
    ]
)


@given(
    st.sampled_from([3, 4]),
    st.lists(
        st.tuples(
            st.sampled_from(["client", "server"]),
            st.lists(PIECES, max_size=7).map("".join).map(str.encode) | st.binary(max_size=20),
            st.booleans(),
        ),
        max_size=8,
    ),
)
def test_any_messages_give_packets_or_opaque_and_never_an_exception(
    version: int, messages: list[tuple[Sender, bytes, bool]]
) -> None:
    decoder = SocketIoDecoder(version)
    for sender, payload, binary in messages:
        for one in decoder.receive(sender, payload, binary, 1, 2):
            assert one.sender == sender
            if isinstance(one, PacketSeen):
                if one.payload is not None:
                    json.loads(one.payload)
                assert (one.event is not None) == (one.type == "event")
                assert (one.namespace is None) == (one.engine_type != "message")
    decoder.end(3)


@given(st.lists(PIECES, max_size=9).map("".join).map(str.encode) | st.binary(max_size=40))
def test_any_polling_body_is_split_without_an_exception(body: bytes) -> None:
    packets = decode_payload(body)
    assert bool(packets) is (body not in (b"", b"ok"))
