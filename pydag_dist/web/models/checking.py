"""Texts of DAG files: what is said of them, and what they may have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.web.models.base import Model, ProblemItem


class DagText(Model):
    """The text of a DAG file, or of what it was converted to."""

    text: Annotated[str, Field(max_length=limits.DAG_BYTES)]


class PlacedProblem(ProblemItem):
    """A problem of a text; offset and length count characters of what it is about."""

    offset: int
    length: int


class UnservedTask(Model):
    """A task that no live worker can run, and why."""

    task: str
    reason: str


class Validated(Model):
    """What is to be said of a DAG file's text: the first 200 problems, or how many tasks it has."""

    dag_id: str | None
    tasks: int | None
    problems: list[PlacedProblem]
    unserved: list[UnservedTask]


class Operator(Model):
    """An operator, its usual queue, and the JSON Schema of its params."""

    name: str
    queue: str
    may_be_cached: bool
    params: dict[str, Any] | None


class Operators(Model):
    """In lexical order."""

    items: list[Operator]
