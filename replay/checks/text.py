"""How contracts read: what was chosen, the numbers of one, and the table of all. Pure; nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nestperf.console import NOTHING, duration, limit, plural
from nestperf.printable import printable
from nestperf.verdicts import Verdict, disagree
from replay.checks.contract import Number, Traffic
from replay.checks.performance import INTERRUPTED, Performed
from replay.checks.suite import Entry
from reports.render.table import INDENT, Row, note, render_table
from reports.render.text import NARROWEST, WIDEST

_LABEL = 200


def describe_choice(number: int, entry: Entry, traffic: Traffic | str) -> Iterator[str]:
    """What a contract will do; a text instead of traffic says why it cannot."""
    source = f" ({entry.source})" if entry.source else ""
    yield printable(f"{number:3}. {entry.name}{source}", _LABEL)
    if isinstance(traffic, str):
        yield printable(f"     not measured: {traffic}", 2 * _LABEL)
        return
    for sentence in traffic.chosen:
        yield printable(f"     {sentence}", 2 * _LABEL)


def describe_result(performed: Performed) -> Iterator[str]:
    """The numbers of a contract that has ended."""
    finding = performed.finding
    yield printable(f"{finding.verdict.upper()}  {performed.entry.name}: {finding.measured}", _LABEL)
    told = [format_number(number) for number in finding.numbers]
    if told:
        yield f"  {'; '.join(told)}"
    yield from (printable(f"  {sentence}", 3 * _LABEL) for sentence in finding.sentences)
    yield from (printable(f"  Invalid: {sentence}", 3 * _LABEL) for sentence in performed.invalid)
    if performed.path is not None:
        yield f"  Stored in {performed.path}; see more with `nestperf report {performed.path}`."


def format_number(number: Number) -> str:
    """`slowest 41.2 ms (limit 5 s)`."""
    promised = "" if number.limit is None else f" (limit {_limit(number.limit, number.unit)})"
    return f"{number.name} {_value(number.value, number.unit)}{promised}"


def _limit(value: float, unit: str) -> str:
    return limit(round(value)) if unit == "ns" else _value(value, unit)


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    if unit == "ns":
        return duration(value)
    if unit == "share":
        return f"{value * 100:.3g} %"
    return f"{value:,.6g}{f' {unit}' if unit else ''}"


def render_contracts(performed: Sequence[Performed], origin: str, width: int) -> str:
    """The answer in one line, and a table of all contracts; ends with a newline."""
    width = max(NARROWEST, min(width, WIDEST))
    rows = [_row(one, width) for one in performed]
    lines = [headline(performed), f"Contracts: {printable(origin, _LABEL)}", ""]
    lines += render_table(("measured", "n"), rows, width, label="contract")
    remarks = [line for one in performed for line in _remarks(one, width)]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"


def headline(performed: Sequence[Performed]) -> str:
    """The first line."""
    required = [one for one in performed if one.entry.required]
    invalid = [one for one in performed if one.invalid]
    broken = [one for one in required if one.finding.verdict is Verdict.FAIL]
    open_ones = [one for one in required if one.finding.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED)]
    if invalid:
        return f"INVALID  {plural(len(invalid), 'contract')} of {len(performed)} measured nothing that counts."
    if broken:
        return f"FAIL  {len(broken)} of {plural(len(required), 'required contract')} broken."
    if open_ones:
        return f"CAN'T TELL  {len(open_ones)} of {plural(len(required), 'required contract')} could not be judged."
    if not required:
        return "NOTHING JUDGED  No contract of this suite is required."
    return f"PASS  All {plural(len(required), 'required contract')} kept." if len(required) > 1 else "PASS  It is kept."


def _row(one: Performed, width: int) -> Row:
    finding = one.finding
    below = " · ".join(filter(None, (one.entry.source, finding.limit, "" if one.entry.required else "optional")))
    return Row(
        label=printable(one.entry.name, _LABEL),
        cells=(finding.measured, f"{finding.n:,}" if finding.n else ""),
        lead="invalid" if one.invalid else str(finding.verdict),
        below=INDENT * 2 + printable(below, width - 2 * len(INDENT)) if below else "",
    )


def _remarks(one: Performed, width: int) -> Iterator[str]:
    sentences = (*one.invalid, *one.finding.sentences)
    if disagree(one.runs):
        kept = sum(verdict is Verdict.PASS for verdict in one.runs)
        why = "Ctrl-C ended the rest" if one.state == INTERRUPTED else "what holds sometimes is no promise kept"
        sentences = (f"held in {kept} of {len(one.runs)} runs: {why}.", *sentences)
    for sentence in sentences:
        yield from note(printable(f"{one.entry.name}: {sentence}", 4 * _LABEL), width)
    if one.finding.verdict is Verdict.FAIL and one.path is not None:
        yield from note(f"See `nestperf report {one.path}`.", width)
