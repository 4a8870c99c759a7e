"""What a PostgreSQL client asked for and the server has not answered yet."""

from __future__ import annotations

from enum import Enum


class Step(Enum):
    """What the client asked for that has an answer."""

    PARSE = "parse"
    BIND = "bind"
    DESCRIBE = "describe"
    EXECUTE = "execute"
    CLOSE = "close"
    SYNC = "sync"
    QUERY = "query"
    FUNCTION = "function"


class OpenQuery:
    """A query under way: the messages of one Execute, one simple query, or a preparation without an Execute."""

    __slots__ = (
        "cut",
        "executed",
        "first_row_ns",
        "number",
        "parameters",
        "part",
        "protocol",
        "request_bytes",
        "response_bytes",
        "rows",
        "sent_ns",
        "statement",
        "text",
    )

    def __init__(self, number: int, sent_ns: int, protocol: str) -> None:
        self.number = number
        self.sent_ns = sent_ns
        self.protocol = protocol
        self.text: str | None = None
        self.statement = ""
        self.executed = False
        self.cut = False
        self.part = 0
        self.parameters: tuple[tuple[int, bytes | None], ...] | None = None
        self.request_bytes = 0
        self.first_row_ns: int | None = None
        self.rows = 0
        self.response_bytes = 0

    def next_part(self) -> None:
        """A simple query may hold several statements: the next one begins."""
        self.part += 1
        self.first_row_ns = None
        self.rows = self.response_bytes = self.request_bytes = 0


class Asked:
    """One message of the client that waits for its answer."""

    __slots__ = ("name", "portal", "query", "step", "text", "types")

    def __init__(self, step: Step, query: OpenQuery | None, name: str = "", portal: str = "", text: str = "") -> None:
        self.step = step
        self.query = query
        self.name = name
        self.portal = portal
        self.text = text
        self.types: tuple[int, ...] = ()
