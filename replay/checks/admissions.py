"""What a rate limit did, over rows: when it refused, what it said, who was let in again, who else noticed. Pure.

A refusal is no failure and no latency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from nestperf.capture.kinds import field
from nestperf.capture.model import FAILED, Exchange, Outcome, Pairs
from nestperf.console import duration, limit
from nestperf.durations import SECOND_NS
from replay.checks.announced import Announced, announced
from replay.checks.contract import Finding, Number
from replay.checks.findings import nothing_came, verdict_of

GRACE_NS = 2 * SECOND_NS
"""Retry-After is in whole seconds, rounded up: it may say this much more than the window."""


def retry_after_ns(headers: Pairs) -> int | None:
    """How long Retry-After says to wait (RFC 9110, 10.2.3): seconds, or a date held against the answer's own; None
    where it is missing or neither."""
    text = field(headers, "retry-after").strip()
    if text.isascii() and text.isdigit():
        return int(text) * SECOND_NS
    try:
        moment, now = parsedate_to_datetime(text), parsedate_to_datetime(field(headers, "date"))
        return max(0, round((moment - now).total_seconds() * SECOND_NS))
    except (ValueError, TypeError):
        return None


class Asked(NamedTuple):
    """What was promised, and what is known of those who tried it."""

    requests: int
    window_ns: int
    comes_back: bool = True
    """Somebody waited as long as Retry-After said."""
    named: bool = True
    """Both are known to be different people, by identities."""


def judge_limit(
    pressed: Sequence[Exchange],
    bystander: Sequence[Exchange],
    before: int,
    asked: Asked,
    heads: Mapping[int, Pairs],
) -> Finding:
    """Hold what was admitted and refused against the promise.

    `before`: how many other requests the same person had sent to get there; they may count or not, unless the server
    says how many it counted.
    """
    requests, window_ns = asked.requests, asked.window_ns
    promised = f"{requests:,} in {limit(window_ns)}, then 429"
    if not pressed:
        return nothing_came(promised, "None of the requests was sent.")
    place = next((n for n, one in enumerate(pressed) if one.outcome is Outcome.LIMITED), None)
    judge = _Judge(pressed, bystander, place, heads)
    told = announced(heads.get(pressed[0].response_headers or 0, ()))
    judge.number(before, requests, window_ns, told)
    if place is not None:
        judge.refusal(window_ns)
        if asked.comes_back:
            judge.comes_back()
        judge.other(named=asked.named)
    judge.failures()
    admitted = len(pressed) if place is None else place
    return Finding(
        verdict=verdict_of(broken=bool(judge.broken), missing=bool(judge.open)),
        measured="never refused" if place is None else f"refused after {admitted:,}",
        limit=promised,
        n=len(pressed),
        numbers=(
            Number("admitted", admitted, "", requests),
            Number("sent before", before),
            Number("Retry-After", judge.retry_ns, "ns", window_ns),
            Number("back after", judge.back_ns, "ns"),
            Number("others admitted meanwhile", judge.others_admitted),
        ),
        sentences=(*judge.broken, *judge.open),
    )


class _Judge:
    """Collects what is broken and what stays open."""

    def __init__(
        self,
        pressed: Sequence[Exchange],
        bystander: Sequence[Exchange],
        place: int | None,
        heads: Mapping[int, Pairs],
    ) -> None:
        self.broken: list[str] = []
        self.open: list[str] = []
        self.retry_ns: int | None = None
        self.back_ns: int | None = None
        self.others_admitted: int | None = None
        self._pressed = pressed
        self._bystander = bystander
        self._place = place
        self._heads = heads

    def number(self, before: int, requests: int, window_ns: int, told: Announced | None) -> None:
        """Refused exactly when the number was used up."""
        admitted = len(self._pressed) if self._place is None else self._place
        used_most = before
        if told is not None and told.used is not None and told.requests == requests:
            if told.used > before and admitted < requests:
                self.open.append(
                    f"The server says that {told.used} of {requests:,} were used before: let the window end, run again."
                )
                return
            used_most = min(before, told.used)
        last = self._pressed[admitted - 1 if self._place is None else self._place]
        took_ns = last.sent_ns - self._pressed[0].sent_ns
        if took_ns > window_ns:
            self.open.append(
                f"{admitted:,} requests took {duration(took_ns)}, longer than the window: too slow to tell."
            )
        elif admitted > requests:
            many = "none was refused" if self._place is None else f"the {_nth(admitted + 1)} was the first refused"
            self.broken.append(f"{admitted:,} requests were admitted where {requests:,} are promised: {many}.")
        elif self._place is None:
            self.open.append(f"Only {admitted:,} requests were sent, too few to be refused.")
        elif admitted + used_most < requests:
            rest = f" (and {used_most} before them, at most)." if used_most else "."
            self.broken.append(
                f"The {_nth(admitted + 1)} request was refused: {admitted:,} were admitted where {requests:,} are "
                f"promised{rest}"
            )

    def refusal(self, window_ns: int) -> None:
        """The 429 says when to come back, and not later than the window ends."""
        assert self._place is not None
        headers = self._heads.get(self._pressed[self._place].response_headers or 0, ())
        self.retry_ns = retry_after_ns(headers)
        if self.retry_ns is None:
            text = field(headers, "retry-after")
            self.broken.append(
                f"The 429 has no usable Retry-After ({text})." if text else "The 429 has no Retry-After."
            )
        elif self.retry_ns > window_ns + GRACE_NS:
            self.broken.append(f"Retry-After says {duration(self.retry_ns)}; the window is {limit(window_ns)}.")

    def comes_back(self) -> None:
        """Who comes back when Retry-After said so is admitted."""
        assert self._place is not None
        refused = self._pressed[self._place]
        if self.retry_ns is None or refused.done_ns is None:
            return
        after = [one for one in self._pressed[self._place + 1 :] if one.sent_ns >= refused.done_ns + self.retry_ns]
        if not after:
            if not self.broken:
                self.open.append(
                    "Nobody came back after the refusal, so that nothing says whether it would be admitted."
                )
            return
        self.back_ns = after[0].sent_ns - refused.done_ns
        if after[0].outcome is Outcome.LIMITED:
            self.broken.append(
                f"Retry-After said {duration(self.retry_ns)}, and the request sent after {duration(self.back_ns)} was "
                "refused again."
            )

    def other(self, *, named: bool) -> None:
        """Somebody else does not notice."""
        assert self._place is not None
        meanwhile = [one for one in self._bystander if one.sent_ns >= self._pressed[self._place].sent_ns]
        limited = sum(one.outcome is Outcome.LIMITED for one in self._bystander)
        self.others_admitted = sum(one.outcome is Outcome.OK for one in meanwhile)
        if limited:
            hint = "" if named else " Both signed in as recorded: if that is one account, name two with --identities."
            self.broken.append(f"Another identity was refused too: {limited} of {len(self._bystander)} requests.{hint}")
        elif not meanwhile:
            self.open.append("Nobody else sent anything meanwhile, so that nothing says whether others are affected.")

    def failures(self) -> None:
        """What went wrong in another way."""
        failed = [one for one in (*self._pressed, *self._bystander) if one.outcome in FAILED]
        for how, count in Counter((one.detail or str(one.outcome)).rstrip(".") for one in failed).items():
            self.broken.append(f"{count:,} requests ended otherwise: {how}.")


def _nth(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
