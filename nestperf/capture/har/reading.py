"""Reads a HAR entry by entry, so that its size does not matter: only one entry is in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nestperf.capture.foreign import Account, ForeignExchange, is_one_request
from nestperf.capture.har.entries import LeftOut, exchange_of
from nestperf.capture.har.fields import Unreadable
from nestperf.capture.har.streaming import NOT_JSON, entries_of
from nestperf.errors import CaptureForeign, CaptureMissing, CaptureTruncated
from nestperf.printable import printable

_IS_HAR = re.compile(rb'\s*(?:\xef\xbb\xbf)?\s*\{\s*"log"\s*:\s*\{')
_CREATOR = re.compile(rb'"creator"\s*:\s*\{[^{}]{0,400}?"name"\s*:\s*"([^"\\]{1,80})"')
_OWN_VANTAGE = re.compile(rb'"creator"\s*:\s*\{"name": "nestperf"[^{}]{0,200}?"comment": "stamps of the (\w+)"')
_BOM = b"\xef\xbb\xbf"


_CREDENTIALS = frozenset({"cookie", "set-cookie", "authorization"})


def _has_credentials(exchange: ForeignExchange) -> bool:
    return any(name.lower() in _CREDENTIALS for name, _ in (*exchange.request_headers, *exchange.response_headers))


class HarFile:
    """One HAR, which stands for one user."""

    format = "har"
    all_from_browser = True

    def __init__(self, path: Path, beginning: bytes) -> None:
        self.path = path
        self.name = path.name
        creator = _CREATOR.search(beginning)
        self.creator = printable(creator[1].decode(errors="replace"), 80) if creator is not None else ""
        """The program that wrote it, as far as the file says it."""
        own = _OWN_VANTAGE.search(beginning)
        self.vantage = "proxy" if own is not None and own[1] == b"proxy" else "client"
        self.all_from_browser = own is None

    @classmethod
    def recognise(cls, path: Path, beginning: bytes) -> HarFile | None:
        """The HAR at `path`, which begins so; None where it is none."""
        return cls(path, beginning) if _IS_HAR.match(beginning) or path.suffix.lower() == ".har" else None

    def exchanges(self, account: Account) -> Iterator[ForeignExchange]:
        """What it tells, in its own order.

        Raises:
            CaptureForeign, CaptureTruncated, CaptureMissing: it is no HAR, damaged, or gone.
        """
        number = 0
        for number, entry in enumerate(self._entries(), 1):
            try:
                if not isinstance(entry, dict):
                    raise Unreadable("no object")
                exchange = exchange_of(entry, self.name)
                if not is_one_request(exchange):
                    raise Unreadable("a method or a head that is none")
            except LeftOut as reason:
                account.left_out[str(reason)] += 1
                continue
            except Unreadable as reason:
                account.unreadable += 1
                account.first_unreadable = account.first_unreadable or f"entry {number} of {self.name}: {reason}"
                continue
            account.taken += 1
            account.with_credentials += _has_credentials(exchange)
            account.without_content += sum(
                body is not None and body.content is None for body in (exchange.request_body, exchange.response_body)
            )
            yield exchange
        if not number:
            raise CaptureForeign(
                f"{self.path} has no entries: export it again while the browser's network tab is open."
            )

    def _entries(self) -> Iterator[Any]:
        try:
            with self.path.open("rb") as file:
                if file.read(3) != _BOM:
                    file.seek(0)
                yield from entries_of(file)
        except OSError as error:
            raise CaptureMissing(f"Cannot read {self.path}: {error.strerror}.") from error
        except NOT_JSON as error:
            why = printable(str(error).partition("\n")[0], 120)
            raise CaptureTruncated(f"{self.path} is no whole HAR ({why}): export it again.") from error
