"""What recordings and imports can be told about secrets: the same words for both."""

from __future__ import annotations

import click

redact_option = click.option(
    "--redact",
    "names",
    metavar="NAME",
    multiple=True,
    help="Treat what stands under this name (a header, cookie, key or field; * and ? stand for characters) as a secret "
    "too; repeatable.",
)
no_redact_option = click.option(
    "--no-redact", is_flag=True, help="Store secrets as they come. For a lab; every command will say it."
)
