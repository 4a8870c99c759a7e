"""Turns heads and bodies into rows, each stored once, secrets replaced on the way. Recorder and replayer share it.

Of a body beyond its limit the beginning is stored, with the size and the keyed hash of the whole. A body that goes on
is stored part by part, so that a killed recording holds what had come.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from nestperf.capture.bodies import BodyCollector, DecodedBody
from nestperf.capture.model import Body, BodyPart, HeaderSet, Pairs, Row
from nestperf.capture.redaction import Redactor

MAX_REQUEST = 64 * 2**20
"""Request bodies are kept up to this size in bytes, since a replay needs them whole."""
MAX_RESPONSE = 4 * 2**20
_REMEMBERED = 20_000
"""How many head fields, header sets and bodies are remembered to be stored once."""
_LONGEST_REMEMBERED = 8192
"""Characters of a header set beyond which it is not."""
_WHOLE_UP_TO = 4096
"""A growing body up to this size on the wire is stored anew each time, a larger one part by part."""
_CONTEXT = 4096
"""Bytes before a part that may decide what is a secret in it."""
_LONGEST_LINE = 2**16
"""A part that waits for the end of its line ends elsewhere beyond this size."""


class Contents:
    """Heads and bodies of one capture. `add` is where finished rows go (`CaptureWriter.add`)."""

    def __init__(
        self,
        redactor: Redactor,
        add: Callable[[Row], None],
        *,
        max_request: int = MAX_REQUEST,
        max_response: int = MAX_RESPONSE,
    ) -> None:
        self.redactor = redactor
        self.max_request = max_request
        self.max_response = max_response
        self._add = add
        self._fields: dict[tuple[str, str], str] = {}
        self._header_sets: dict[Pairs, int] = {}
        self._bodies: dict[tuple[str, str, str, bool, int], int] = {}
        self._last_header_set = 0
        self._last_body = 0
        self._last_part = 0
        self._open_parts: dict[int, int] = {}
        """By body, the part that is not settled."""

    def headers(self, pairs: Pairs) -> int:
        """The `header_sets` id of a head's fields."""
        known = self._header_sets.get(pairs)
        if known is not None:
            return known
        fields = self._fields
        parts = []
        for pair in pairs:
            part = fields.get(pair)
            if part is None:
                if len(fields) > _REMEMBERED:
                    fields.clear()
                part = fields[pair] = json.dumps((pair[0], self.redactor.field(*pair)), ensure_ascii=False)
            parts.append(part)
        text = f"[{','.join(parts)}]"
        if len(self._header_sets) > _REMEMBERED:
            self._header_sets.clear()
        self._last_header_set += 1
        if len(text) <= _LONGEST_REMEMBERED:
            self._header_sets[pairs] = self._last_header_set
        self._add(HeaderSet(self._last_header_set, text))
        return self._last_header_set

    def forget(self) -> None:
        """Rows were given up: whatever comes is stored as if it were new."""
        self._header_sets.clear()
        self._bodies.clear()

    def collect(self, coding: str, *, request: bool) -> BodyCollector:
        """Begin a body; what comes goes into its `add`."""
        limit = self.max_request if request else self.max_response
        return BodyCollector(coding, limit, self.redactor.vault.keyed_hash)

    def decoded(self, content: bytes | None, *, coding: str, size: int, wire_size: int, request: bool) -> DecodedBody:
        """A body without its content coding; `content` None where only its sizes are known."""
        limit = self.max_request if request else self.max_response
        keyed_hash = self.redactor.vault.keyed_hash
        return DecodedBody(coding, limit, keyed_hash, content=content, size=size, wire_size=wire_size)

    def store(
        self,
        body: BodyCollector,
        *,
        media_type: str,
        chunked: bool,
        whole: bool = True,
        body_id: int | None = None,
        omit: bool = False,
        growing: bool = False,
    ) -> int | None:
        """The `bodies` id of what was collected; None for an empty body.

        `whole` False says that the body was cut off or is still growing; such a body always has a row of its own, and
        `body_id` names the row it had before. `growing`: there will be more, so only what is new is stored. `omit`
        stores everything but the content, which is elsewhere.
        """
        if not body.wire_size:
            return None
        if growing and body.wire_size > _WHOLE_UP_TO and not omit:
            return self._store_growing(body, media_type, chunked, body_id)
        content = body.content()
        digest = body.digest()
        content_id = self.redactor.vault.keyed_id(content) if digest is None else digest
        key = (content_id, media_type, body.coding, chunked, body.wire_size)
        reusable = whole and body_id is None and not body.absent
        if reusable:
            known = self._bodies.get(key)
            if known is not None:
                return known
        if body_id is None:
            self._last_body += 1
            body_id = self._last_body
        if reusable:
            if len(self._bodies) > _REMEMBERED:
                self._bodies.clear()
            self._bodies[key] = body_id
        self._open_parts.pop(body_id, None)
        complete = whole and len(content) == body.size
        state = "undecodable" if not body.decodable else "whole" if complete else "cut"
        redacted: bytes | None = None
        if omit or body.absent:
            state = "omitted"
        else:
            redacted = self.redactor.body(content, media_type, cut=not complete)
        self._add(
            Body(body_id, content_id, media_type, body.coding, chunked, body.size, body.wire_size, state, redacted)
        )
        return body_id

    def _store_growing(self, body: BodyCollector, media_type: str, chunked: bool, body_id: int | None) -> int:
        body.decode_as_it_comes()
        if body_id is None or not body.in_parts:
            return self._begin_parts(body, media_type, chunked, body_id)
        kept, start = body.kept, body.in_parts
        if len(kept) == start:
            return body_id  # at its limit, or nothing came
        end = _end_of_part(kept, start)
        if end > start:
            before, new = bytes(kept[max(0, start - _CONTEXT) : start]), bytes(kept[start:end])
            redacted = self.redactor.body(new, media_type)
            if self.redactor.body(before + new, media_type) != self.redactor.body(before, media_type) + redacted:
                return self._begin_parts(body, media_type, chunked, body_id)  # a secret across the border
            self._add(BodyPart(self._open_part(body_id), body_id, redacted))
            del self._open_parts[body_id]
            body.in_parts = end
        if end < len(kept):
            rest = self.redactor.body(bytes(kept[end:]), media_type, cut=True)
            self._add(BodyPart(self._open_part(body_id), body_id, rest))
        return body_id

    def _begin_parts(self, body: BodyCollector, media_type: str, chunked: bool, body_id: int | None) -> int:
        if body_id is None:
            self._last_body += 1
            body_id = self._last_body
        self._open_parts.pop(body_id, None)
        end = _end_of_part(body.kept, 0)
        content = self.redactor.body(bytes(body.kept[:end]), media_type)
        body.in_parts = end
        sizes = body.size, body.wire_size
        self._add(Body(body_id, body.digest() or "", media_type, body.coding, chunked, *sizes, "cut", content))
        if end < len(body.kept):
            rest = self.redactor.body(bytes(body.kept[end:]), media_type, cut=True)
            self._add(BodyPart(self._open_part(body_id), body_id, rest))
        return body_id

    def _open_part(self, body_id: int) -> int:
        """The row of a body's last part, which is replaced until its end is settled."""
        if body_id not in self._open_parts:
            self._last_part += 1
            self._open_parts[body_id] = self._last_part
        return self._open_parts[body_id]

    def body(self, raw: bytes, *, media_type: str, coding: str, chunked: bool, request: bool) -> int | None:
        """The `bodies` id of a body that is there at once, still content-coded; None for an empty one."""
        if not raw:
            return None
        collector = self.collect(coding, request=request)
        collector.add(raw)
        return self.store(collector, media_type=media_type, chunked=chunked)

    def attachment(self, content: bytes) -> int:
        """The `bodies` id of a Socket.IO attachment."""
        stored = self.body(content, media_type="application/octet-stream", coding="", chunked=False, request=True)
        return stored if stored is not None else self._empty_attachment()

    def _empty_attachment(self) -> int:
        self._last_body += 1
        self._add(Body(self._last_body, "", "application/octet-stream", "", False, 0, 0, "whole", b""))
        return self._last_body


def _end_of_part(kept: bytearray, start: int) -> int:
    """Where a part that begins at `start` ends: behind a line, since few secrets go over two."""
    end = kept.rfind(b"\n", start) + 1
    if not end and len(kept) - start > _LONGEST_LINE:
        end = max(kept.rfind(mark, start) for mark in (b",", b" ", b"&", b">")) + 1 or len(kept)
    return max(end, start)
