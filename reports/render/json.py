"""The report as JSON for programs: the same facts as the text, numbers unrounded, durations in nanoseconds (`_ns`).

`schema` counts incompatible changes. Non-ASCII and control characters are escaped, so it is safe on a terminal too.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from math import isfinite
from typing import Any

from nestperf import __version__
from nestperf.capture.remarks import remarks_of
from nestperf.printable import shorten
from reports.explain import Explanation
from reports.expressions import Dimension
from reports.render import sentences
from reports.render.explanations import cause_sentence
from reports.rules import Judged
from reports.summary import Summary
from reports.thresholds import Threshold
from reports.verdict import Judgement

SCHEMA = 1
_LONGEST = 2_000
"""Captured strings are cut to so many characters: a megabyte of path is of no use to anybody."""

_UNITS = {Dimension.TIME: "ns", Dimension.SHARE: "share", Dimension.NUMBER: "count", Dimension.SCORE: "billionths"}


def render_json(judgement: Judgement, summary: Summary) -> str:
    """The whole report, ending with a newline."""
    run = judgement.run
    document = {
        "schema": SCHEMA,
        "nestperf": __version__,
        "verdict": {
            "word": sentences.headline_word(judgement),
            "sentence": sentences.headline(judgement),
            "exit_code": int(judgement.exit_code),
            "invalid": judgement.invalid,
            "doubts": judgement.doubts,
        },
        "capture": {
            "file": judgement.capture_name,
            "uid": run.uid,
            "purpose": run.purpose,
            "vantage": run.vantage,
            "state": run.state,
            "version": run.version,
            "started_unix_ns": run.started_unix_ns,
            "upstreams": [upstream.url for upstream in run.upstreams],
            "source": run.source_path,
            "settings": run.settings,
            "losses": run.losses,
            "remarks": remarks_of(run, judgement.capture_name),
            "certificate": run.certificate,
            "relay": run.relay,
        },
        "latency": judgement.latency_name,
        "thresholds": {
            "origin": judgement.origin,
            "judged": [_judged(judged) for judged in judgement.judged],
            "unchecked": _plain(judgement.unchecked),
        },
        "explanations": [_explanation(explanation, judgement) for explanation in judgement.explanations],
        "comparison": _plain(judgement.comparison),
        **_plain(summary),
    }
    return json.dumps(_plain(document), indent=2, allow_nan=False) + "\n"


def _judged(judged: Judged) -> dict[str, Any]:
    return {
        **_threshold(judged.threshold),
        "verdict": judged.verdict,
        "why": judged.why,
        "reason": sentences.reason(judged),
        "required": judged.required,
        "n": judged.n,
        "failed": judged.failed,
        "breaking": judged.breaking,
        "measured": judged.measured,
        "interval": [judged.low, judged.high],
        "inflation": judged.inflation,
        "confidence": judged.confidence,
        "more_samples": judged.more_samples,
        "asked": judged.asked,
        "baseline": judged.baseline,
        "baseline_n": judged.baseline_n,
    }


def _explanation(explanation: Explanation, judgement: Judgement) -> dict[str, Any]:
    return {
        "threshold": explanation.judged.threshold.name,
        "worst": [
            {
                "ref": worst.ref,
                "title": worst.title,
                "outcome": worst.outcome,
                "detail": worst.detail,
                "value_ns": worst.value_ns,
                "sent_ns": worst.sent_ns,
                "parts_ns": {s.part.replace(" ", "_"): s.length_ns for s in worst.stretches},
                "added_ns": worst.added_ns,
            }
            for worst in explanation.worst
        ],
        "causes": [{"sentence": cause_sentence(cause, judgement.run), **_plain(cause)} for cause in explanation.causes],
    }


def _threshold(threshold: Threshold) -> dict[str, Any]:
    expression = threshold.expression
    return {
        "name": threshold.name,
        "source": threshold.source,
        "note": threshold.note,
        "expression": expression.text,
        "select": {key: value for key, value in _plain(threshold.selector).items() if value},
        "limit": expression.limit,
        "of_baseline": expression.of_baseline,
        "unit": _UNITS[expression.dimension],
    }


def _plain(value: Any) -> Any:
    """Dataclasses and named tuples as objects, exact numbers as numbers, everything else as JSON has it."""
    match value:
        case Enum():
            return value.value
        case str():
            return shorten(value, _LONGEST)
        case float() if not isfinite(value):
            return None
        case Fraction():
            return int(value) if value.denominator == 1 else float(value)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() if hasattr(value, "_asdict"):
            return {key: _plain(item) for key, item in value._asdict().items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
