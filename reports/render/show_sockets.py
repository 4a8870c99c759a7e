"""A socket or packet with what stands around it, for a terminal. Every captured string passes `printable`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nestperf.capture.model import Packet, Run
from nestperf.console import duration, plural, size
from nestperf.printable import columns_of, printable, shorten
from reports.render.contents import first_lines, laid_out
from reports.render.moments import moment, offset
from reports.render.table import INDENT, Row, facts, render_table
from reports.views import SocketView

_LABEL = 200


def render_socket(view: SocketView, run: Run, file: str, width: int, most: int) -> Iterator[tuple[str, list[str]]]:
    s = view.socket
    if view.chosen is not None:
        p = view.chosen
        yield f"Packet {p.id} of {file}", facts([*_facts_of_packet(view, p, run)], width)
        yield "Payload", first_lines(laid_out(p.payload), width, most) if p.payload else []
        yield f"On socket:{s.id} before and after", packet_rows(view.packets, p.stamp_ns, width, chosen=p.id)
        yield "Next", [f"{INDENT}nestperf show {printable(file, _LABEL)} socket:{s.id}   the whole connection"]
        return
    yield f"Socket {s.id} of {file}", facts([*_facts_of_socket(view, run)], width)
    yield "Packets", packet_rows(view.packets, s.opened_ns, width, gap=(view.skipped_at, view.skipped))
    if s.exchange_id is not None:
        opened = f"nestperf show {printable(file, _LABEL)} {s.exchange_id}   the exchange that opened it"
        yield "Next", [INDENT + opened]


def _facts_of_packet(view: SocketView, p: Packet, run: Run) -> Iterator[tuple[str, str]]:
    yield "what", printable(" ".join(filter(None, (p.type or p.engine_type, p.event))), _LABEL)
    yield "from", p.sender
    if p.namespace is not None:
        yield "namespace", printable(p.namespace or "/", _LABEL)
    yield "at", moment(p.stamp_ns, run)
    if p.ack_id is not None and p.type == "event":
        answer = view.answer
        waited = None if answer is None else answer.done_ns - (p.intended_ns or p.stamp_ns)
        yield "ack", "never came" if answer is None else f"packet:{answer.id}, after {duration(waited)}"
    if p.answers is not None:
        yield "answers", f"packet:{p.answers}"
    yield "size", size(p.size)
    if p.source_packet is not None:
        yield "recorded as", f"packet:{p.source_packet} of {printable(run.source_path or 'the recording', 80)}"


def _facts_of_socket(view: SocketView, run: Run) -> Iterator[tuple[str, str]]:
    s = view.socket
    version = "" if s.version is None else f", Engine.IO {s.version}"
    yield "what", printable(f"{s.protocol}{version} at {s.target}", _LABEL)
    yield "came to", f"{s.outcome.replace('_', ' ')}{f': {printable(s.detail, _LABEL)}' if s.detail else ''}"
    yield "transports", printable(s.transports, 60)
    yield "opened", moment(s.opened_ns, run)
    if s.connected_ns is not None:
        yield "connected", f"after {duration(s.connected_ns - s.opened_ns)}"
    if s.closed_ns is not None:
        by = {"cut": "cut, without a close handshake"}.get(s.closed_by or "", f"by {s.closed_by}")
        code = "" if s.close_code is None else f", code {s.close_code} {printable(s.close_reason or '', 60)}".rstrip()
        yield "closed", f"after {duration(s.closed_ns - s.opened_ns)}, {by}{code}"
    if view.session is not None:
        yield "user", f"session:{view.session.id}"
    yield "carried", f"{plural(view.total, 'packet')}, {plural(view.frames, 'frame')}"
    if s.source_socket is not None:
        yield "recorded as", f"socket:{s.source_socket} of {printable(run.source_path or 'the recording', 80)}"


def packet_rows(
    packets: Sequence[Packet], begin_ns: int, width: int, *, chosen: int | None = None, gap: tuple[int, int] = (0, 0)
) -> list[str]:
    """A line each; `gap`: after so many packets so many were left out."""
    after, left_out = gap
    room = max(20, width - _BESIDE)
    rows = [
        Row(
            label=_packet_text(p, room),
            lead=f"{'›' if p.id == chosen else ' '} packet:{p.id}",
            cells=("server ›" if p.sender == "server" else "› server", size(p.size), offset(p.stamp_ns - begin_ns)),
            below=f"{INDENT}… {left_out:,} more packets …" if left_out and place == after else "",
        )
        for place, p in enumerate(packets, 1)
    ]
    return render_table(("from", "size", "at"), rows, width) if rows else []


_BESIDE = 46
"""Columns that number, sender, size and time take beside what a packet says."""


def _packet_text(p: Packet, room: int) -> str:
    """`service:status in /status [{"id":…`: what it is, and how its payload begins."""
    if p.type is None:
        return printable(p.engine_type, room)
    what = p.event if p.type == "event" else p.type
    ack = "" if p.ack_id is None else f" #{p.ack_id}"
    name = printable(f"{what}{ack} in {p.namespace or '/'}", room)
    payload = printable((p.payload or "")[:room])
    left = room - columns_of(name) - 2
    if columns_of(payload) > left:
        payload = f"{payload[: max(0, left - 1)]}…" if payload.isascii() else shorten(payload, max(1, left))
    return f"{name}  {payload}" if left > 4 and payload else name
