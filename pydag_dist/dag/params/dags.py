"""Params of the operators that use published DAGs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pydag_dist.dag import limits
from pydag_dist.dag.params.types import Params
from pydag_dist.dag.text import patterns

Id = Annotated[str, StringConstraints(pattern=patterns.ID, max_length=limits.ID)]
Date = Annotated[str, StringConstraints(pattern=patterns.DAY_OR_TIME)]


class DagRun(Params):
    """``dag.run``: start a published DAG, and wait for that run."""

    dag: Id = Field(description="the id of a published DAG")
    params: dict[str, Any] = Field({}, description="params of its run, over the DAG's own")
    logical_date: Date | None = Field(
        None, description="without an offset in that DAG's time zone; default: that of this run"
    )
    results: list[Id] = Field([], description="its tasks whose results are in the result")


class DagWait(Params):
    """``dag.wait``: wait until the run of a DAG for a logical date has succeeded."""

    dag: Id = Field(description="the id of the DAG whose run is waited for")
    logical_date: Date | None = Field(
        None, description="without an offset in that DAG's time zone; default: that of this run"
    )
