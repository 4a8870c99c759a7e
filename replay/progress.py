"""What a tester sees while a replay runs: one line that keeps itself up to date, or plain lines without a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nestperf.capture.model import FAILED, Outcome
from nestperf.console import plural
from replay.certificate import Tally

_PLAIN_EVERY_NS = 5_000_000_000


class Progress:
    """Shows a tally and the time left."""

    def __init__(self, total_ns: int | None) -> None:
        """`total_ns`: how long the run will take; None where nobody knows."""
        self._total_ns = total_ns
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._next_line_ns = _PLAIN_EVERY_NS

    def start(self) -> None:
        """Begin to show."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def show(self, tallies: tuple[Tally, ...], elapsed_ns: int) -> None:
        """Show the state at that moment."""
        line = describe(tallies, elapsed_ns, self._total_ns)
        if self._live is not None:
            self._live.update(Text(line), refresh=True)
        elif elapsed_ns >= self._next_line_ns:
            self._next_line_ns = elapsed_ns + _PLAIN_EVERY_NS
            self._console.print(Text(line), soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Tell the user something, above the line."""
        self._console.print(Text(sentence), soft_wrap=True)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()


def describe(tallies: Sequence[Tally], elapsed_ns: int, total_ns: int | None) -> str:
    """The state of a run in one line; `tallies`: of its sides."""
    seconds = elapsed_ns / 1e9
    requests = sum(tally.requests for tally in tallies)
    parts = [f"{plural(sum(tally.alive for tally in tallies), 'user')} under way", plural(requests, "request")]
    if seconds >= 1:
        parts[-1] += f" ({requests / seconds * 60:,.0f} a minute)"
    outcomes = sum((tally.outcomes for tally in tallies), Counter[Outcome]())
    told = (*sorted(FAILED, key=str), Outcome.LIMITED, Outcome.DROPPED)
    parts += [f"{outcomes[outcome]:,} {outcome}" for outcome in told if outcomes[outcome]]
    if any(tally.sockets for tally in tallies):
        parts.append(plural(sum(tally.sockets for tally in tallies), "socket"))
    return f"{seconds:6.0f} s  {', '.join(parts)}{_left(elapsed_ns, total_ns)}"


def _left(elapsed_ns: int, total_ns: int | None) -> str:
    if total_ns is None:
        return ""
    if elapsed_ns >= total_ns:
        return "; waiting for what is in flight"
    return f"; {(total_ns - elapsed_ns) / 1e9:.0f} s left"
