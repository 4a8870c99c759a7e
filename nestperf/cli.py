"""The `nestperf` command: a group that imports a sub-command only when it is called, and the one place where errors
become exit codes."""

from __future__ import annotations

import importlib
import io
import keyword
import os
import sys

import click

from nestperf import __version__
from nestperf.errors import ExitCode, NestperfError
from nestperf.faults import describe_fault

_COMMANDS = {
    "record": ("proxy_addon.cli", "Record what happens between browser and application."),
    "plan": ("replay.plan_cli", "Show what a replay would send, and what not, and why."),
    "replay": ("replay.cli", "Play a capture back with many users and check the thresholds."),
    "check": ("replay.check_cli", "Check what was promised about many people at once, rate limits and sockets."),
    "browse": ("replay.browse.cli", "Open the recorded pages in a real browser, over a slow network."),
    "report": ("reports.cli", "Print tables and verdicts of a capture."),
    "mark": ("proxy_addon.mark_cli", "Give this moment of a running recording a name."),
    "show": ("reports.show", "Print one exchange with everything around it."),
    "import": (
        "proxy_addon.import_cli",
        "Make a capture out of a browser's HAR, mitmproxy's flows or PostgreSQL's log.",
    ),
    "export": (
        "nestperf.capture.cli",
        "Write a copy of a capture to hand on, without secrets or bodies; or a HAR of it.",
    ),
    "trim": ("nestperf.capture.cli", "Take bodies or a stretch of time out of a capture."),
    "demo": ("nestperf.demo.cli", "See it all once, on a small application that comes with nestperf."),
}
"""Sub-command: the module that holds the click command of the same name, and its line in `nestperf --help`."""


class _LazyGroup(click.Group):
    """Knows its commands by name; imports one when it is called or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command = getattr(module, f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `nestperf demo`. Each command explains itself: `nestperf record --help`.",
)
@click.version_option(__version__, prog_name="nestperf")
def cli() -> None:
    """Record what a web application's users feel, replay it with many users, and check the promises."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has no µ, × or ▇ shows ? instead of ending the command.
            stream.reconfigure(errors="replace")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code. Commands return their own code, None meaning 0."""
    try:
        result = cli.main(arguments, prog_name="nestperf", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted: nothing was kept.", err=True)
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except NestperfError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output (head, less) has seen enough; keep the interpreter from complaining at exit.
        sys.stdout = None
        return ExitCode.OK
    except Exception as error:
        if os.environ.get("NESTPERF_DEBUG"):
            raise
        click.echo(f"Error: {describe_fault(error)}", err=True)
        return ExitCode.INVALID
    return int(result or ExitCode.OK)


if __name__ == "__main__":
    main()
