"""Bodies as HAR tells them: as text, as base64, as fields of a form, or by their size alone. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from nestperf.capture.foreign import Content
from nestperf.capture.har.fields import Object, bytes_of, count_of, object_of, objects, text_of

_HEAD = re.compile(r"(?:content-(?:type|length|encoding):[^\r\n]*\r\n){1,4}\r\n", re.IGNORECASE)
_FIELD = re.compile(r"(?m)^([\w-]+):")


def request_body_of(request: Object) -> tuple[Content | None, frozenset[str]]:
    """The body, and the names of head fields that its text began with: Firefox puts those of an upload there, as well
    as behind the request's own."""
    told = object_of(request, "postData")
    text = text_of(told, "text")
    head = _HEAD.match(text)
    again = frozenset(name.lower() for name in _FIELD.findall(head[0])) if head is not None else frozenset()
    wire_size = count_of(request, "bodySize")
    if head is not None:
        text, wire_size = text[head.end() :], None
    content = bytes_of(text, text_of(told, "_encoding") or text_of(told, "encoding"))
    if not content and (params := objects(told, "params")):
        content = _form(params, text_of(told, "mimeType"))
    if not content:
        return (Content(None, wire_size, wire_size) if wire_size else None), again
    return Content(content, len(content), wire_size or len(content)), again


def _form(params: list[Object], media_type: str) -> bytes:
    """A body of which only the fields are told."""
    fields = [(text_of(one, "name"), text_of(one, "value"), text_of(one, "fileName"), one) for one in params]
    boundary = media_type.partition("boundary=")[2].partition(";")[0].strip(' "')
    if not boundary:
        return urlencode([(name, value) for name, value, _, _ in fields], errors="replace").encode()
    parts = []
    for name, value, file_name, one in fields:
        file = f'; filename="{file_name}"' if file_name else ""
        media = text_of(one, "contentType")
        lines = [f'Content-Disposition: form-data; name="{name}"{file}', *([f"Content-Type: {media}"] if media else [])]
        parts.append(f"--{boundary}\r\n" + "\r\n".join(lines) + f"\r\n\r\n{value}\r\n")
    return ("".join(parts) + f"--{boundary}--\r\n").encode("utf-8", "surrogatepass")


def response_body_of(response: Object) -> Content | None:
    """The body, decoded as browsers have it."""
    told = object_of(response, "content")
    size, wire_size = count_of(told, "size") or 0, count_of(response, "bodySize") or 0
    content = bytes_of(text_of(told, "text"), text_of(told, "encoding"))
    if not content:
        return Content(None, size or wire_size, wire_size or size) if size or wire_size else None
    whole = max(size, len(content)) if told.get("_cut") is True else len(content)
    return Content(content, whole, wire_size or len(content))
