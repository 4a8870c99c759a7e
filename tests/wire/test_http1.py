"""Conversations over one HTTP/1 connection: each whole, byte by byte, and in any pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nestperf.wire import heads, http1, messages
from nestperf.wire.http1 import Http1Connection, ResponseReader
from nestperf.wire.observations import (
    HttpObservation,
    Interim,
    Opaque,
    RequestBody,
    RequestEnd,
    RequestHead,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Sender,
    Switched,
)

Turn = tuple[Sender, bytes | None]
"""What one side does: bytes, or None for its end."""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def c(data: bytes | None) -> Turn:
    return "client", data


def s(data: bytes | None) -> Turn:
    return "server", data


def play(turns: Iterable[Turn]) -> list[HttpObservation]:
    """Feed the turns, turn n at the stamp n (counted from 1)."""
    connection = Http1Connection()
    seen: list[HttpObservation] = []
    for stamp_ns, (sender, data) in enumerate(turns, 1):
        seen += connection.end(sender, stamp_ns) if data is None else connection.receive(sender, data, stamp_ns)
    return seen


def byte_by_byte(turns: Iterable[Turn]) -> Iterator[Turn]:
    for sender, data in turns:
        if data is None:
            yield sender, None
        else:
            yield from ((sender, data[index : index + 1]) for index in range(len(data)))


def facts(seen: Iterable[HttpObservation]) -> list[Any]:
    """What must be the same however the bytes were cut: stamps apart, neighbouring pieces of a body joined."""
    rows: list[Any] = []
    for one in seen:
        row: Any = (type(one).__name__, one._replace(stamp_ns=0))
        if isinstance(one, Opaque):
            row = ("Opaque", one.sender, one.reason)
        elif isinstance(one, RequestBody | ResponseBody):
            if rows and rows[-1][:2] == [type(one).__name__, one.exchange]:
                rows[-1][2] += one.data
                continue
            row = [type(one).__name__, one.exchange, one.data]
        elif isinstance(one, Switched):
            left = {side: b"".join(d for who, d, _ in one.leftover if who == side) for side in ("client", "server")}
            row = ("Switched", one.exchange, one.protocol, left)
        rows.append(row)
    return rows


def told(turns: list[Turn]) -> list[HttpObservation]:
    """The observations of a conversation, after checking that cutting it into bytes tells the same."""
    seen = play(turns)
    whole, cut = facts(seen), facts(play(byte_by_byte(turns)))
    for row in (*whole, *cut):
        if row[0] == "Switched":
            row[3]["server"] = b""  # byte by byte it comes after the switch and is the next decoder's
    assert cut == whole
    return seen


def test_exchange_in_two_chunks_gives_both_messages_with_stamps_and_sizes() -> None:
    assert told([c(GET), s(OK)]) == [
        RequestHead(1, 1, "GET", "/", "HTTP/1.1", (("Host", "a"),), len(GET)),
        RequestEnd(1, 1, (), len(GET), False, True),
        ResponseHead(1, 2, 200, "OK", "HTTP/1.1", (("Content-Length", "2"),), len(OK) - 2),
        ResponseBody(1, 2, b"ok"),
        ResponseEnd(1, 2, (), len(OK), False, True),
    ]


def test_exchange_in_many_chunks_is_stamped_at_its_first_and_last_bytes() -> None:
    turns = [c(GET[:3]), c(GET[3:-2]), c(GET[-2:]), s(OK[:30]), s(OK[30:-1]), s(OK[-1:])]
    seen = play(turns)
    assert [(type(one).__name__, one.stamp_ns) for one in seen] == [
        ("RequestHead", 1),
        ("RequestEnd", 3),
        ("ResponseHead", 4),
        ("ResponseBody", 5),
        ("ResponseBody", 6),
        ("ResponseEnd", 6),
    ]


def test_pipelined_requests_are_answered_in_order() -> None:
    requests = b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(4))
    answers = b"".join(b"HTTP/1.1 20%d X\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(3))
    seen = told([c(requests), s(answers)])
    assert [(one.exchange, one.target) for one in seen if isinstance(one, RequestHead)] == [
        (1, "/0"),
        (2, "/1"),
        (3, "/2"),
        (4, "/3"),
    ]
    assert [(one.exchange, one.status) for one in seen if isinstance(one, ResponseHead)] == [
        (1, 200),
        (2, 201),
        (3, 202),
    ]
    assert [one.data for one in seen if isinstance(one, ResponseBody)] == [b"0", b"1", b"2"]


def test_request_body_by_length_arrives_in_pieces_as_it_came() -> None:
    head = b"POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\n"
    seen = told([c(head + b"ab"), c(b"cde" + GET), s(OK)])
    assert seen[1:4] == [
        RequestBody(1, 1, b"ab"),
        RequestBody(1, 2, b"cde"),
        RequestEnd(1, 2, (), len(head) + 5, False, True),
    ]
    assert isinstance(seen[4], RequestHead)
    assert seen[4].exchange == 2


@pytest.mark.parametrize(
    ("wire", "body", "trailers"),
    [
        (b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", b"abcde", ()),
        (b"2\nab\n3\ncde\n0\n\n", b"abcde", ()),
        (b"2;name=value\r\nab\r\n0002 ; x\r\ncd\r\n1\t\r\ne\r\n000;last\r\n\r\n", b"abcde", ()),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", ()),
        (b"a\r\n\r\n\r\n0\r\n\r\n\r\r\n0\r\n\r\n", b"\r\n\r\n0\r\n\r\n\r", ()),
        (b"0\r\n\r\n", b"", ()),
        (b"1\r\nx\r\n0\r\nX-Sum: 7\r\nx-sum: 8\r\n\r\n", b"x", (("X-Sum", "7"), ("x-sum", "8"))),
        (b"1\r\nx\r\n0\nX-Sum: 7\n\n", b"x", (("X-Sum", "7"),)),
    ],
)
def test_chunked_body_is_given_without_its_framing(wire: bytes, body: bytes, trailers: Any) -> None:
    seen = told([c(GET), s(CHUNKS + wire), c(GET), s(OK)])
    assert b"".join(one.data for one in seen if isinstance(one, ResponseBody) and one.exchange == 1) == body
    ends = [one for one in seen if isinstance(one, ResponseEnd)]
    assert ends[0] == ResponseEnd(1, 2, trailers, len(CHUNKS + wire), True, True)
    assert ends[1].complete


def test_chunks_of_one_arrival_are_one_piece() -> None:
    seen = play([c(GET), s(CHUNKS), s(b"1\r\na\r\n1\r\nb\r\n1\r"), s(b"\nc\r"), s(b"\n0\r\n\r\n")])
    assert [one.data for one in seen if isinstance(one, ResponseBody)] == [b"ab", b"c"]


def test_chunked_request_with_trailers_ends_with_them() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 99\r\n\r\n"
    rest = b"3\r\nabc\r\n0\r\nX-A: b\r\n\r\n"
    seen = told([c(head + rest), s(OK)])
    assert seen[1:3] == [RequestBody(1, 1, b"abc"), RequestEnd(1, 1, (("X-A", "b"),), len(head + rest), True, True)]


@pytest.mark.parametrize(
    ("request_head", "answer"),
    [
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (HEAD, b"HTTP/1.1 200 OK\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
    ],
)
def test_answers_without_a_body_end_with_their_head(request_head: bytes, answer: bytes) -> None:
    seen = told([c(request_head + GET), s(answer + OK)])
    assert [one for one in seen if isinstance(one, ResponseEnd)] == [
        ResponseEnd(1, 2, (), len(answer), False, True),
        ResponseEnd(2, 2, (), len(OK), False, True),
    ]


def test_interim_answers_come_before_the_final_one_and_are_not_counted_in_it() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    seen = told(
        [c(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"), s(interim), c(b"x"), s(OK)]
    )
    assert [one for one in seen if isinstance(one, Interim)] == [
        Interim(1, 2, 100, "Continue", ()),
        Interim(1, 2, 103, "Early Hints", (("Link", "</a>"),)),
    ]
    assert seen[-1] == ResponseEnd(1, 4, (), len(OK), False, True)


def test_answer_whose_body_ends_with_the_connection_is_complete_at_the_end() -> None:
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    seen = told([c(GET), s(head + b"all"), s(b" of it"), s(None), c(None)])
    assert seen[-1] == ResponseEnd(1, 4, (), len(head) + 9, False, True)


@pytest.mark.parametrize("wire", [OK[:-1], CHUNKS + b"5\r\nabc", CHUNKS + b"3\r\nabc\r\n", CHUNKS + b"0\r\nX: 1\r\n"])
def test_answer_that_is_cut_off_ends_incomplete_with_what_came(wire: bytes) -> None:
    seen = told([c(GET), s(wire), s(None), c(None)])
    assert isinstance(seen[-1], ResponseEnd)
    assert (seen[-1].complete, seen[-1].wire_size, seen[-1].stamp_ns) == (False, len(wire), 3)


def test_request_that_is_cut_off_ends_incomplete() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
    seen = told([c(head + b"four"), c(None)])
    assert seen[-1] == RequestEnd(1, 2, (), len(head) + 4, False, False)


def test_answer_may_come_whole_after_the_client_has_ended() -> None:
    seen = told([c(GET), c(None), s(OK), s(None)])
    assert seen[-1] == ResponseEnd(1, 3, (), len(OK), False, True)


def test_requests_without_an_answer_stay_open_when_the_server_ends() -> None:
    seen = told([c(GET + GET), s(None), c(None)])
    assert [type(one) for one in seen] == [RequestHead, RequestEnd] * 2


def test_ends_on_an_idle_connection_say_nothing_and_may_repeat() -> None:
    assert len(told([c(GET), s(OK), s(None), s(None), c(None), c(None)])) == 5


@pytest.mark.parametrize("turns", [[c(GET[:9]), c(None)], [c(GET), s(OK[:20]), s(None)]])
def test_head_that_is_cut_off_is_opaque_at_the_end(turns: list[Turn]) -> None:
    last = told(turns)[-1]
    assert isinstance(last, Opaque)
    assert (last.reason, last.data) == ("ended inside a head", turns[-2][1])


def test_empty_lines_before_messages_are_no_part_of_them() -> None:
    seen = told([c(b"\r\n\r\n" + GET + b"\r\n"), s(b"\r\n" + OK + b"\r\n\r\n")])
    assert [one.wire_size for one in seen if isinstance(one, RequestEnd | ResponseEnd)] == [len(GET), len(OK)]


def test_bare_line_feeds_end_lines_as_well() -> None:
    body = b"\r\n\r\na: b\n\n"
    head = b"HTTP/1.1 200 OK\nContent-Length: %d\nX: y\n\n" % len(body)
    seen = told([c(GET.replace(b"\r\n", b"\n")), s(head + body)])
    assert seen[2:] == [
        ResponseHead(1, 2, 200, "OK", "HTTP/1.1", (("Content-Length", "10"), ("X", "y")), len(head)),
        ResponseBody(1, 2, body),
        ResponseEnd(1, 2, (), len(head + body), False, True),
    ]


def test_folded_fields_and_absolute_targets_are_read() -> None:
    seen = told([c(b"GET http://a.example/x HTTP/1.1\r\nX: one\r\n\ttwo\r\nHost: a.example\r\n\r\n")])
    assert seen[0] == RequestHead(
        1, 1, "GET", "http://a.example/x", "HTTP/1.1", (("X", "one two"), ("Host", "a.example")), 66
    )


def test_early_answer_is_paired_while_the_request_still_comes() -> None:
    seen = told([c(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"), s(OK), c(b"cd" + GET), s(OK)])
    assert [(type(one).__name__, one.exchange) for one in seen if isinstance(one, RequestEnd | ResponseEnd)] == [
        ("ResponseEnd", 1),
        ("RequestEnd", 1),
        ("RequestEnd", 2),
        ("ResponseEnd", 2),
    ]


def test_switch_gives_the_101_and_the_bytes_of_both_sides_that_follow() -> None:
    seen = play([c(UPGRADE + b"\x81early"), c(b"more"), s(SWITCHING + b"\x81hello"), c(b"GET"), s(b"x"), s(None)])
    assert seen[2:] == [
        ResponseHead(
            1, 3, 101, "Switching Protocols", "HTTP/1.1", (("Upgrade", "websocket"), ("Connection", "Upgrade")),
            len(SWITCHING),
        ),
        ResponseEnd(1, 3, (), len(SWITCHING), False, True),
        Switched(
            1, 3, "websocket",
            (("client", b"\x81early", 1), ("client", b"more", 2), ("server", b"\x81hello", 3)),
        ),
    ]  # fmt: skip
    told([c(UPGRADE + b"early"), s(SWITCHING + b"hello")])


def test_switch_takes_the_protocol_from_the_request_where_the_answer_names_none() -> None:
    seen = told([c(UPGRADE), s(b"HTTP/1.1 101 Go\r\n\r\n")])
    assert isinstance(seen[-1], Switched)
    assert (seen[-1].protocol, seen[-1].leftover) == ("websocket", ())


def test_upgrade_that_is_refused_goes_on_as_http_with_what_was_held() -> None:
    seen = told([c(UPGRADE + GET[:7]), c(GET[7:]), s(b"HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno"), s(OK), c(GET)])
    assert [type(one).__name__ for one in seen] == [
        "RequestHead",
        "RequestEnd",
        "ResponseHead",
        "RequestHead",
        "RequestEnd",
        "ResponseBody",
        "ResponseEnd",
        "ResponseHead",
        "ResponseBody",
        "ResponseEnd",
        "RequestHead",
        "RequestEnd",
    ]
    assert (seen[3].stamp_ns, seen[4].stamp_ns) == (1, 2)


def test_upgrade_behind_interim_answers_still_decides_at_the_final_one() -> None:
    seen = told([c(UPGRADE + b"ws"), s(b"HTTP/1.1 100 Continue\r\n\r\n"), s(SWITCHING)])
    assert isinstance(seen[-1], Switched)
    assert seen[-1].leftover == (("client", b"ws", 1),)


def test_upgrades_one_behind_the_other_are_held_one_at_a_time() -> None:
    refused = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    seen = told([c(UPGRADE + UPGRADE + b"ws"), s(refused + SWITCHING)])
    assert [one.exchange for one in seen if isinstance(one, RequestHead)] == [1, 2]
    assert isinstance(seen[-1], Switched)
    assert (seen[-1].exchange, seen[-1].leftover) == (2, (("client", b"ws", 1),))


def test_held_bytes_outlive_the_end_of_the_client() -> None:
    seen = told([c(UPGRADE + GET), c(None), s(OK + OK)])
    assert [one.exchange for one in seen if isinstance(one, ResponseEnd)] == [1, 2]
    cut = told([c(UPGRADE + GET[:9]), c(None), s(OK)])
    assert any(isinstance(one, Opaque) and one.data == GET[:9] for one in cut)


def test_held_bytes_beyond_the_limit_make_the_client_opaque() -> None:
    turns = [c(UPGRADE), *[c(b"x" * 65536) for _ in range(20)], s(SWITCHING + b"ws"), c(b"y"), s(b"z")]
    seen = play(turns)
    opaque = [one for one in seen if isinstance(one, Opaque)]
    assert [one.sender for one in opaque] == ["client", "server"]
    assert http1.MAX_HELD < len(opaque[0].data) <= http1.MAX_HELD + 65536
    assert not any(isinstance(one, Switched) for one in seen)


def test_switch_during_a_request_body_ends_the_request_incomplete() -> None:
    head = UPGRADE.replace(b"Host: a", b"Content-Length: 9")
    seen = told([c(head + b"abc"), s(SWITCHING)])
    assert [one for one in seen if isinstance(one, RequestEnd)] == [RequestEnd(1, 2, (), len(head) + 3, False, False)]
    assert isinstance(seen[-1], Switched)


def test_connect_that_is_granted_makes_both_directions_opaque() -> None:
    connect = b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"
    seen = told([c(connect + b"\x16tls"), s(b"HTTP/1.1 200 Yes\r\nContent-Length: 9\r\n\r\n\x16tls"), c(GET), s(OK)])
    assert [type(one).__name__ for one in seen] == [
        "RequestHead",
        "RequestEnd",
        "ResponseHead",
        "ResponseEnd",
        "Opaque",
        "Opaque",
    ]
    assert [(one.sender, one.data) for one in seen if isinstance(one, Opaque)] == [
        ("client", b"\x16tls"),
        ("server", b"\x16tls"),
    ]


def test_connect_that_is_refused_goes_on_as_http() -> None:
    seen = told([c(b"CONNECT a:443 HTTP/1.1\r\n\r\n" + GET), s(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n" + OK)])
    assert [one.status for one in seen if isinstance(one, ResponseHead)] == [405, 200]


@pytest.mark.parametrize(
    ("turns", "sender", "reason"),
    [
        ([c(b"A" * 33)], "client", "no HTTP/1 message from the client"),
        ([c(b"\x16\x03\x01\x02\x00\x01")], "client", "no HTTP/1 message from the client"),
        ([c(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], "client", "no HTTP/1 message from the client"),
        ([c(b"GET /\r\n")], "client", "no HTTP/1 message from the client"),
        ([c(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")], "client", "a header line that is none"),
        ([c(b"POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\nx")], "client", "a body whose length contradicts itself"),
        ([s(OK)], "server", "an answer that nobody asked for"),
        ([c(GET), s(OK + OK)], "server", "an answer that nobody asked for"),
        ([c(GET), s(b"SSH-2.0-x\r\n")], "server", "no HTTP/1 message from the server"),
        ([c(GET), s(b"HTTP/1.1 abc\r\n")], "server", "no HTTP/1 message from the server"),
        (
            [c(GET), s(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")],
            "server",
            "a body whose length contradicts itself",
        ),
        ([c(GET), s(CHUNKS + b"xyz\r\n")], "server", "a chunk size that is none"),
        ([c(GET), s(CHUNKS + b"-1\r\n")], "server", "a chunk size that is none"),
        ([c(GET), s(CHUNKS + b"1\r\nab\r\n")], "server", "a chunk that is longer than its size"),
        ([c(GET), s(CHUNKS + b"1\r\na\rb\r\n")], "server", "a chunk that is longer than its size"),
        ([c(GET), s(CHUNKS + b"0\r\nno colon\r\n\r\n")], "server", "a trailer line that is none"),
    ],
)
def test_bytes_that_make_no_sense_are_one_opaque_and_then_silence(
    turns: list[Turn], sender: Sender, reason: str
) -> None:
    seen = told([*turns, (sender, GET), (sender, OK), (sender, None)])
    assert [(one.sender, one.reason) for one in seen if isinstance(one, Opaque)] == [(sender, reason)]
    assert isinstance(seen[-1], Opaque)


def test_opaque_request_leaves_the_answers_to_earlier_ones_readable() -> None:
    seen = told([c(GET + b"\x00garbage"), s(OK), s(b"HTTP/1.1 400 Bad Request\r\n\r\n")])
    assert [(type(one).__name__, one.stamp_ns) for one in seen[2:]] == [
        ("Opaque", 1),
        ("ResponseHead", 2),
        ("ResponseBody", 2),
        ("ResponseEnd", 2),
        ("Opaque", 3),
    ]


@pytest.mark.parametrize("piece", [b"x", b"x" * 1460])
@pytest.mark.parametrize(
    ("turns", "limit"),
    [
        ([c(b"GET /")], heads.MAX_HEAD),
        ([c(b"GET / HTTP/1.1\r\nX: ")], heads.MAX_HEAD),
        ([c(GET), s(CHUNKS + b"5;")], messages.MAX_CHUNK_LINE),
        ([c(GET), s(CHUNKS + b"0\r\nX: ")], heads.MAX_HEAD),
    ],
)
def test_heads_and_lines_without_end_are_given_up_at_the_limit(turns: list[Turn], limit: int, piece: bytes) -> None:
    connection = Http1Connection()
    for side, data in turns:
        assert data is not None
        connection.receive(side, data, 1)
    sender: Sender = "server" if len(turns) == 2 else "client"
    assert connection.receive(sender, b"x" * (limit - 3000), 1) == []
    seen: list[HttpObservation] = []
    while not seen:
        seen = connection.receive(sender, piece, 2)
    assert isinstance(seen[0], Opaque)
    assert len(seen) == 1
    assert limit < len(seen[0].data) <= limit + len(piece)


def test_head_of_nearly_the_limit_is_read() -> None:
    field = b"X-Long: " + b"x" * 8000 + b"\r\n"
    head = b"GET / HTTP/1.1\r\n" + field * (heads.MAX_HEAD // len(field) - 1) + b"\r\n"
    pieces = [c(head[index : index + 1460]) for index in range(0, len(head), 1460)]
    seen = play([*pieces, s(OK)])
    assert isinstance(seen[0], RequestHead)
    assert seen[0].size == len(head)
    assert isinstance(seen[-1], ResponseEnd)


# One direction alone


def test_reader_alone_pairs_answers_with_what_was_expected() -> None:
    reader = ResponseReader()
    assert (reader.expect("HEAD"), reader.expect("GET")) == (1, 2)
    seen = reader.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + OK, 5)
    assert [one.exchange for one in seen if isinstance(one, ResponseEnd)] == [1, 2]
    assert reader.reusable


@pytest.mark.parametrize(
    ("answer", "reusable"),
    [
        (OK, True),
        (CHUNKS + b"0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False),
        (b"garbage", False),
        (SWITCHING, False),
        (OK + b"\r\n", True),
        (OK + b"more than was asked for", False),
    ],
)
def test_reader_alone_says_whether_the_connection_may_be_used_again(answer: bytes, reusable: bool) -> None:
    for pieces in ([answer], [answer[index : index + 1] for index in range(len(answer))]):
        reader = ResponseReader()
        reader.expect("GET", "websocket")
        for piece in pieces:
            reader.receive(piece, 1)
        assert reader.reusable is reusable
        reader.end(2)
        assert not reader.reusable


def test_reader_alone_gives_what_follows_a_switch() -> None:
    reader = ResponseReader()
    reader.expect("GET", "websocket")
    seen = reader.receive(SWITCHING + b"\x81\x00", 3)
    assert seen[-1] == Switched(1, 3, "websocket", (("server", b"\x81\x00", 3),))
    assert reader.switched
    assert reader.receive(b"more", 4) == []
    assert reader.end(5) == []


# Any pieces, any bytes

TOKENS = st.sampled_from(
    [
        b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"HEAD / HTTP/1.0", b"CONNECT a:1 HTTP/1.1", b"HTTP/1.1 200 OK",
        b"HTTP/1.1 101 S", b"HTTP/1.1 100 C", b"HTTP/1.0 304 N", b"HTTP/1.1 204 ", b"\r\n", b"\r\n\r\n", b"\n", b"\n\n",
        b"\r", b"Content-Length: 3", b"content-length:0", b"Transfer-Encoding: chunked", b"Connection: close",
        b"Upgrade: x", b"Connection: upgrade", b"A: b", b" folded", b"abc", b"0", b"3", b"1;e", b"\x00", b":", b" ",
        b"0\r\n\r\n", b"3\r\nabc\r\n", GET, UPGRADE, OK, CHUNKS, SWITCHING,
    ]
)  # fmt: skip
NOISE = st.one_of(TOKENS, TOKENS, TOKENS, st.binary(max_size=8))
SENDERS: st.SearchStrategy[Sender] = st.sampled_from(["client", "server"])
CONVERSATION = st.lists(
    st.tuples(SENDERS, st.one_of(st.none(), st.lists(NOISE, min_size=1, max_size=6).map(b"".join))), max_size=8
)


def until_ends(turns: list[Turn]) -> list[Turn]:
    """Without what a side would do after its end: no connection does that."""
    ended: set[str] = set()
    kept: list[Turn] = []
    for sender, data in turns:
        if sender not in ended:
            kept.append((sender, data))
        if data is None:
            ended.add(sender)
    return kept


@given(CONVERSATION, st.data())
@example([("client", b"GET / HTTP/1.1\rX: y\r\n\r\n")], None)
def test_any_conversation_tells_the_same_in_any_pieces(turns: list[Turn], data: st.DataObject | None) -> None:
    turns = until_ends(turns)
    whole = facts(play(turns))
    pieces: list[Turn] = []
    for sender, sent in turns:
        if sent is None or data is None:
            pieces.append((sender, sent))
            continue
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(sent) - 1)), max_size=5)))
        pieces += [(sender, sent[a:b]) for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    for other in (facts(play(pieces)), facts(play(byte_by_byte(turns)))):
        for row in (*whole, *other):
            if row[0] == "Switched":
                row[3]["server"] = b""
        assert other == whole


@given(CONVERSATION)
def test_any_conversation_gives_each_byte_of_a_message_a_place(turns: list[Turn]) -> None:
    turns = until_ends(turns)
    seen = play(turns)
    for sender, head, end in (("client", RequestHead, RequestEnd), ("server", ResponseHead, ResponseEnd)):
        sent = sum(len(data or b"") for who, data in turns if who == sender)
        assert sum(one.wire_size for one in seen if isinstance(one, end)) <= sent
        assert sum(isinstance(one, end) for one in seen) <= sum(isinstance(one, head) for one in seen)
        assert sum(isinstance(one, Opaque) and one.sender == sender for one in seen) <= 1


@given(st.lists(st.tuples(SENDERS, st.binary(max_size=200)), max_size=6))
def test_any_bytes_give_observations_and_never_an_exception(turns: list[tuple[Sender, bytes]]) -> None:
    play([*turns, ("client", None), ("server", None)])
