"""Texts of DAG files: what is said of them, and what they may have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pydag_dist.dag import limits
from pydag_dist.web.models.base import Model, ProblemItem, Seconds


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
    """What is to be said of a DAG file's text: the first 200 problems, or how many tasks it has.

    `due` are the next five times at which it would be due if it were published.
    """

    dag_id: str | None
    tasks: int | None
    problems: list[PlacedProblem]
    unserved: list[UnservedTask]
    zone: str | None
    due: list[Seconds]


class Operator(Model):
    """An operator, or that of a kind of script: what it does, and the JSON Schema of its params.

    Tasks name scripts by their paths, as `script`. A sensor only waits. In params each value may be
    a template instead, but texts in which it would mean something else.
    """

    name: str
    help: str
    queue: str
    is_script: bool
    is_sensor: bool
    may_be_cached: bool
    may_have_secrets: bool
    params: dict[str, Any] | None


class Operators(Model):
    """In lexical order."""

    items: list[Operator]


class Filter(Model):
    """A filter of templates, and what may stand in its brackets."""

    name: str
    arguments: list[str]


class Templates(Model):
    """What templates may name."""

    names: list[str]
    filters: list[Filter]
    tests: list[str]
