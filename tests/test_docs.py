"""Documentation that cannot lie: its links lead somewhere, the commands it shows exist with the options it gives."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nestperf.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"(?m)(?:^|`)(?:\$ )?(nestperf (?!-)[^`\n#]*)")


def commands(page: Path) -> Iterator[str]:
    """Every command line of ours on a page, in code blocks and in code spans, without shell comments."""
    text = page.read_text().replace("\\\n", " ")
    for block in re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL):
        yield from (line.strip() for line in _COMMAND.findall(block))


COMMANDS = sorted({(page.name, line) for page in PAGES for line in commands(page)})


def known() -> dict[str, click.Command]:
    context = click.Context(cli)
    return {name: command for name in cli.list_commands(context) if (command := cli.get_command(context, name))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_shown_exist_with_their_options(page: str, line: str) -> None:
    words = shlex.split(line.replace("…", "..."), comments=True)
    command = known().get(words[1].rstrip("`.,:;"))
    assert command is not None, f"{page}: {line}"
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    for word in words[2:]:
        if word == "--":
            break
        if word.startswith("-") and word not in ("-", "-h"):
            assert word.partition("=")[0].rstrip(".,:;") in options, f"{page}: {line}"


def test_every_command_has_help_and_a_place_in_the_documentation() -> None:
    shown = {line.split()[1].rstrip(".,:;") for _, line in COMMANDS}
    for name, command in known().items():
        assert command.help, name
        assert name in shown, f"no page shows `nestperf {name}`"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{name} {parameter.opts}"
