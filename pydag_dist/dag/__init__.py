"""The model: what a DAG is, how it is read and checked, and what its edges say. No I/O."""

from __future__ import annotations

from pydag_dist.dag.fields import Task, TriggerRule
from pydag_dist.dag.model import Dag
from pydag_dist.dag.reading.json_schema import schema
from pydag_dist.dag.script import ScriptPath
from pydag_dist.errors import InvalidDag, Problem

__all__ = ["Dag", "InvalidDag", "Problem", "ScriptPath", "Task", "TriggerRule", "schema"]
