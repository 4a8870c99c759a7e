"""JUnit XML: what CI servers' schemas allow, and red, orange and green exactly where the exit code is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from nestperf.capture.model import Row
from nestperf.errors import ExitCode
from reports.render.junit import render_junit
from tests.reports.conftest import MS, exchange, exchanges
from tests.reports.render.conftest import Report, Reported
from tests.reports.render.test_text import assert_golden

_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out", "system-err"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure"},
}
"""What the schemas of Ant (windyroad's JUnit.xsd) and Jenkins (xunit's junit-10.xsd) both allow, and in this order."""
_ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "property": {"name", "value"},
}


def parsed(report: Report) -> ET.Element:
    """The document, after everything that a schema would say of it."""
    root = ET.fromstring(render_junit(report.judgement))
    for element in root.iter():
        allowed = _CHILDREN.get(element.tag, set())
        assert {child.tag for child in element} <= allowed
        assert set(element.attrib) == _ATTRIBUTES.get(element.tag, set()), element.tag
    (suite,) = root
    tags = [child.tag for child in suite]
    assert tags == ["properties", *["testcase"] * tags.count("testcase"), "system-out", "system-err"]
    cases = suite.findall("testcase")
    found = Counter(child.tag for case in cases for child in case)
    assert all(len(case) <= 1 for case in cases)
    assert suite.attrib["tests"] == root.attrib["tests"] == str(len(cases))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.attrib[name] == str(found[tag])
    return root


def cases(root: ET.Element) -> dict[str, tuple[str, str]]:
    """Name to element (`pass` where there is none) and message."""
    return {
        case.attrib["name"]: (case[0].tag, case[0].attrib["message"]) if len(case) else ("pass", "")
        for case in root.iter("testcase")
    }


@pytest.mark.parametrize("name", ["recording", "replay", "broken", "compared"])
def test_render_junit_is_as_it_was_and_valid(name: str, request: pytest.FixtureRequest) -> None:
    report: Report = request.getfixturevalue(name)
    assert_golden(f"{name}.xml", render_junit(report.judgement))
    kinds = {kind for kind, _ in cases(parsed(report)).values()}
    expected = {ExitCode.OK: set(), ExitCode.FAILED: {"failure"}, ExitCode.INVALID: {"error"}}
    assert kinds & {"failure", "error"} >= expected[report.judgement.exit_code]
    assert ("failure" in kinds) is (report.judgement.exit_code is ExitCode.FAILED)


SLOW = "[[threshold]]\nname = 'Fast'\nexpression = 'p95(latency) < 5ms'\n"


@pytest.mark.parametrize(
    ("rows", "keys", "kind", "message"),
    [
        (exchanges([10] * 100), "", "failure", "fail: p95 is 10.0 ms"),
        (exchanges([10] * 100), "required = false", "skipped", "Optional: fail: p95 is 10.0 ms"),
        (exchanges([1] * 100), "", "pass", ""),
        (exchanges([1] * 3), "", "error", "inconclusive: 3 samples"),
        (exchanges([1] * 3), "required = false", "skipped", "Optional: inconclusive: 3 samples"),
        (exchanges([1] * 30), "route = '/nowhere'", "error", "not measured: no route in this capture is /nowhere"),
        (exchanges([1] * 30), "applies = ['replay']", "skipped", "not applicable: applies to replay only."),
    ],
)
def test_a_threshold_is_a_case_of_its_kind(
    reported: Reported, rows: list[Row], keys: str, kind: str, message: str
) -> None:
    found_kind, found = cases(parsed(reported(rows, SLOW + keys)))["Fast"]
    assert found_kind == kind
    assert found.startswith(message)


def test_an_invalid_run_is_the_error_and_its_thresholds_are_skipped(reported: Reported) -> None:
    report = reported(exchanges([10] * 100), SLOW, losses={"bytes": 7})
    found = cases(parsed(report))
    assert found["The run is valid"] == ("error", "Not everything was stored; lost: 7 bytes.")
    assert found["Fast"] == ("skipped", "No verdict of an invalid run counts; it would be fail.")


def test_routes_gone_or_slower_are_what_the_exit_code_says(compared: Report) -> None:
    found = cases(parsed(compared))
    kind, message = found["POST /api/v1/auth/plex/verify"]
    assert kind == "failure"
    assert message.startswith("Worse than in the baseline: slower at")
    assert found["GET /api/v1/dashboard/notifications"][0] == "pass"


HOSTILE = "/<script>alert(1)</script>]]>&\"'\x00\x07\x1b[31m\x9b\ufffe\uffff\ud800\u202e" + "x" * 1_000_000


def test_hostile_text_is_neither_markup_nor_escape(reported: Reported) -> None:
    rows: list[Row] = [exchange(number, 900, route=HOSTILE[:99], sent_ns=number * MS) for number in range(1, 40)]
    rows.append(exchange(99, 999, route=HOSTILE))
    report = reported(rows, SLOW)
    hostile = replace(report.judgement, capture_name=HOSTILE, origin=HOSTILE, invalid=())
    document = render_junit(hostile)
    root = parsed(Report(hostile, report.summary))
    assert {element.tag for element in root.iter()} <= {*_CHILDREN, *_ATTRIBUTES, "system-out", "system-err"}
    assert all(char.isprintable() or char == "\n" for char in document)
    assert len(document) < 20_000
