"""The only way for texts to a terminal, besides what is live: commands print by it."""

from __future__ import annotations

import click

from pydag_dist.visible import visible


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a text of one or more lines, to stderr with `err`; control characters are shown."""
    click.echo(visible(text), err=err)
