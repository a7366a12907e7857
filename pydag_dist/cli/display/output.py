"""The only way for texts to a terminal, besides the tables of rich: commands print by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pydag_dist.visible import one_line, visible

if TYPE_CHECKING:
    from rich.text import Text


def echo(text: str = "", *, err: bool = False) -> None:
    """Print a text of one or more lines, to stderr with `err`; control characters are shown."""
    click.echo(visible(text), err=err)


def cell(text: str | None, style: str = "") -> Text:
    """A text from outside as a cell of a table, on one line; control characters are shown."""
    from rich.text import Text

    return Text(one_line(text or ""), style)
