"""A report as JUnit XML: a case for each threshold and for each compared route, as CI servers read them.

What fails is a failure, what makes exit code 4 is an error, and what the exit code does not depend on is skipped with
its reason. Every text passes `printable`, so nothing that XML cannot hold, and no terminal's escape, reaches the file.
The elements and attributes are those that the schemas of Ant's JUnit task and of Jenkins have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

from nestperf.capture.model import Run
from nestperf.capture.remarks import remarks_of
from nestperf.printable import printable
from nestperf.verdicts import Verdict
from reports.compare.model import Change, Grounds, RouteChange
from reports.render import comparison as comparing
from reports.render import sentences
from reports.render.explanations import cause_sentences
from reports.rules import Judged
from reports.verdict import Judgement

_LONGEST = 2_000
_NAME = 200
_FAILURE, _ERROR, _SKIPPED = "failure", "error", "skipped"


class Case(NamedTuple):
    """One test case, and what it has instead of a pass."""

    classname: str
    name: str
    element: str = ""
    """`failure`, `error`, `skipped`; empty: it passed."""
    type: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()


def render_junit(judgement: Judgement) -> str:
    """The whole document, ending with a newline."""
    cases = [*_of_run(judgement), *_of_thresholds(judgement), *_of_routes(judgement)]
    counts = {kind: str(sum(case.element == kind for case in cases)) for kind in (_FAILURE, _ERROR, _SKIPPED)}
    counted = {"tests": str(len(cases)), "failures": counts[_FAILURE], "errors": counts[_ERROR]}
    suites = ET.Element("testsuites", counted, name="nestperf")
    suite = ET.SubElement(
        suites,
        "testsuite",
        counted,
        name=_text(judgement.capture_name, _NAME),
        id="0",
        package="nestperf",
        hostname="localhost",
        timestamp=_timestamp(judgement.run),
        time=_seconds(judgement.run),
        skipped=counts[_SKIPPED],
    )
    _properties(suite, judgement)
    for case in cases:
        _add(suite, case)
    ET.SubElement(suite, "system-out").text = _text(sentences.headline(judgement), _LONGEST)
    remarks = remarks_of(judgement.run, judgement.capture_name)
    ET.SubElement(suite, "system-err").text = "\n".join(_text(remark, _LONGEST) for remark in remarks)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _of_run(judgement: Judgement) -> Iterator[Case]:
    """Whether the run can be judged at all."""
    case = Case("nestperf.run", "The run is valid")
    if judgement.invalid:
        first, *rest = judgement.invalid
        case = case._replace(element=_ERROR, type="invalid", message=first, lines=tuple(rest))
    yield case


def _of_thresholds(judgement: Judgement) -> Iterator[Case]:
    causes = {
        id(explained.judged): tuple(cause_sentences(explained, judgement)) for explained in judgement.explanations
    }
    for judged in judgement.judged:
        case = Case("nestperf.thresholds", judged.threshold.name)
        element = _element(judged)
        if judgement.invalid:
            why = f"No verdict of an invalid run counts; it would be {judged.verdict}."
            case = case._replace(element=_SKIPPED, type="invalid", message=why)
        elif element:
            optional = "" if judged.required or judged.verdict is Verdict.NOT_APPLICABLE else "Optional: "
            message = f"{optional}{judged.verdict}: {sentences.reason(judged)}"
            lines = (judged.threshold.expression.text, *causes.get(id(judged), ()))
            case = case._replace(element=element, type=str(judged.verdict), message=message, lines=lines)
        yield case


def _element(judged: Judged) -> str:
    if judged.verdict is Verdict.PASS:
        return ""
    if not judged.required:
        return _SKIPPED
    return _FAILURE if judged.verdict in (Verdict.FAIL, Verdict.REGRESSION) else _ERROR


def _of_routes(judgement: Judgement) -> Iterator[Case]:
    compared = judgement.comparison
    if compared is None or judgement.invalid:
        return
    if not compared.judged:
        message = "No route could be compared with the baseline."
        yield Case("nestperf.baseline", "Routes can be compared", _ERROR, "nothing judged", message)
    for route in compared.routes:
        yield _of_route(route)


def _of_route(route: RouteChange) -> Case:
    case = Case(f"nestperf.baseline.{route.key.kind}", comparing.name_of(route.key), type=str(route.change))
    why = comparing.reason(route)
    times = f"p50 {comparing.times(route.old.p50_ns, route.new.p50_ns)}"
    times += f", p95 {comparing.times(route.old.p95_ns, route.new.p95_ns)}"
    match route.change:
        case Change.REGRESSION:
            change = comparing.format_change(route.typical)
            return case._replace(element=_FAILURE, message=f"Worse than in the baseline: {why}", lines=(change, times))
        case Change.GONE:
            return case._replace(element=_ERROR, message="It is in the baseline, and not in this run.")
        case Change.NEW | Change.TOO_FEW:
            few = "too few samples to compare" if route.change is Change.TOO_FEW else "not in the baseline"
            return case._replace(element=_SKIPPED, message=f"Not compared: {few}.")
        case Change.INCONCLUSIVE if route.grounds is Grounds.MAYBE_NOISE:
            noise = "It changed by more than chance, but maybe not by more than runs of the same thing differ."
            return case._replace(element=_ERROR, message=noise, lines=(times,))
        case Change.INCONCLUSIVE:
            return case._replace(element=_SKIPPED, message=f"Cannot tell: {why}", lines=(times,))
    return case


def _add(suite: ET.Element, case: Case) -> None:
    element = ET.SubElement(
        suite, "testcase", classname=_text(case.classname, _NAME), name=_text(case.name, _NAME), time="0"
    )
    if case.element:
        message = _text(case.message, _LONGEST)
        inner = ET.SubElement(element, case.element, type=case.type, message=message)
        inner.text = "\n".join(_text(line, _LONGEST) for line in case.lines if line) or None


def _properties(suite: ET.Element, judgement: Judgement) -> None:
    properties = ET.SubElement(suite, "properties")
    run = judgement.run
    for name, value in (
        ("verdict", sentences.headline_word(judgement)),
        ("exit code", str(int(judgement.exit_code))),
        ("thresholds", judgement.origin),
        ("latency", judgement.latency_name),
        ("purpose", run.purpose),
        ("uid", run.uid),
        ("nestperf", run.version),
    ):
        ET.SubElement(properties, "property", name=name, value=_text(value, _LONGEST))


def _text(text: str, width: int) -> str:
    return printable(text, width)


def _timestamp(run: Run) -> str:
    try:
        return f"{datetime.fromtimestamp(run.started_unix_ns // 1_000_000_000, tz=UTC):%Y-%m-%dT%H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00"


def _seconds(run: Run) -> str:
    return f"{max(run.ended_ns or 0, 0) / 1e9:.3f}"
