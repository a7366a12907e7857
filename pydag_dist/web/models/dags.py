"""Published DAGs: what is told of them, and what is asked for."""

from __future__ import annotations

from typing import Any, Literal

from pydag_dist.web.models.base import Missing, Model, Seconds


class Dag(Model):
    """A published DAG, as of `pydag dags --json`."""

    dag_id: str
    owner: str
    version: int
    settled: Seconds | None
    hash: str
    schedule: dict[str, Any] | None
    schedule_text: str | None
    source: str
    published_at: Seconds | None
    published_by: str
    due: Seconds | None
    held: bool
    paused_at: Seconds | None
    paused_by: str
    max_active: int
    missed: int
    missed_last: Seconds | None
    last_run: str | None
    last_state: str | None
    last_ended: Seconds | None


class DescribedDag(Dag):
    """A published DAG, and what its newest version says for people."""

    description: str
    tags: list[str]


class ChangedDag(Dag):
    """A published DAG, and whether it was not so before."""

    changed: bool


class Dags(Model):
    """The published DAGs, and why files of a published folder can't be published."""

    items: list[Dag]
    problems: dict[str, str]


class DagVersion(Model):
    """A version of a DAG, and what it has changed: a line for each field and task."""

    number: int
    at: Seconds | None
    by: str
    hash: str
    difference: list[str]
    text: str | None


class DagVersions(Model):
    """The newest first."""

    items: list[DagVersion]
    missing: Missing


class DagChange(Model):
    """What somebody did to a published DAG, or which of its due times were missed.

    `source` is the file of a folder that it was published from; `missed` is how many due times.
    """

    at: Seconds
    kind: Literal["published", "moved", "paused", "unpaused", "unpublished", "missed"]
    by: str
    version: int | None
    source: str
    missed: int


class DagChanges(Model):
    """The newest first."""

    items: list[DagChange]
    missing: Missing


class Durations(Model):
    """Task -> the median of the seconds that it took in the DAG's newest runs."""

    durations: dict[str, float]


class Preview(Model):
    """The next times at which a DAG is due."""

    zone: str
    due: list[Seconds]


class Published(Model):
    """A published DAG, whether that is a new version of it, and when it is due next."""

    dag_id: str
    version: int
    is_new: bool
    due: Seconds | None


class Pause(Model):
    """Whether to stand still."""

    paused: bool
