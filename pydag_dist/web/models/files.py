"""The DAG files of a folder, and who changed them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pydag_dist.dag.editing.merging import Side
from pydag_dist.web.models.base import Model, Seconds
from pydag_dist.web.models.checking import DagText, PlacedProblem


class FileItem(Model):
    """A DAG file."""

    path: str
    bytes: int
    modified_at: Seconds


class FileList(Model):
    """All DAG files by their paths; `is_git`: a save can be a commit."""

    items: list[FileItem]
    is_git: bool


class File(Model):
    """A file; its ETag is that of the answer, too."""

    path: str
    text: str
    etag: str


class Save(DagText):
    """What a file shall become; with a message it is committed, too."""

    message: Annotated[str, Field(max_length=5000)] = ""


class Saved(Model):
    """A file was saved; `commit_problem`: why it is not committed, though there was a message."""

    path: str
    etag: str
    problems: list[PlacedProblem]
    commit: str | None
    commit_problem: str | None


class SaveFact(Model):
    """Who saved or deleted a file; before and after are ETags, null if there was no file."""

    at: Seconds
    by: str
    kind: Literal["save", "delete", "failed"]
    before: str | None
    after: str | None
    problems: int


class CommitFact(Model):
    """A commit that changed a file."""

    commit: str
    author: str
    at: Seconds
    message: str


class FileHistory(Model):
    """The newest 100 of each, the newest first."""

    saves: list[SaveFact]
    is_git: bool
    commits: list[CommitFact]


class Choice(Model):
    """Whose value a field that both have changed shall have."""

    task: str | None
    field: str
    side: Side


class Merge(DagText):
    """A text that was made of `base`; `prefer`: whose values stand where both have changed one.

    `choices` say it for single fields.
    """

    base: str
    prefer: Side | None = None
    choices: list[Choice] = Field([], max_length=10_000)


class MergeConflict(Model):
    """What both have changed: the text's value (mine) and the file's (theirs)."""

    task: str | None
    field: str
    base: Any
    mine: Any
    theirs: Any


class Merged(Model):
    """The file with the text's changes; in conflicts their value stands. Save with this ETag."""

    text: str
    etag: str
    conflicts: list[MergeConflict]
