"""The whole report as one self-contained page: the verdict first, then everything it rests on.

The page fetches nothing. Its content security policy lets run only the scripts whose hashes it names, which are ours
and plotly's: captured text is escaped wherever it stands, and would not run if it were not.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import Any, NamedTuple

from markupsafe import Markup

from nestperf import __version__
from nestperf.console import duration, plural
from reports.pictures import Pictures
from reports.render import sentences
from reports.render.html import (
    database,
    followed,
    latency_figures,
    marks,
    percentile_figure,
    places,
    promises,
    traffic_figures,
    watched,
    waterfall_figure,
)
from reports.render.html.figures import Figure, draw
from reports.render.html.markup import element, joined, shown
from reports.render.html.tables import facts
from reports.render.moments import beginning
from reports.render.sections import added_facts, load_facts
from reports.render.units import format_count
from reports.summary import Summary
from reports.verdict import Judgement


class Section(NamedTuple):
    """One part of the page."""

    id: str
    title: str
    content: list[Any]
    """Markup, figures, texts; empty where there is nothing to show."""
    empty: str = ""
    """What is said then; nothing: the section is left out."""


def render_html(judgement: Judgement, summary: Summary, pictures: Pictures) -> str:
    """The page, ending with a newline."""
    sections = [_with_figures(section) for section in _sections(judgement, summary, pictures)]
    kept = [section for section in sections if section.content or section.empty]
    script = _resource("report.js")
    plot = _plotly()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(plot, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{sentences.headline_word(judgement)} · {shown(judgement.capture_name, 80)} · nestperf"),
        element("style", Markup(_resource("report.css"))),  # noqa: S704 - our own file
    )
    body = element(
        "body",
        element("a", "Skip to the promises", href="#promises-section", class_="skip"),
        _bar(judgement, kept),
        element("main", promises.verdict(judgement), _about(judgement, summary), *map(_section, kept)),
        element("footer", _foot(judgement)),
        element("script", Markup(plot)),  # noqa: S704 - plotly's own file
        element("script", Markup(script)),  # noqa: S704 - our own file
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _sections(judgement: Judgement, summary: Summary, pictures: Pictures) -> Iterator[Section]:
    path = judgement.capture_path or judgement.capture_name
    line = [f"Thresholds: {shown(judgement.origin, 200)}. ", sentences.LATENCY[judgement.latency_name]]
    yield Section(
        "promises-section",
        "Promises",
        [promises.promises(judgement), element("p", line, class_="note")],
    )
    yield Section(
        "time",
        "Latency over time",
        [latency_figures.over_time(pictures), places.both_times(summary)],
        "Nothing in this capture has a latency.",
    )
    yield Section(
        "percentiles-section",
        "Percentiles and limits",
        [percentile_figure.percentiles(pictures.curves)],
        "No promise about durations had a sample to draw.",
    )
    yield Section(
        "routes-section",
        "Routes",
        [places.routes(summary, pictures, path)],
        "No HTTP request was captured.",
    )
    yield Section("marks-section", "Marks and tests", [marks.marks(summary, path)])
    yield Section("pages-section", "Pages", _pages(summary))
    yield Section("visits", "Visits", _visits(pictures), "No visit could be told apart in this capture.")
    yield Section(
        "sockets",
        "Events, fan-out, reconnects",
        [
            _titled("Events over time", traffic_figures.events(pictures.traffic)),
            places.events(summary),
            _titled("Fan-out", traffic_figures.fan_out(pictures.traffic)),
            places.broadcasts(summary),
            _under("From cause to effect", followed.effects(summary)),
            _titled("Connections", traffic_figures.connections(pictures.traffic)),
            places.sockets(summary),
            _under("Returns after abnormal ends", followed.returns(summary)),
        ],
        "No WebSocket or Socket.IO connection was opened.",
    )
    yield Section(
        "load-section",
        "Latency against concurrency",
        [latency_figures.under_load(pictures.load), places.load(pictures.load)],
        "Never were two requests under way at different loads: replay with more --users.",
    )
    compared = judgement.comparison
    yield Section(
        "baseline",
        "Against the baseline",
        [] if compared is None else [latency_figures.changes(compared), places.changed(compared)],
        "No baseline was given: nestperf report FILE --baseline OLD.db.",
    )
    yield Section(
        "sql",
        "Database queries",
        [database.statements(summary.queries, path)],
        "No database was recorded: nestperf record URL postgres://HOST:PORT.",
    )
    yield Section("certificate", "Can the run be trusted?", _trust(judgement, summary))
    yield Section("missing", "Not measured, and how to get it", [promises.not_measured(judgement)])


def _under(title: str, content: Markup | None) -> list[Any]:
    return [] if content is None else [element("h3", title), content]


def _titled(title: str, figure: Figure | None) -> list[Any]:
    return [] if figure is None else [element("h3", title), draw(figure)]


def _with_figures(section: Section) -> Section:
    """What is None is left out, figures become places to draw them in."""
    content = [draw(part) if isinstance(part, Figure) else part for part in section.content]
    return section._replace(content=[part for part in content if part is not None and part != []])


def _section(section: Section) -> Markup:
    content = section.content or [element("p", section.empty, class_="empty")]
    return element("section", element("h2", section.title), *content, id=section.id)


def _pages(summary: Summary) -> list[Any]:
    """As browsers saw them; nothing where no browser was watched."""
    return [
        watched.pages(summary.pages),
        *(
            element("details", element("summary", title), draw(figure), look, open=number == 0, class_="visit")
            for number, (title, figure, look) in enumerate(watched.waterfalls(summary.pages))
        ),
        watched.named(summary.pages),
    ]


def _visits(pictures: Pictures) -> list[Any]:
    """One waterfall at a time; the others are a click away, and all are on paper."""
    content = []
    for number, pair in enumerate(pictures.waterfalls):
        figure = waterfall_figure.waterfall(number, pair)
        if figure is None:
            continue
        visit = pair.visit
        beside = ", recorded beside replayed" if pair.recorded else ""
        title = f"{shown(visit.why, 60)}{beside}: {shown(visit.who, 80)}, {duration(visit.span_ns)}, {visit.ref}"
        content.append(
            element(
                "details",
                element("summary", f"{title[:1].upper()}{title[1:]}"),
                draw(figure),
                open=number == 0,
                class_="visit",
            )
        )
    return content


_VANTAGES = {
    "proxy": "by the recorder, between browser and application",
    "client": "by the client",
    "server": "by the database, for its log",
}


def _trust(judgement: Judgement, summary: Summary) -> list[Any]:
    """The certificate of a replay, what the recorder added, what was lost."""
    run = judgement.run
    lost = ", ".join(f"{count:,} {shown(kind, 40)}" for kind, count in sorted(run.losses.items()) if count)
    pairs = [
        *((name, shown(value)) for name, value in load_facts(run, summary)),
        *((f"nestperf added {name}", value) for name, value in added_facts(run, summary)),
        ("lost", lost or "nothing: every row was stored"),
        ("stamps were taken", _VANTAGES.get(run.vantage, shown(run.vantage, 40))),
    ]
    invalid = [element("p", shown(text, 400), class_="remark") for text in judgement.invalid]
    return [*invalid, facts(pairs)]


def _about(judgement: Judgement, summary: Summary) -> Markup:
    """What was looked at, in a few numbers."""
    run = judgement.run
    failed, asked = sum(row.failed for row in summary.routes), sum(row.n for row in summary.routes)
    calls = [row for row in summary.routes if row.failed]
    tiles = [
        (duration(summary.span_ns), "lasted"),
        (format_count(summary.exchanges), "exchanges"),
        (format_count(failed), f"failed, on {plural(len(calls), 'route')}" if failed else f"of {asked:,} failed"),
        (
            format_count(summary.users_at_once or summary.clients),
            "users at once" if summary.users_at_once else "clients",
        ),
        (format_count(sum(row.n for row in summary.events)), "events"),
    ]
    if summary.queries is not None:
        tiles.append((format_count(summary.queries.links.total), "queries"))
    what = shown(sentences.words_for(run), 120)
    source = f" of {shown(run.source_path, 120)}" if run.source_path else ""
    upstreams = ", ".join(shown(url, 80) for url in run.addresses[:6])
    users = run.settings.get("users")
    with_users = f" with {plural(users, 'user')}" if isinstance(users, int) else ""
    return joined(
        (
            element(
                "p",
                f"{what[:1].upper()}{what[1:]} {shown(judgement.capture_name, 120)}{source}{with_users}",
                f" against {upstreams}" if upstreams else "",
                f", begun {begun}" if (begun := beginning(run)) else "",
                ".",
                class_="about",
            ),
            element(
                "div",
                [
                    element("div", element("strong", value), element("span", name), class_="tile")
                    for value, name in tiles
                ],
                class_="tiles",
            ),
        )
    )


def _bar(judgement: Judgement, sections: list[Section]) -> Markup:
    """Stays in sight: what it is, the verdict, where to go, light or dark."""
    word = sentences.headline_word(judgement)
    links = [element("a", section.title, href=f"#{section.id}") for section in sections]
    return element(
        "header",
        element("a", "nestperf", href="#verdict", class_="brand"),
        promises.badge(word),
        element("span", shown(judgement.capture_name, 40), class_="file"),
        element("nav", links, aria_label="Sections"),
        element("button", "◐", type="button", id="theme", title="light or dark", aria_label="light or dark"),
    )


def _foot(judgement: Judgement) -> str:
    run = judgement.run
    by = f"captured by {shown(run.version, 20)}, run {shown(run.uid, 60)}"
    return f"nestperf {__version__}; {by}. Nothing on this page is fetched."


def _policy(*scripts: str) -> str:
    """Nothing from anywhere, and no script but these. Plotly sets styles as it draws and saves pictures as blobs."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _resource(name: str) -> str:
    return resources.files("reports.render.html").joinpath(name).read_text("utf-8")


def _plotly() -> str:
    """Plotly's script, out of its package without importing it: that takes a second and is not needed."""
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8")
