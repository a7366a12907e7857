"""The operators by their dotted names; a module is imported when a task first needs it."""

from __future__ import annotations

import functools
import importlib
from importlib.metadata import entry_points

from pydag_dist.dag.operators import ENTRY_POINTS
from workers.contract.answer import Answer, Asked, Done, Handle, Pending
from workers.contract.context import TaskContext
from workers.contract.operator import Operator, RemoteOperator
from workers.contract.wait import Wait
from workers.errors import HostLacks, TaskFailed
from workers.result_cache.cached_operator import CachedOperator, Inputs, NotCached, Version

__all__ = [
    "Answer",
    "Asked",
    "CachedOperator",
    "Done",
    "Handle",
    "Inputs",
    "NotCached",
    "Operator",
    "Pending",
    "RemoteOperator",
    "TaskContext",
    "Version",
    "Wait",
    "find",
]

# Not imported here: a worker that serves the queue python only needs no google package.
_OPERATORS = {
    "bigquery.check": "workers.operators.bigquery.check:Check",
    "bigquery.copy": "workers.operators.bigquery.copy:Copy",
    "bigquery.extract": "workers.operators.bigquery.extract:Extract",
    "bigquery.load": "workers.operators.bigquery.load:Load",
    "bigquery.query": "workers.operators.bigquery.query:Query",
    "bigquery.wait_table": "workers.operators.bigquery.wait:WaitTable",
    "dag.run": "workers.operators.dag.run:RunDag",
    "dag.wait": "workers.operators.dag.wait:WaitForDag",
    "branch": "workers.operators.python.branch:Branch",
    "dataproc.create_cluster": "workers.operators.dataproc.create:CreateCluster",
    "dataproc.delete_cluster": "workers.operators.dataproc.delete:DeleteCluster",
    "dataproc.start_cluster": "workers.operators.dataproc.change:StartCluster",
    "dataproc.stop_cluster": "workers.operators.dataproc.change:StopCluster",
    "dataproc.submit_batch": "workers.operators.dataproc.batch:SubmitBatch",
    "dataproc.submit_job": "workers.operators.dataproc.job:SubmitJob",
    "dataproc.update_cluster": "workers.operators.dataproc.change:UpdateCluster",
    "dataproc.workflow_template": "workers.operators.dataproc.workflow:RunWorkflow",
    "gcs.compose": "workers.operators.gcs.compose:Compose",
    "gcs.copy": "workers.operators.gcs.copy:Copy",
    "gcs.delete": "workers.operators.gcs.delete:Delete",
    "gcs.move": "workers.operators.gcs.move:Move",
    "gcs.upload": "workers.operators.gcs.upload:Upload",
    "gcs.wait_object": "workers.operators.gcs.wait:WaitObject",
    "python.call": "workers.operators.python.call:PythonCall",
    "script.bq": "workers.operators.script.operators:BigQueryScript",
    "script.iac": "workers.operators.script.operators:IacScript",
    "script.spark": "workers.operators.script.operators:SparkScript",
}


@functools.cache
def find(name: str) -> Operator:
    """The operator of that name: one of ours, else of the entry point group `pydag.operators`."""
    if path := _OPERATORS.get(name):
        module, _, attribute = path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            raise _missing(name, f"{error}; pip install 'pydag-dist[worker]'") from None
    else:
        registered = entry_points(group=ENTRY_POINTS, name=name)
        if not registered:
            raise _missing(
                name,
                f"it has {', '.join(sorted(_OPERATORS))}; install the package that registers it "
                f"in the entry points {ENTRY_POINTS}",
            )
        try:
            found = next(iter(registered)).load()
        except ImportError as error:
            raise _missing(name, str(error)) from None
    operator = found() if isinstance(found, type) else found
    if not isinstance(operator, Operator):
        found_instead = type(operator).__name__
        raise TaskFailed(f"operator {name!r} is a {found_instead}, not an Operator", final=True)
    return operator


def _missing(name: str, why: str) -> HostLacks:
    return HostLacks(f"no operator {name!r} on this worker: {why}", f"operator:{name}")
