"""Edits of DAG files' texts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.dag.editing.comparing import What
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


class Compare(DagText):
    """A text, and what it is compared with: `base`, what ran, or a published version.

    Without any of them with the newest run of that DAG.
    """

    base: str | None = None
    run_id: Annotated[str, Field(max_length=limits.ID)] | None = None
    version: Annotated[int, Field(ge=1, description="of the text's dag_id")] | None = None


class TaskDifference(Model):
    """A task that is new, gone, or changed in these fields."""

    task: str
    what: What
    fields: list[str]


class EdgeDifference(Model):
    """An edge that is new or gone."""

    upstream: str
    task: str
    what: What


class Compared(Model):
    """What the text has otherwise: the DAG's fields, its tasks and edges.

    `before` is the text as it would be if nothing of that had changed; what means the same is as
    the text has it. `run_id` or `version` is what it was compared with.
    """

    run_id: str | None
    version: int | None
    before: str
    fields: list[str]
    tasks: list[TaskDifference]
    edges: list[EdgeDifference]


class Render(DagText):
    """A task whose params are to be rendered, and what a run would know by then."""

    task: str
    params: dict[str, Any] = Field({}, description="of the run")
    logical_date: Annotated[str, Field(max_length=64, description="default: now")] = ""
    results: dict[str, Any] = Field({}, description="of upstream tasks, by their ids")
    index: Annotated[int, Field(ge=0, description="of an expanded task's child")] = 0


class ToEstimate(DagText):
    """A DAG whose queries are to be dry-run, and what its run would know."""

    params: dict[str, Any] = Field({}, description="of the run")
    logical_date: Annotated[str, Field(max_length=64, description="default: now")] = ""
    price: Annotated[float | None, Field(ge=0, le=1e6, description="USD for a TiB")] = None


class TaskEstimate(Model):
    """What a task will read, and what of that is billed; null: not known before.

    Also which tables its query names, and the columns of what it makes.
    """

    bytes: int | None
    billed: int | None
    note: str
    wrong: bool
    price: float | None
    tables: list[str]
    columns: list[str]


class Estimated(Model):
    """What the BigQuery tasks of a DAG will read; prices in USD."""

    dag_id: str
    bytes: int
    billed: int
    budget: int | None
    price: float
    unknown: list[str]
    tasks: dict[str, TaskEstimate]


class Rendered(Model):
    """What the first try of that task, or child, would be given."""

    task: str
    params: dict[str, Any]
