"""The operators that a task may name, and the params of each.

Workers read params with the same models. Packages add operators by the entry point group
``pydag.operators``. Only the names of these are known here, since a host that submits a DAG need
not be able to run it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pydag_dist.dag.params.bigquery import (
    BigQueryCheck,
    BigQueryCopy,
    BigQueryExtract,
    BigQueryLoad,
    BigQueryQuery,
    BigQueryWaitTable,
)
from pydag_dist.dag.params.branch import Branch
from pydag_dist.dag.params.dags import DagRun, DagWait
from pydag_dist.dag.params.dataproc import (
    DataprocCreateCluster,
    DataprocDeleteCluster,
    DataprocStartCluster,
    DataprocStopCluster,
    DataprocSubmitBatch,
    DataprocSubmitJob,
    DataprocUpdateCluster,
    DataprocWorkflowTemplate,
)
from pydag_dist.dag.params.gcs import (
    GcsCompose,
    GcsCopy,
    GcsDelete,
    GcsMove,
    GcsUpload,
    GcsWaitObject,
)
from pydag_dist.dag.params.types import Filled, Params
from pydag_dist.dag.text import patterns

FAMILIES: Final = ("bigquery", "dataproc", "gcs", "python")
ENTRY_POINTS: Final = "pydag.operators"
BRANCH: Final = "branch"
RUN_DAG: Final = "dag.run"
WAIT_FOR_DAG: Final = "dag.wait"
CREATE_CLUSTER: Final = "dataproc.create_cluster"
USE_CLUSTERS: Final = frozenset(
    {
        "dataproc.delete_cluster", "dataproc.start_cluster", "dataproc.stop_cluster",
        "dataproc.submit_job", "dataproc.update_cluster",
    }
)  # fmt: skip

# Their work ends with the worker's child. Jobs of all others must be cancelled where they run.
LOCAL: Final = frozenset(
    {
        "python.call", BRANCH, "script.iac", "gcs.compose", "gcs.copy", "gcs.delete", "gcs.move",
        "gcs.upload",
    }
)  # fmt: skip

# Their tasks may have `cache`, since what they read and write has versions.
CACHED: Final = frozenset(
    {
        "bigquery.copy", "bigquery.extract", "bigquery.load", "bigquery.query", "gcs.compose",
        "gcs.copy", "script.bq",
    }
)  # fmt: skip

_SCRIPT_FAMILIES: Final = {"bq": "bigquery", "spark": "dataproc", "iac": "dataproc"}


class PythonCall(Params):
    """``python.call``: call a function of a module that the worker may import."""

    callable: Annotated[str, StringConstraints(pattern=patterns.CALLABLE)] = Field(
        description="module:function"
    )
    args: list[Any] = Field([])
    kwargs: dict[str, Any] = Field({})


class ScriptParams(BaseModel):
    """Params of a pyDag script: those for its ``{name}``s, ``*name`` and ``**GROUP_key``."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class BigQueryScriptParams(ScriptParams):
    """``script.bq``: run the SQL of a script."""


class IacScriptParams(ScriptParams):
    """``script.iac``: run Python that makes or removes what is in Google Cloud."""


class SparkScriptParams(ScriptParams):
    """``script.spark``: run PySpark on a cluster; the script gets all params, its cluster too."""

    cluster_name: Filled
    project_name: Filled
    region: Filled


OPERATORS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "bigquery.check": BigQueryCheck,
        "bigquery.copy": BigQueryCopy,
        "bigquery.extract": BigQueryExtract,
        "bigquery.load": BigQueryLoad,
        "bigquery.query": BigQueryQuery,
        "bigquery.wait_table": BigQueryWaitTable,
        BRANCH: Branch,
        RUN_DAG: DagRun,
        WAIT_FOR_DAG: DagWait,
        "dataproc.create_cluster": DataprocCreateCluster,
        "dataproc.delete_cluster": DataprocDeleteCluster,
        "dataproc.start_cluster": DataprocStartCluster,
        "dataproc.stop_cluster": DataprocStopCluster,
        "dataproc.submit_batch": DataprocSubmitBatch,
        "dataproc.submit_job": DataprocSubmitJob,
        "dataproc.update_cluster": DataprocUpdateCluster,
        "dataproc.workflow_template": DataprocWorkflowTemplate,
        "gcs.compose": GcsCompose,
        "gcs.copy": GcsCopy,
        "gcs.delete": GcsDelete,
        "gcs.move": GcsMove,
        "gcs.upload": GcsUpload,
        "gcs.wait_object": GcsWaitObject,
        "python.call": PythonCall,
    }
)
SCRIPTS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "script.bq": BigQueryScriptParams,
        "script.spark": SparkScriptParams,
        "script.iac": IacScriptParams,
    }
)


def params_model(operator: str) -> type[BaseModel] | None:
    """The model of an operator's params; None if only a worker knows them."""
    return OPERATORS.get(operator) or SCRIPTS.get(operator)


@functools.cache
def operator_names() -> tuple[str, ...]:
    """The names that a task's ``operator`` may have on this host, entry points included."""
    registered = {entry.name for entry in entry_points(group=ENTRY_POINTS)}
    return tuple(sorted(registered | set(OPERATORS)))


def may_be_cached(operator: str) -> bool:
    """Whether tasks of the operator may have `cache`; for another package's, a worker decides."""
    return operator in CACHED or params_model(operator) is None


def may_have_secrets(operator: str) -> bool:
    """Whether params of its tasks may name secrets; for another package's, a worker decides.

    What Google is told of a job it shows to others.
    """
    return not runs_elsewhere(operator)


def runs_elsewhere(operator: str) -> bool:
    """Whether it is known of its tasks that they hold no slot while their jobs run."""
    return operator not in LOCAL and params_model(operator) is not None


def is_sensor(operator: str) -> bool:
    """Whether tasks of the operator only wait: they don't count as active while they do."""
    return operator == WAIT_FOR_DAG or operator.rpartition(".")[2].startswith("wait_")


def family(operator: str) -> str:
    """The queue of an operator's tasks if they name none: one that a worker listens to."""
    first, _, rest = operator.partition(".")
    if first == "script":
        return _SCRIPT_FAMILIES.get(rest, "python")
    return first if first in FAMILIES else "python"
