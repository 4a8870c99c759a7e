"""`nestperf record`: parses what is asked, wires relay and recorder, decides nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from nestperf.capture.files import check_writable, default_output, remove_capture
from nestperf.capture.output import output_options
from nestperf.capture.remarks import CUT_EVERY, IN_CLEAR, NOT_REDACTED, PARAMETERS, REDACT
from nestperf.capture.secret_names import SecretNames
from nestperf.capture.vault import refuse_lone_secrets, secrets_path
from nestperf.durations import parse_duration
from nestperf.errors import UsageError
from nestperf.pages.rules import SETTING as RENDER_RULES
from nestperf.pages.rules import load_rules, rules_as_settings
from proxy_addon.beginning import Beginning
from proxy_addon.browser import find_browser, find_browser_to_watch
from proxy_addon.companion import Companion
from proxy_addon.ending import end_recording, would_be_committed
from proxy_addon.limits import BodyLimits, parse_body_limits
from proxy_addon.listen import LOOPBACK, Listener, Request, choose_listeners, parse_upstream
from proxy_addon.mentions import ways_there
from proxy_addon.redacting import no_redact_option, redact_option
from proxy_addon.spool import Spool, recorder_command
from proxy_addon.suite import check_command
from proxy_addon.terminal import has_terminal
from proxy_addon.trust import Trust, check_roots

if TYPE_CHECKING:
    from proxy_addon.authority import Authority
    from proxy_addon.suite_verdict import Limits

_SUITE = "nestperf.suite"
_TRIES = 5


class _BeforeACommand(click.Command):
    """Takes what stands behind `--` for the command of a test suite."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_SUITE] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(cls=_BeforeACommand, epilog="A test suite: `nestperf record URL -- npm test`.")
@click.argument("urls", metavar="[LISTEN_PORT=]URL... [-- COMMAND...]", nargs=-1, required=True)
@click.option("--pg-parameters", is_flag=True, help="Store the values of database queries too, secrets replaced.")
@output_options
@click.option(
    "--listen",
    "addresses",
    metavar="ADDRESS",
    multiple=True,
    help="Listen on this address instead of 127.0.0.1 and ::1; repeatable. 0.0.0.0 lets other machines in.",
)
@click.option("--tls", is_flag=True, help="Speak TLS to the browser: the printed addresses begin with https://.")
@click.option(
    "--ca",
    "ca_folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder of the certificate authority that the browser trusts, such as ~/.mitmproxy; default nestperf's own.",
)
@click.option(
    "--upstream-ca",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Trust applications whose certificates are signed by these (PEM), beside the system's authorities.",
)
@click.option("--insecure", is_flag=True, help="Accept any certificate of https:// applications.")
@click.option(
    "--browser",
    "browse",
    is_flag=True,
    help="Open a throw-away Chromium, Chrome or Edge in which the URLs themselves lead to the recorder; closing it "
    "ends the recording.",
)
@click.option(
    "--browser-argument",
    "browser_arguments",
    metavar="ARGUMENT",
    multiple=True,
    help="One more argument for that browser, such as --headless=new; repeatable.",
)
@click.option(
    "--vitals",
    is_flag=True,
    help="Watch the pages of that browser as well: loads, paints, layout shifts, interactions, render times. Needs "
    "Playwright (pip install 'nestperf[browser]').",
)
@redact_option
@no_redact_option
@click.option(
    "--max-body",
    metavar="SIZE",
    help="Store at most so much of a response's body (default 4MiB), or requests=SIZE,responses=SIZE (requests: 64MiB, "
    "since a replay needs them whole). Of larger ones the beginning, the size and an id are kept.",
)
@click.option(
    "--thresholds",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What to judge a test suite's recording by; the [[render]] rules of --vitals.",
)
@click.option(
    "--cut-sockets-every",
    "cut_every",
    metavar="TIME",
    help="Cut all live WebSockets without a word every so often, such as 60s: do clients come back, and hear again?",
)
@click.pass_context
def record(
    context: click.Context,
    urls: tuple[str, ...],
    pg_parameters: bool,
    output: Path | None,
    force: bool,
    addresses: tuple[str, ...],
    tls: bool,
    ca_folder: Path | None,
    upstream_ca: Path | None,
    insecure: bool,
    browse: bool,
    browser_arguments: tuple[str, ...],
    vitals: bool,
    names: tuple[str, ...],
    no_redact: bool,
    max_body: str | None,
    thresholds: Path | None,
    cut_every: str | None,
) -> int:
    """Record what happens between browser and application.

    Starts a relay in front of each URL, an address such as http://127.0.0.1:4000 or https://app.test. Open the printed
    address instead of the application's (or let --browser do it), test by hand, and end with Ctrl-C. LISTEN_PORT=
    chooses the relay's port. With postgres://HOST:PORT among them the application's SQL queries are recorded too.

    With `-- COMMAND` behind the URLs an existing test suite is run instead, the recorder's address in NESTPERF_URL; the
    recording ends with it, and then the thresholds are judged (docs/suites.md).
    """
    command: tuple[str, ...] | None = context.meta.get(_SUITE)
    judged_by = _limits_of(command, thresholds, browse=browse, vitals=vitals)
    requests = [parse_upstream(url) for url in urls]
    _check_flags(requests, browse=browse, vitals=vitals, pg_parameters=pg_parameters, arguments=browser_arguments)
    if names and no_redact:
        raise UsageError("--redact and --no-redact contradict each other: leave one of them out.")
    limits = parse_body_limits(max_body) if max_body is not None else BodyLimits()
    settings: dict[str, object] = {
        REDACT: SecretNames(names).added,
        NOT_REDACTED: no_redact,
        PARAMETERS: pg_parameters,
        "max_body": limits._asdict(),
        "keys": command is None and has_terminal(),
        "suite": command is not None,
        CUT_EVERY: None if cut_every is None else parse_duration(cut_every),
    }
    watch = rules_as_settings(load_rules(thresholds, Path.cwd())) if vitals else None
    if watch is not None:
        settings[RENDER_RULES] = watch
    trust = choose_trust(requests, upstream_ca, insecure=insecure)
    speaks_tls = choose_tls(requests, tls=tls, browse=browse, ca_folder=ca_folder)
    find = find_browser_to_watch if vitals else find_browser
    program = find() if browse else None
    hosts = addresses or LOOPBACK
    listeners = choose_listeners(requests, hosts, speaks_tls)
    if not browse:
        again = _flags_again(trust, names, max_body, no_redact=no_redact, pg_parameters=pg_parameters)
        settings["ways"] = _ways(urls, again)
    path = output or default_output()
    _make_way(path, force=force)
    beginning = Beginning(
        path=path,
        trust=trust,
        authority=_authority(ca_folder) if any(listener.tls for listener in listeners) else None,
        command=command,
        program=program,
        browser_arguments=browser_arguments,
        watch=watch,
    )
    _warn(path, cut_every, no_redact=no_redact)
    spool = _relay(beginning, listeners, settings, partial(choose_listeners, requests, hosts, speaks_tls))
    code = end_recording(path, spool)
    if would_be_committed(secrets_path(path)):
        click.echo(f"git would commit {secrets_path(path)}: add the line  *.secrets  to .gitignore.")
    if judged_by is not None:
        from proxy_addon.suite_verdict import conclude

        verdict = code or conclude(path, judged_by)
        return (beginning.suite.exit_code if beginning.suite is not None else 0) or verdict
    return code


def _check_flags(
    requests: Sequence[Request], *, browse: bool, vitals: bool, pg_parameters: bool, arguments: tuple[str, ...]
) -> None:
    """Refuse flags about something that is not recorded.

    Raises:
        UsageError: there is such a flag.
    """
    if pg_parameters and not any(request.is_database for request in requests):
        raise UsageError("--pg-parameters is about a database's queries: add postgres://HOST:PORT to the addresses.")
    if arguments and not browse:
        raise UsageError("--browser-argument is for the browser that --browser opens: add --browser.")
    if vitals and not browse:
        raise UsageError("--vitals is about the pages of the browser that --browser opens: add --browser.")


def _flags_again(
    trust: Trust, names: tuple[str, ...], max_body: str | None, *, no_redact: bool, pg_parameters: bool
) -> list[str]:
    """The flags that another command for the same recording needs too."""
    again = ["--upstream-ca", str(trust.roots)] if trust.roots is not None else []
    again += ["--insecure"] * trust.insecure
    again += [word for name in names for word in ("--redact", name)] + ["--no-redact"] * no_redact
    again += ["--pg-parameters"] * pg_parameters
    return again + (["--max-body", max_body] if max_body is not None else [])


def _make_way(path: Path, *, force: bool) -> None:
    """See that a capture can be written there; with `force` one that is there is removed.

    Raises:
        UsageError: something is in the way, or it cannot be written.
    """
    check_writable(path, force=force)
    if force:
        remove_capture(path)
    else:
        refuse_lone_secrets(path)


def _warn(path: Path, cut_every: str | None, *, no_redact: bool) -> None:
    """What nobody should overlook."""
    if no_redact:
        click.secho(f"{path}: {IN_CLEAR}", fg="red", bold=True)
    if cut_every is not None:
        told = f"WEBSOCKETS WILL BE CUT every {cut_every} (--cut-sockets-every): that is nestperf, not the application."
        click.secho(told, fg="red", bold=True)


def _limits_of(suite: tuple[str, ...] | None, thresholds: Path | None, *, browse: bool, vitals: bool) -> Limits | None:
    """What a suite's recording will be judged by; None where there is no suite.

    Raises:
        UsageError: what is asked for contradicts itself, or cannot be read or run.
    """
    if suite is None:
        if thresholds is not None and not vitals:
            raise UsageError("--thresholds judges a test suite's recording: add -- COMMAND, or use `nestperf report`.")
        return None
    if browse:
        raise UsageError("--browser and -- COMMAND both decide when the recording ends: leave one of them out.")
    check_command(suite)
    from proxy_addon.suite_verdict import load_limits

    return load_limits(thresholds)


def choose_trust(requests: Sequence[Request], roots: Path | None, *, insecure: bool) -> Trust:
    """Which certificates of applications to accept.

    Raises:
        UsageError: there is no application that shows one, or the file of roots is none.
    """
    if not any(request.tls for request in requests):
        for flag, given in (("--insecure", insecure), ("--upstream-ca", roots is not None)):
            if given:
                raise UsageError(f"{flag} is about the certificates of https:// applications: none is recorded.")
    if roots is not None:
        check_roots(roots)
    return Trust(insecure=insecure, roots=roots)


def choose_tls(requests: Sequence[Request], *, tls: bool, browse: bool, ca_folder: Path | None) -> tuple[bool, ...]:
    """Which listeners speak TLS: all with --tls; with --browser those whose address the browser opens as https://.

    Raises:
        UsageError: what is asked for contradicts itself.
    """
    applications = [request for request in requests if not request.is_database]
    if (tls or browse) and not applications:
        raise UsageError("--tls and --browser are about applications: name one, such as http://127.0.0.1:4000.")
    if tls and browse and not all(request.tls for request in applications):
        raise UsageError("--browser opens the addresses as they are given: leave --tls out, or give them as https://.")
    chosen = tuple((tls and not request.is_database) or (browse and request.tls) for request in requests)
    if ca_folder is not None and not any(chosen):
        raise UsageError("--ca is for recorders that speak TLS to the browser: add --tls.")
    return chosen


def _authority(folder: Path | None) -> Authority:
    from proxy_addon.authority import open_authority  # mitmproxy: not before everything else is right

    return open_authority(folder)


def _ways(urls: Sequence[str], flags: Sequence[str]) -> list[str]:
    try:
        find_browser()
    except UsageError:
        return ways_there(urls, flags, browser=False)
    return ways_there(urls, flags, browser=True)


def _relay(
    beginning: Beginning,
    listeners: tuple[Listener, ...],
    settings: dict[str, object],
    choose_again: Callable[[], tuple[Listener, ...]],
) -> Spool:
    """Relay until the tester ends it; the way to the recorder process."""
    from proxy_addon.master import CannotListen, run_relay  # mitmproxy: not before everything else is right

    for _ in range(_TRIES):
        try:
            addon = run_relay(
                listeners,
                recorder_command(beginning.path, [listener.upstream for listener in listeners], settings),
                partial(_begin, beginning, listeners),
                trust=beginning.trust,
                authority=beginning.authority.folder if beginning.authority is not None else None,
                keys=bool(settings["keys"]),
                cut_every_ns=cast("int | None", settings[CUT_EVERY]),
            )
        except CannotListen:
            # Somebody took the port since it was found free; one that was asked for is refused here.
            listeners = choose_again()
            continue
        return addon.spool
    raise UsageError("Free ports are taken faster than nestperf can listen on them: name one, e.g. 9400=URL.")


def _begin(beginning: Beginning, listening: tuple[Listener, ...], _: Spool) -> Companion | None:
    return beginning.begin(listening)
