"""What stands in the payloads of PostgreSQL messages. Pure readers: any bytes give a value, none raises.

Error and notice texts of queries are never taken: they quote values.
"""

from __future__ import annotations

import struct

from nestperf.wire.observations import DatabaseOpened


def read_string(payload: bytes, start: int) -> tuple[str, int]:
    """A zero-terminated string, and where it ends; the rest of the payload where the end was cut off."""
    end = payload.find(b"\0", start)
    if end < 0:
        end = len(payload)
    return payload[start:end].decode(errors="replace"), end + 1


def read_startup(body: bytes, stamp_ns: int) -> DatabaseOpened:
    """The pairs of a start-up message: whose connection it is, and to which database."""
    parts = [part.decode(errors="replace") for part in body.split(b"\0")]
    given = dict(zip(parts[::2], parts[1::2], strict=False))
    user = given.get("user", "")
    return DatabaseOpened(stamp_ns, given.get("database") or user, user, given.get("application_name", ""))


def read_field(payload: bytes, code: bytes) -> str | None:
    """One field of an error, such as its message (`M`): only for what a login is refused with, which quotes no data."""
    fields = (field for field in payload.split(b"\0") if field[:1] == code)
    return next((field[1:].decode(errors="replace") for field in fields), None)


def read_error(payload: bytes) -> tuple[str | None, str | None]:
    """Severity and SQLSTATE. The texts are not taken: they quote values."""
    found: dict[bytes, str] = {}
    for field in payload.split(b"\0"):
        if field[:1] in (b"V", b"S", b"C"):
            found.setdefault(field[:1], field[1:].decode(errors="replace"))
    return found.get(b"V") or found.get(b"S"), found.get(b"C")


def read_affected(tag: bytes) -> int:
    """The number in a command tag (`INSERT 0 3`, `COPY 5`, `UPDATE 1`); 0 where there is none."""
    number = tag.rstrip(b"\0").rpartition(b" ")[2]
    return int(number) if number.isdigit() and len(number) < 19 else 0


def read_types(payload: bytes, start: int) -> tuple[int, ...]:
    """The types that a Parse declares for its parameters; none where they are cut off."""
    try:
        (count,) = struct.unpack_from(">H", payload, start)
        return struct.unpack_from(f">{count}I", payload, start + 2)
    except struct.error:
        return ()


def read_parameters(payload: bytes, start: int) -> tuple[tuple[int, bytes | None], ...] | None:
    """The values of a Bind with their formats (0 text, 1 binary); None where they are cut off."""
    try:
        (codes,) = struct.unpack_from(">H", payload, start)
        formats = struct.unpack_from(f">{codes}H", payload, start + 2)
        position = start + 2 + 2 * codes
        (count,) = struct.unpack_from(">H", payload, position)
        position += 2
        values: list[tuple[int, bytes | None]] = []
        for index in range(count):
            (length,) = struct.unpack_from(">i", payload, position)
            position += 4
            form = formats[index] if codes > 1 else formats[0] if codes else 0
            if length < 0:
                values.append((form, None))
                continue
            if position + length > len(payload):
                return None
            values.append((form, payload[position : position + length]))
            position += length
    except (struct.error, IndexError):
        return None
    return tuple(values)
