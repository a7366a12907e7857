"""Edits of DAG files' texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pydag_dist.dag.editing.edits import Edit
from pydag_dist.web.models.base import Model
from pydag_dist.web.models.checking import DagText


class Edits(DagText):
    """Edits of a DAG file's text, one after the other."""

    edits: Annotated[list[Edit], Field(min_length=1, max_length=1000)]


class TextChange(Model):
    """The characters from `begin` to before `end` are replaced by `text`."""

    begin: int
    end: int
    text: str


class Edited(Model):
    """Changes in the text's order, none over another; `undo` is for the text after them."""

    changes: list[TextChange]
    undo: list[TextChange]
