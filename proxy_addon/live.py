"""What a tester sees while recording: a table that keeps itself up to date, or plain lines without a terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nestperf.capture.model import Outcome
from nestperf.console import duration, plural, size
from nestperf.printable import printable
from proxy_addon.tally import Tally

_PLAIN_EVERY_NS = 5_000_000_000
_LATE_NS = 1_000_000_000


class LiveView:
    """Shows a tally. On a terminal it redraws one table, elsewhere it prints a line now and then when there is news."""

    def __init__(self, tally: Tally, *, quiet: bool = False) -> None:
        """`quiet`: the terminal is somebody else's; only what must not wait is said."""
        self._tally = tally
        self._quiet = quiet
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._shown: object = None
        self._noticed: set[str] = set()
        self._worries: set[str] = set()
        """What was lost, or may be, when the last line was printed: news of it does not wait."""
        self._next_line_ns = _PLAIN_EVERY_NS

    def start(self) -> None:
        """Begin to show."""
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def show(self, now_ns: int, stored_bytes: int) -> None:
        """Show the state at `now_ns` since the run began; what the tester should know is said once."""
        for sentence in self._tally.notices:
            if sentence not in self._noticed:
                self._noticed.add(sentence)
                self._console.print(Text(printable(sentence), style="yellow"), soft_wrap=True)
        if self._live is not None:
            self._live.update(_table(self._tally, now_ns, stored_bytes), refresh=True)
            return
        worries = {*self._tally.losses, *(trouble.partition(":")[0][-8:] for trouble in troubles(self._tally))}
        if (now_ns >= self._next_line_ns and not self._quiet) or worries - self._worries:
            self._next_line_ns = now_ns + _PLAIN_EVERY_NS
            self._worries = worries
            line = ", ".join([counts(self._tally), *troubles(self._tally)])
            if line != self._shown:
                self._shown = line
                self._console.print(Text(f"{now_ns / 1e9:6.0f} s  {line}  ({size(stored_bytes)})"), soft_wrap=True)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()


def counts(tally: Tally) -> str:
    """The tally in one line."""
    parts = [plural(tally.exchanges, "exchange")]
    parts += [f"{count:,} {outcome}" for outcome, count in tally.outcomes.items() if outcome is not Outcome.OK]
    parts.append(plural(tally.sockets, "socket"))
    parts.append(plural(sum(tally.events.values()), "event"))
    if tally.messages:
        parts.append(plural(tally.messages, "WebSocket message"))
    if tally.pages:
        parts.append(plural(tally.pages, "page"))
    if tally.queries:
        parts.append(plural(tally.queries.total(), "SQL query", "SQL queries"))
        parts += [f"{count:,} SQL {outcome}" for outcome, count in tally.queries.items() if outcome != "ok"]
    parts += [f"LOST: {count:,} {kind}" for kind, count in tally.losses.items()]
    if tally.sockets_cut:
        parts.append(f"{plural(tally.sockets_cut, 'socket')} cut by nestperf")
    if tally.unreachable:
        parts.append(f"{plural(tally.unreachable, 'connection')} refused by the application")
    return ", ".join(parts)


def troubles(tally: Tally) -> list[str]:
    """What the tester must not forget, and what is not lost yet, but may be."""
    found = [text for text in (tally.warning, tally.trouble) if text]
    if tally.behind_ns > _LATE_NS:
        found.append(f"the recorder is {duration(tally.behind_ns)} behind the traffic")
    return found


def _table(tally: Tally, now_ns: int, stored_bytes: int) -> Group:
    head = Table.grid(padding=(0, 3))
    minutes, seconds = divmod(now_ns // 10**9, 60)
    queries = [plural(tally.queries.total(), "SQL query", "SQL queries")] if tally.queries else []
    head.add_row(
        Text(f"recording {minutes:02d}:{seconds:02d}", style="bold red"),
        plural(tally.exchanges, "exchange"),
        Text(f"{tally.failed:,} failed", style="bold red" if tally.failed else "dim"),
        f"{tally.sockets_open:,} of {plural(tally.sockets, 'socket')} open",
        plural(sum(tally.events.values()), "event"),
        *([plural(tally.messages, "WebSocket message")] if tally.messages else []),
        *queries,
        *([plural(tally.pages, "page")] if tally.pages else []),
        Text(size(stored_bytes), style="dim"),
    )
    parts: list[Table | Text] = [head]
    if tally.losses:
        lost = ", ".join(f"{count:,} {kind}" for kind, count in tally.losses.items())
        parts.append(Text(f"Not recorded: {lost}", style="bold red"))
    parts += [Text(f"{trouble[0].upper()}{trouble[1:]}", style="bold red") for trouble in troubles(tally)]
    if tally.slowest:
        slowest = Table("slowest so far", "", "", box=None, padding=(0, 2), header_style="dim", pad_edge=False)
        for slow in tally.slowest:
            shown = Text(printable(f"{slow.method} {slow.route}", 60))
            slowest.add_row(shown, str(slow.status or "-"), Text(duration(slow.service_ns), justify="right"))
        parts.append(slowest)
    if tally.events:
        top = ", ".join(f"{printable(name, 30)} {count:,}" for name, count in tally.events.most_common(6))
        parts.append(Text(f"events: {top}", overflow="ellipsis", no_wrap=True))
    if tally.mark:
        parts.append(Text(f"mark: {printable(tally.mark, 70)}", style="bold"))
    if tally.asking is not None:
        asked = f"Mark: {printable(tally.asking, 70)}█   (Enter keeps it, Escape drops it)"
        parts.append(Text(asked, style="bold yellow"))
    else:
        keys = "m names what you do next, " if tally.takes_keys else ""
        parts.append(Text(f"{keys}Ctrl-C ends the recording", style="dim"))
    return Group(*parts)
