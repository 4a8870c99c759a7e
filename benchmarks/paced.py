"""A client that asks at a steady rate, in turns of a second straight to the application and through a proxy, so that
both see the same machine; latencies count from the moment a request was due."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator

CONNECTIONS = 4
"""Requests take turns on so many connections: one late answer does not delay the next request."""


class _Line:
    """One keep-alive connection."""

    def __init__(self, port: int, target: str, headers: tuple[str, ...]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = (f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers)
        self._request = "\r\n".join((*lines, "", "")).encode()

    def ask(self) -> None:
        """Send the request and read the whole answer."""
        self._socket.sendall(self._request)
        held = self._socket.recv(2**18)
        while (end := held.find(b"\r\n\r\n")) < 0:
            held += self._socket.recv(2**18)
        head = held[:end].lower()
        start = head.index(b"content-length:") + 15
        left = int(head[start : head.find(b"\r\n", start) if head.find(b"\r\n", start) > 0 else None]) - len(
            held[end + 4 :]
        )
        while left > 0:
            left -= len(self._socket.recv(2**18))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def ask_in_turns(
    ports: list[int], target: str, headers: tuple[str, ...], *, rate: float, turn_s: float = 1.0
) -> Generator[list[list[int]], None, None]:
    """Latencies in nanoseconds for each port: one turn of `turn_s` seconds at `rate` a second each, again and again."""
    lines = [[_Line(port, target, headers) for _ in range(CONNECTIONS)] for port in ports]
    try:
        while True:
            yield [_turn(several, int(turn_s * rate), int(1e9 / rate)) for several in lines]
    finally:
        for line in (line for several in lines for line in several):
            line.close()


def _turn(lines: list[_Line], requests: int, step_ns: int) -> list[int]:
    told = []
    due_ns = time.perf_counter_ns() + 20_000_000
    for number in range(requests):
        while (left_ns := due_ns - time.perf_counter_ns()) > 0:
            if left_ns > 300_000:
                time.sleep((left_ns - 200_000) / 1e9)
        lines[number % CONNECTIONS].ask()
        told.append(time.perf_counter_ns() - due_ns)
        due_ns += step_ns
    return told
