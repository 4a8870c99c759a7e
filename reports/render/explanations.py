"""Why a promise is broken, for a terminal: what was expected and measured, the worst three, the likely cause, and the
command to go on with. Every captured string passes `printable`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nestperf.capture.model import Run
from nestperf.console import duration, plural, size
from nestperf.printable import printable
from reports.breakdown import Part
from reports.causes.evidence import Cause, CauseKind
from reports.explain import Explanation, Worst
from reports.render import sentences
from reports.render.moments import moment
from reports.render.pages import slowest_sentence
from reports.render.table import Row, note, render_table
from reports.verdict import Judgement

_LABEL = 200
_PARTS = (Part.BEFORE, Part.CONNECT, Part.SEND, Part.WAIT, Part.TRANSFER)
_TITLES = {part: part.partition(" ")[0] for part in _PARTS}


def render_explanations(judgement: Judgement, width: int) -> list[str]:
    """The lines of all explanations; what was said of one promise is not said again of the next."""
    lines: list[str] = []
    said: dict[object, str] = {}
    for explanation in judgement.explanations:
        name = sentences.name_of(explanation.judged)
        lines += note(f"{name}: {sentences.reason(explanation.judged)}", width)
        first = said.setdefault(tuple(worst.ref for worst in explanation.worst), name)
        if first == name:
            lines += _table(explanation.worst, width)
        elif explanation.worst:
            lines += note(f"The worst are those of {first}.", width)
        for text in cause_sentences(explanation, judgement, said):
            lines += note(text, width)
        lines.append("")
    return lines[:-1]


def _table(worst: tuple[Worst, ...], width: int) -> list[str]:
    if not worst:
        return []
    parts = [part for part in _PARTS if any(_is_worth_showing(item, part) for item in worst)]
    titles = ("outcome", "took", *(_TITLES[part] for part in parts), "nestperf", "at")
    rows = [_row(item, parts) for item in worst]
    return render_table(titles, rows, width, give_way=("at", "before", "send", "nestperf", "connect"))


def _is_worth_showing(worst: Worst, part: Part) -> bool:
    """Whether a part is one twentieth of the whole or more."""
    whole = sum(stretch.length_ns for stretch in worst.stretches)
    return any(20 * stretch.length_ns >= whole for stretch in worst.stretches if stretch.part is part)


def _row(worst: Worst, parts: list[Part]) -> Row:
    lengths = {stretch.part: stretch.length_ns for stretch in worst.stretches}
    shown = (duration(lengths[part]) if part in lengths else "" for part in parts)
    added = "" if worst.added_ns is None else duration(worst.added_ns)
    took_ns = sum(lengths.values()) if worst.value_ns is None else worst.value_ns
    took = duration(took_ns) if took_ns else ""
    return Row(
        label=printable(worst.title, _LABEL),
        lead=worst.ref,
        cells=(printable(worst.outcome, 20), took, *shown, added, duration(worst.sent_ns)),
    )


def cause_sentences(
    explanation: Explanation, judgement: Judgement, said: dict[object, str] | None = None
) -> Iterator[str]:
    """The likely causes, and what to do next. `said`: causes by the promise of which they were said already."""
    said = {} if said is None else said
    name = sentences.name_of(explanation.judged)
    for cause in explanation.causes:
        first = said.setdefault(replace(cause, explained=0, broken=0), name)
        text = f"as of {first} ({_share(cause)})" if first != name else cause_sentence(cause, judgement.run)
        yield f"Likely cause: {text}"
    if explanation.page is not None:
        yield slowest_sentence(explanation.page)
    elif not explanation.causes and explanation.worst:
        details = {worst.detail for worst in explanation.worst}
        shared = details.pop() if len(details) == 1 else ""
        yield f"The same of all shown: {shared}." if shared else "No cause stands out in what was recorded."
    if explanation.worst and explanation.worst[0].ref:
        yield f"Next: nestperf show {printable(judgement.capture_path, _LABEL)} {explanation.worst[0].ref}"


def cause_sentence(cause: Cause, run: Run) -> str:
    """One cause with its evidence and what would settle it."""
    return f"{_CAUSES[cause.kind](cause, run)} ({_share(cause)})"


def _share(cause: Cause) -> str:
    return f"accounts for {cause.explained:,} of {cause.broken:,}"


def _restart(cause: Cause, run: Run) -> str:
    assert cause.begin_ns is not None
    assert cause.end_ns is not None
    return (
        f"the application restarted. Nothing could connect from {_moment(cause.begin_ns, run)} on, for "
        f"{duration(cause.end_ns - cause.begin_ns)}; before and after it answered. Its log should say why."
    )


def _gone(cause: Cause, run: Run) -> str:
    return (
        f"the application went away. From {_moment(cause.begin_ns, run)} on nothing could connect any more. "
        "Is it still running?"
    )


def _limited(cause: Cause, run: Run) -> str:
    sent = "" if not cause.busy else f", after {plural(round(cause.busy), 'request')} of that user within a minute"
    return (
        f"the application limits requests. The first 429 came at {_moment(cause.begin_ns, run)}{sent}. "
        "Raise its limit for tests, think longer between steps, or give each user an address of its own."
    )


def _expired(cause: Cause, run: Run) -> str:
    return (
        f"a token expired or was revoked. 401 was answered {_where(cause)} from {_moment(cause.begin_ns, run)} on, to "
        "users who had been let in there before."
    )


def _unauthorized(cause: Cause, run: Run) -> str:
    return (
        f"credentials that were never accepted. 401 was answered {_where(cause)} from {_moment(cause.begin_ns, run)} "
        "on, to users who had not been let in there before; are the recording's secrets beside it, and still valid?"
    )


def _server_errors(cause: Cause, run: Run) -> str:
    return (
        f"the application answers {cause.status} {_where(cause)}, first at {_moment(cause.begin_ns, run)}. See its log."
    )


def _timeouts(cause: Cause, run: Run) -> str:
    return f"no answer in time {_where(cause)}, first at {_moment(cause.begin_ns, run)}."


def _mismatches(cause: Cause, run: Run) -> str:
    return (
        f"another answer than recorded: mostly {cause.status} {_where(cause)}, first at "
        f"{_moment(cause.begin_ns, run)}. Is the application's data as it was when recording?"
    )


def _pause(cause: Cause, run: Run) -> str:
    assert cause.begin_ns is not None
    assert cause.end_ns is not None
    return (
        f"the application paused. At {_moment(cause.begin_ns, run)} nothing was answered for "
        f"{duration(cause.end_ns - cause.begin_ns)}, and all of these waited for it: a lock, a collection of garbage, "
        "a busy machine."
    )


def _one_route(cause: Cause, run: Run) -> str:
    usual = "" if cause.usual_ns is None else f" where the others take {duration(cause.usual_ns)}"
    return f"one slow route. {_place(cause)} takes {duration(cause.broken_ns)}{usual} (medians)."


def _connecting(cause: Cause, run: Run) -> str:
    return f"slow connects. Half of the time or more passed before a connection stood: {duration(cause.broken_ns)}."


def _sent_late(cause: Cause, run: Run) -> str:
    return (
        f"sent late: {duration(cause.broken_ns)} (median) passed between due and sent, waiting for one of the user's "
        "connections or for nestperf itself; see send lag."
    )


def _transfer(cause: Cause, run: Run) -> str:
    return (
        f"slow transfer: answers of {size(cause.size or 0)} (median) took {duration(cause.broken_ns)} from first to "
        "last byte. Smaller pages of data, or compression?"
    )


def _queueing(cause: Cause, run: Run) -> str:
    users = run.settings.get("users")
    fewer = f": replay with --users {max(1, users // 2)}" if isinstance(users, int) and users > 1 else ""
    return (
        f"requests queue under load. With {cause.usual:.0f} under way an answer takes {duration(cause.usual_ns)}, with "
        f"{cause.busy:.0f} it takes {duration(cause.broken_ns)} (medians). With fewer users it should go{fewer}."
    )


_CAUSES = {
    CauseKind.RESTART: _restart,
    CauseKind.GONE: _gone,
    CauseKind.LIMITED: _limited,
    CauseKind.EXPIRED: _expired,
    CauseKind.UNAUTHORIZED: _unauthorized,
    CauseKind.SERVER_ERRORS: _server_errors,
    CauseKind.TIMEOUTS: _timeouts,
    CauseKind.MISMATCHES: _mismatches,
    CauseKind.PAUSE: _pause,
    CauseKind.ONE_ROUTE: _one_route,
    CauseKind.CONNECTING: _connecting,
    CauseKind.SENT_LATE: _sent_late,
    CauseKind.TRANSFER: _transfer,
    CauseKind.QUEUEING: _queueing,
}


def _moment(ns: int | None, run: Run) -> str:
    assert ns is not None
    return moment(ns, run)


def _place(cause: Cause) -> str:
    return f"{printable(cause.method or '', 20)} {printable(cause.route or '', 80)}"


def _where(cause: Cause) -> str:
    return "on several routes" if cause.route is None else f"on {_place(cause)}"
