"""What `nestperf report` shows, read once and rendered in any format. Decides nothing, measures through others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from nestperf.capture.reader import Capture
from nestperf.errors import CaptureEmpty
from reports.broadcasts import Broadcast, find_broadcasts
from reports.browsing import read_sent
from reports.compare.compare import Named, compare
from reports.pages import summarize_pages
from reports.queries import summarize_queries
from reports.repeats import pages_of, repeated_routes
from reports.samples import Samples
from reports.summary import Summary, summarize
from reports.thresholds import Thresholds
from reports.verdict import Judgement, explained, judge_samples


class Look(NamedTuple):
    """Where a report goes."""

    width: int
    """Columns of text."""
    colour: bool
    is_terminal: bool
    to_file: bool
    """A file that was named: any character can be written to it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """One capture, judged and summarized; the capture is still open."""

    capture: Capture
    samples: Samples
    broadcasts: tuple[Broadcast, ...]
    baselines: tuple[Samples, ...]
    judgement: Judgement
    summary: Summary
    source: Path | None
    """The recording of a replay, where somebody named it."""


def read_report(
    capture: Capture,
    baselines: tuple[Path, ...],
    thresholds: Thresholds,
    source: Path | None,
    *,
    everything: bool,
) -> Facts:
    """Read, measure and judge a capture; `everything`: also what was due in a replay's ramp and warm-up.

    Raises:
        CaptureError: the capture or a baseline is empty or damaged.
    """
    samples = _read(capture, everything=everything)
    broadcasts = find_broadcasts(samples)
    sent = read_sent(capture)
    queries = summarize_queries(capture, samples.queries, sent)
    old = [Named(path.name, _read_closing(path, everything=everything)) for path in baselines]
    comparison = compare(Named(capture.path.name, samples), old) if old else None
    judgement = judge_samples(samples, broadcasts, thresholds, capture.path.name, [named.samples for named in old])
    return Facts(
        capture=capture,
        samples=samples,
        broadcasts=broadcasts,
        baselines=tuple(named.samples for named in old),
        judgement=explained(replace(judgement, comparison=comparison), samples, capture),
        summary=summarize(
            samples,
            broadcasts,
            queries,
            repeated_routes(sent, pages_of(sent)),
            summarize_pages(capture, samples.pages),
        ),
        source=source,
    )


def _read(capture: Capture, *, everything: bool) -> Samples:
    samples = Samples.read(capture, everything=everything)
    if samples.is_empty:
        raise CaptureEmpty(
            f"{capture.path} holds no exchange and no socket: nothing passed through nestperf; record again."
        )
    return samples


def _read_closing(path: Path, *, everything: bool) -> Samples:
    with Capture.open(path) as capture:
        return _read(capture, everything=everything)


def _text(facts: Facts, look: Look) -> str:
    from reports.render.encodable import encodable
    from reports.render.text import render_report

    text = render_report(facts.judgement, facts.summary, look.width, colour=look.colour)
    return text if look.to_file else encodable(text)


def _markdown(facts: Facts, look: Look) -> str:
    from reports.render.markdown import render_markdown

    return render_markdown(facts.judgement, facts.summary)


def _junit(facts: Facts, look: Look) -> str:
    from reports.render.junit import render_junit

    return render_junit(facts.judgement)


def _json(facts: Facts, look: Look) -> str:
    from reports.render.json import render_json

    return render_json(facts.judgement, facts.summary)


def _html(facts: Facts, look: Look) -> str:
    from reports.pictures import gather
    from reports.render.html.page import render_html
    from reports.waterfall import open_source

    source = open_source(facts.capture, facts.source)
    try:
        pictures = gather(
            facts.capture,
            facts.samples,
            facts.broadcasts,
            facts.judgement.judged,
            facts.summary.routes,
            facts.baselines,
            source,
        )
    finally:
        if source is not None:
            source.close()
    return render_html(facts.judgement, facts.summary, pictures)


Renderer = Callable[[Facts, Look], str]

RENDERERS: dict[str, Renderer] = {
    "text": _text,
    "markdown": _markdown,
    "junit": _junit,
    "json": _json,
    "html": _html,
}
"""How each `--format` is made."""
