"""`nestperf demo`: the whole way once, by the same commands that anybody would type."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from nestperf.console import size
from nestperf.demo.app import DATABASE, LISTENING
from nestperf.demo.children import Child, StepFailed, free_port
from nestperf.demo.postgres import PostgresServer, find_binaries
from nestperf.demo.session import run_session
from nestperf.errors import ExitCode, UsageError

DEFAULT_OUTPUT = Path("demo-run")
_READY_S = 30.0
"""How long the application and the recorder may take to begin."""
_SESSION_S = 60.0
_BESIDES_REPLAY_S = 60.0
"""What a replay may take besides its duration: starting, letting its last steps end, checking."""
_STORING_S = 30.0
"""How long the recorder may take to store the rest."""
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_STEPS = 5
_NO_SERVER = "no PostgreSQL server was found here (Debian: apt-get install postgresql)"
_NO_CLIENT = "the asyncpg package is not installed (pip install 'nestperf[database]')"
_JUDGED = (ExitCode.OK, ExitCode.FAILED, ExitCode.INVALID)
"""What a replay ends with that has measured something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What one demo does, and where."""

    folder: Path
    users: int
    duration: str
    app_port: int
    record_port: int
    database_port: int
    """Where the application finds its database: the recorder's port, then the tap's."""
    database: PostgresServer | None
    """None: the application keeps its data in memory, in SQLite."""
    keep_open: bool

    @property
    def app_url(self) -> str:
        """The application itself."""
        return f"http://127.0.0.1:{self.app_port}"

    @property
    def record_url(self) -> str:
        """The recorder in front of it."""
        return f"http://127.0.0.1:{self.record_port}"

    @property
    def tap(self) -> str:
        """Port and database, as `record` and `replay --tap` take them."""
        assert self.database is not None
        return f"{self.database_port}=postgres://127.0.0.1:{self.database.port}"

    @property
    def recording(self) -> Path:
        """What the recorder writes."""
        return self.folder / "recording.db"

    @property
    def replay(self) -> Path:
        """What the replayer writes."""
        return self.folder / "replay.db"

    @property
    def page(self) -> Path:
        """The report with pictures."""
        return self.folder / "report.html"


@click.command()
@click.option("--users", default=20, show_default=True, type=click.IntRange(1, 1000), help="Users in the replay.")
@click.option(
    "--duration",
    metavar="DURATION",
    default="20s",
    show_default=True,
    help="How long the replay lasts, such as 20s or 1m.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the captures, new or empty; default demo-run, or demo-run-2 and so on where that is taken.",
)
@click.option(
    "--database",
    type=click.Choice(["auto", "postgres", "sqlite"]),
    default="auto",
    show_default=True,
    help="Where the application keeps its data: a private PostgreSQL, recorded too, where a server is installed.",
)
@click.option("--keep-open", is_flag=True, help="Leave the application running at the end, to explore it by hand.")
def demo(users: int, duration: str, output: Path | None, database: str, keep_open: bool) -> int:
    """See it all once, on a small application that comes with nestperf.

    Starts a stand-in for MediaNest, records a scripted tester, replays the session with many users, and reports
    whether the performance promises hold. Takes about a minute and leaves nothing running.
    """
    seconds_of(duration)
    binaries = _postgres(database)
    plan = Demo(
        folder=_fresh_folder(output),
        users=users,
        duration=duration,
        app_port=free_port(),
        record_port=free_port(),
        database_port=free_port(),
        database=None if binaries is None else PostgresServer(binaries),
        keep_open=keep_open,
    )
    return asyncio.run(_until_interrupted(plan))


def _postgres(wanted: str) -> Path | None:
    """The programs of the PostgreSQL server to use; None for SQLite.

    Raises:
        UsageError: it was asked for and is not here.
    """
    if wanted == "sqlite":
        return None
    binaries = find_binaries()
    client = importlib.util.find_spec("asyncpg")
    if wanted == "postgres" and (binaries is None or client is None):
        raise UsageError(f"--database postgres: {_NO_SERVER if binaries is None else _NO_CLIENT}.")
    return binaries if client is not None else None


def seconds_of(duration: str) -> float:
    """Seconds in `20s`, `1m30s`, `500ms`, as `nestperf replay` reads them.

    Raises:
        UsageError: it is no duration, or an empty one.
    """
    compact = duration.strip().lower()
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(compact))
    if not _DURATION.fullmatch(compact) or seconds <= 0:
        raise UsageError(f"--duration {duration!r} is no duration: write one like 20s or 1m30s.")
    return seconds


def _fresh_folder(wanted: Path | None) -> Path:
    """A folder that holds nothing yet; nothing that exists is ever touched."""
    candidates = [wanted] if wanted else [DEFAULT_OUTPUT, *(Path(f"{DEFAULT_OUTPUT}-{n}") for n in range(2, 1000))]
    for folder in candidates:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not any(folder.iterdir()):
                return folder
        except OSError as error:
            if wanted or not isinstance(error, FileExistsError):
                raise UsageError(
                    f"Cannot make the folder {folder} ({error.strerror}): choose another --output."
                ) from error
    raise UsageError(f"The folder {candidates[0]} is not empty: name a new one with --output.")


async def _until_interrupted(plan: Demo) -> int:
    work = asyncio.ensure_future(_run(plan))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        click.echo(f"Interrupted: everything that was started has been stopped; {plan.folder} holds what there is.")
        return ExitCode.INTERRUPTED


async def _run(plan: Demo) -> int:
    async with AsyncExitStack() as started:
        _announce(1, "Start a recorder where the application and its database will be asked for.")
        if plan.database is not None:
            click.echo("     The application gets a private PostgreSQL: its queries are recorded as well.")
            # Making a cluster takes a second, and an interruption must find it complete.
            await asyncio.shield(asyncio.to_thread(started.enter_context, plan.database))
        else:
            reason = _NO_SERVER if find_binaries() is None else "without PostgreSQL no queries are recorded"
            click.echo(f"     The application keeps its data in SQLite: {reason}.")
        code = await _record(plan, started)
        if code != ExitCode.OK:
            return _give_up("record", code)
        code = await _replay(plan)
        if code not in _JUDGED or not plan.replay.exists():
            return _give_up("replay", code)
        reported = await _report(plan)
        code = code or reported
        _conclude(plan, code)
        if plan.keep_open:
            await _stay_open(plan)
    return code


async def _record(plan: Demo, started: AsyncExitStack) -> int:
    """Record the scripted session against an application that stays; the recorder's exit code."""
    arguments = ["record", f"{plan.record_port}={plan.app_url}", "-o", str(plan.recording)]
    if plan.database is not None:
        arguments.insert(2, plan.tap)
    _show_command("nestperf", *arguments)
    async with Child("nestperf", arguments, show=_quote, patience_s=_STORING_S) as recorder:
        await recorder.wait_for(plan.record_url, _READY_S)
        _announce(2, "Start the application: a small stand-in for MediaNest.")
        _show_command(f"python -m nestperf.demo.app --port {plan.app_port}")
        environment = {} if plan.database is None else {DATABASE: plan.database.url_at(plan.database_port)}
        app = Child("nestperf.demo.app", ["--port", str(plan.app_port)], show=_quote, environment=environment)
        await started.enter_async_context(app)
        await app.wait_for(LISTENING, _READY_S)
        _announce(3, "Test by hand: here a script clicks what a tester would, once.")
        _show_command(f"python -m nestperf.demo.session {plan.record_url}")
        try:
            await asyncio.wait_for(run_session(plan.record_url, say=_quote), _SESSION_S)
        except TimeoutError:
            raise StepFailed(f"The scripted session was not over after {_SESSION_S:g} s.") from None
        return await recorder.stop(signal.SIGTERM)


async def _replay(plan: Demo) -> int:
    """Replay the recording; the replayer's exit code."""
    _announce(4, f"Play that session back with {plan.users} users for {plan.duration}.")
    arguments = ["replay", str(plan.recording), "--users", str(plan.users), "--duration", plan.duration]
    if plan.database is not None:
        arguments += ["--tap", plan.tap]
    return await _command(*arguments, "-o", str(plan.replay), within_s=seconds_of(plan.duration) + _BESIDES_REPLAY_S)


async def _report(plan: Demo) -> int:
    """Report what the replay measured, also as a page; the report's exit code."""
    _announce(5, "Read the report.")
    return await _command("report", str(plan.replay), "--html", str(plan.page), within_s=_BESIDES_REPLAY_S)


async def _command(*arguments: str, within_s: float) -> int:
    _show_command("nestperf", *arguments)
    async with Child("nestperf", arguments, patience_s=_STORING_S) as child:
        try:
            return await asyncio.wait_for(child.wait(), within_s)
        except TimeoutError:
            raise StepFailed(f"`nestperf {arguments[0]}` was not done after {within_s:g} s and was stopped.") from None


def _give_up(command: str, code: int) -> int:
    """Say that a step left nothing to go on with; its exit code."""
    click.echo(f"Error: `nestperf {command}` ended with exit code {code}: the demo stops here.", err=True)
    return code if code > 0 else int(ExitCode.FAILED)


async def _stay_open(plan: Demo) -> None:
    click.echo(f"\nThe application stays open at {plan.app_url}. Ctrl-C ends it.")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        click.echo("Ended.")


def _announce(number: int, what: str) -> None:
    click.echo("\n" + click.style(f"{number}/{_STEPS}  {what}", bold=True))


def _show_command(*words: str) -> None:
    click.echo(click.style("     $ " + " ".join(words), fg="cyan"))


def _quote(line: str) -> None:
    click.echo(f"     {line}")


def _conclude(plan: Demo, code: int) -> None:
    click.echo("\n" + click.style("Done." if code == ExitCode.OK else f"Done, with exit code {code}.", bold=True))
    click.echo("     Files")
    for path in sorted(plan.folder.iterdir()):
        click.echo(f"       {path}  {size(path.stat().st_size)}")
    click.echo("     Next")
    click.echo(f"       open {plan.page} in a browser    the report with pictures")
    click.echo(f"       nestperf report {plan.replay} --format json    the same facts for a program")
    click.echo(f"       nestperf demo --users {plan.users * 2} --duration 30s    twice the users")
    click.echo("       nestperf record http://localhost:3000 http://localhost:4000    your own application")
