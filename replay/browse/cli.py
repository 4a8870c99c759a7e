"""`nestperf browse`: parses what is asked, wires recorder, slow line and browser, decides nothing else."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from nestperf.capture.files import default_output, remove_capture
from nestperf.capture.model import Upstream
from nestperf.capture.output import output_options
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import remarks_of
from nestperf.capture.vault import Vault
from nestperf.console import plural
from nestperf.durations import parse_duration
from nestperf.errors import CaptureEmpty, ExitCode, RunInvalid, UsageError
from nestperf.network.profiles import NONE, PROFILES, Profile, parse_network
from nestperf.pages.observer import need_playwright
from nestperf.pages.rules import load_rules
from nestperf.printable import printable
from proxy_addon.browser import find_browser_to_watch
from replay.browse.sign_in import Person, Storage, parse_storage
from replay.browse.summary import describe_visit, summarize, tabulate_results
from replay.browse.tour import LOOPBACK_NAMES, Stop, stops_of, within_pages
from replay.browse.tour_run import CACHES, Asked, TourRun, Visited
from replay.identities import Identity, columns_of, read_identities
from replay.options import Parsed
from replay.outputs import check_output
from replay.plan import build_plan
from replay.provenance.supply import originals_of, same_name
from replay.rules_file import read_rules
from replay.steps import Plan, SessionPlan
from replay.targets import choose_targets, permissions
from replay.transport.dial import Target
from replay.transport.tls import Trust, client_context

if TYPE_CHECKING:
    from reports.thresholds import Thresholds

_FILE = click.Path(path_type=Path)
_PEM = click.Path(path_type=Path, dir_okay=False)
_SHOWN = 8
_FACTOR = click.FloatRange(1, 100, min_open=True)


@click.command()
@click.argument("file", metavar="FILE", type=_FILE)
@click.option(
    "--network",
    type=Parsed("network", parse_network),
    default="wpt-3g-fast",
    show_default=True,
    help=f"{', '.join(PROFILES)}, or {NONE} for this machine's own speed (docs/pages.md has the numbers).",
)
@click.option("--runs", type=click.IntRange(1, 1000), default=5, show_default=True, help="How often to open each page.")
@click.option(
    "--cache",
    type=click.Choice(["both", CACHES[0]]),
    default="both",
    show_default=True,
    help="With an empty cache and then once more with what that left in it, or only with an empty one.",
)
@click.option(
    "--cpu-slowdown", metavar="TIMES", type=_FACTOR, help="Make the processor so many times slower, such as 4."
)
@click.option(
    "--page",
    "pages",
    metavar="PATH",
    multiple=True,
    help="Only the page of this path or route; * and ? stand for characters; repeatable.",
)
@click.option(
    "--identities", metavar="FILE", type=_FILE, help="Who opens the pages: a CSV file, a line for each person."
)
@click.option(
    "--storage",
    metavar="[session:|local:]KEY=NAME",
    type=Parsed("storage", parse_storage),
    multiple=True,
    help="What the application keeps in the browser's storage: under which key, and under which name the recording "
    "sends it, such as session:token=token; repeatable.",
)
@click.option("--rules", metavar="FILE", type=_FILE, help="Rules for live values (TOML; docs/live-values.md).")
@click.option(
    "--target",
    "targets",
    metavar="[UPSTREAM=]URL",
    multiple=True,
    help="What to open instead of the recorded upstreams, under their addresses; repeatable.",
)
@click.option(
    "--allow-host", "allowed", metavar="HOST", multiple=True, help="Reach this host, which is not loopback; repeatable."
)
@click.option("--allow-writes", is_flag=True, help="Sign in at allowed hosts, where that takes a POST.")
@click.option("--ca", type=_PEM, help="Trust the authorities in this PEM file too, for https targets.")
@click.option("--insecure", is_flag=True, help="Accept any certificate of https targets.")
@click.option(
    "--timeout",
    type=Parsed("duration", parse_duration),
    default="60s",
    show_default=True,
    help="How long a page may take to load.",
)
@click.option("--headed", is_flag=True, help="Show the browser.")
@click.option(
    "--browser-argument",
    "arguments",
    metavar="ARGUMENT",
    multiple=True,
    help="One more argument for the browser, such as --disable-gpu; repeatable.",
)
@click.option("--thresholds", metavar="FILE", type=_FILE, help="Thresholds to judge the result by.")
@output_options
def browse(
    file: Path,
    network: Profile | None,
    runs: int,
    cache: str,
    pages: tuple[str, ...],
    identities: Path | None,
    storage: tuple[Storage, ...],
    rules: Path | None,
    targets: tuple[str, ...],
    allowed: tuple[str, ...],
    allow_writes: bool,
    thresholds: Path | None,
    output: Path | None,
    force: bool,
    **options: Any,
) -> int:
    """Open the pages of the capture FILE in a real browser, over a slow network, and judge how long they take.

    The pages are those that the recording opened, signed in as it was. Writes a capture of its own, which `nestperf
    report` reads. Needs Playwright (`pip install 'nestperf[browser]'`) and a Chromium, Chrome or Edge.
    """
    from reports.thresholds import load_thresholds

    need_playwright()
    render_rules = load_rules(thresholds, Path())
    limits = load_thresholds(thresholds, Path())
    persons = read_identities(identities) if identities is not None else ()
    path = output or default_output()
    trust = Trust(ca=options["ca"], insecure=options["insecure"])
    client_context(trust)  # or a sentence about the file
    with Capture.open(file) as capture:
        check_output(file, path, force=force, what="whose pages to open")
        recorded = capture.run
        where = choose_targets(recorded.upstreams, targets, allowed, trust)
        may = permissions(where, allowed, writes=allow_writes)
        plan = build_plan(capture, Vault.find(file), may, read_rules(rules), columns_of(persons))
    tours = _tours(plan, recorded.upstreams, pages, file)
    _check_storage(plan, storage, columns_of(persons))
    program = find_browser_to_watch()
    from replay.browse.relayed import Relayed  # mitmproxy: not before everything else is right

    relayed = Relayed(recorded.upstreams, where, network, trust)
    asked = Asked(
        program=program,
        arguments=options["arguments"],
        headed=options["headed"],
        profile=network,
        cpu_factor=options["cpu_slowdown"],
        runs=runs,
        caches=CACHES if cache == "both" else CACHES[:1],
        timeout_s=options["timeout"] / 1e9,
    )
    for remark in remarks_of(recorded, str(file)):
        click.echo(f"{file}: {remark}")
    _announce(file, tours, persons, asked, where)
    if force:
        remove_capture(path)
    visits: list[Visited] = []

    def said(visited: Visited) -> None:
        visits.append(visited)
        click.echo(describe_visit(visited, asked))

    def tour(arguments: tuple[str, ...]) -> TourRun:
        people = _people(tours, persons, where, recorded.upstreams, storage)
        led = replace(asked, arguments=(*arguments, *asked.arguments))
        return TourRun(led, people, said, _hosts(recorded.upstreams), render_rules)

    try:
        code = relayed.run(path, file.name, recorded, asked, render_rules, tour)
    except UsageError:  # nothing came of it
        remove_capture(path)
        raise
    return _conclude(path, file, visits, limits, code)


def _tours(
    plan: Plan, upstreams: tuple[Upstream, ...], pages: tuple[str, ...], file: Path
) -> list[tuple[SessionPlan, tuple[Stop, ...]]]:
    """The pages of each session.

    Raises:
        CaptureEmpty: none of them opened a page.
        UsageError: none of those that were asked for.
    """
    found = [(session, stops_of(session, upstreams)) for session in plan.sessions]
    if not any(stops for _, stops in found):
        raise CaptureEmpty(
            f"{file} holds no page that a browser opened: record one with `nestperf record --browser URL`."
        )
    paths = sorted({urlsplit(stop.url).path for _, stops in found for stop in stops})
    if pages:
        found = [(session, tuple(stop for stop in stops if _is_asked(stop, pages))) for session, stops in found]
    if not any(stops for _, stops in found):
        raise UsageError(f"No page of {file} is called {' or '.join(pages)}: it has {', '.join(paths[:10])}.")
    return [(session, stops) for session, stops in found if stops]


def _is_asked(stop: Stop, pages: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, page) for page in pages for name in (urlsplit(stop.url).path, stop.route))


def _check_storage(plan: Plan, storage: tuple[Storage, ...], columns: tuple[str, ...]) -> None:
    for one in storage:
        brought = any(same_name(column, one.name) for column in columns)
        if not brought and not any(originals_of(session, [one.name]) for session in plan.sessions):
            raise UsageError(
                f"--storage {one.key}={one.name}: the recording sends nothing under the name {one.name!r}; `nestperf "
                "plan FILE` shows the names of what it sends."
            )


def _hosts(upstreams: tuple[Upstream, ...]) -> list[str]:
    """`host:port` of the applications, this machine under all its names."""
    found = []
    for parts in (urlsplit(upstream.url) for upstream in upstreams if not upstream.is_database):
        names = LOOPBACK_NAMES if f"{parts.hostname}" in LOOPBACK_NAMES else (parts.hostname,)
        found += [f"{name}:{parts.port}" for name in names]
    return found


def _people(
    tours: list[tuple[SessionPlan, tuple[Stop, ...]]],
    persons: tuple[Identity, ...],
    targets: tuple[Target, ...],
    upstreams: tuple[Upstream, ...],
    storage: tuple[Storage, ...],
) -> list[tuple[Person, tuple[Stop, ...]]]:
    """Who opens which pages: each identity those of every session, or who was recorded where there are none."""
    return [
        (Person(session, stops, targets, upstreams, identity=identity, storage=storage), stops)
        for identity in persons or (None,)
        for session, stops in tours
    ]


def _announce(
    file: Path,
    tours: list[tuple[SessionPlan, tuple[Stop, ...]]],
    persons: tuple[Identity, ...],
    asked: Asked,
    targets: tuple[Target, ...],
) -> None:
    pages = sum(len(stops) for _, stops in tours) * max(len(persons), 1)
    urls = ", ".join(dict.fromkeys(target.url for target in targets if target.addresses))
    profile = asked.profile
    network = f"{profile.name} ({profile.summary})" if profile is not None else "this machine's own network"
    times = f"{plural(asked.runs, 'time')}{', cold and warm' if len(asked.caches) == 2 else f', {asked.caches[0]}'}"
    click.echo(f"Opening {plural(pages, 'page')} of {file} at {urls}, {times}, over {network}.")
    within = tuple(dict.fromkeys(route for session, _ in tours for route in within_pages(session)))
    if within:
        more = f" and {len(within) - _SHOWN} more" if len(within) > _SHOWN else ""
        click.echo(
            f"Not opened, since the recording came there within a page: {printable(', '.join(within[:_SHOWN]), 200)}"
            f"{more}. Enter the address, or reload, while recording."
        )
    if asked.cpu_factor is not None:
        click.echo(f"The processor is made {asked.cpu_factor:g} times slower.")


def _conclude(path: Path, source: Path, visits: list[Visited], limits: Thresholds, code: int) -> int:
    """Print what it came to and the thresholds' table; the exit code."""
    import shutil

    from reports.conclusion import print_judgement
    from reports.networks import read_opened
    from reports.render.encodable import encodable
    from reports.render.pages import impossible_sentence
    from reports.verdict import judge_capture

    for line in summarize(visits, str(source)):
        click.echo(line)
    if not visits:
        click.echo("Interrupted before a page was opened.", err=True)
        return code or ExitCode.INTERRUPTED
    click.echo(f"Stored in {path}; see more with `nestperf report {path}`.")
    if all(visited.trouble for visited in visits):
        raise RunInvalid(f"No page could be opened ({visits[0].trouble}): is the application running?")
    width = shutil.get_terminal_size().columns
    with Capture.open(path) as capture:
        results = read_opened(capture)
        judgement = judge_capture(capture, limits)
    sentences = [impossible_sentence(opened) for opened in results if opened.too_large]
    for line in ("", *tabulate_results(results, width), *sentences, ""):
        click.echo(encodable(line))
    print_judgement(judgement)
    return code or judgement.exit_code
