"""The operators that a task may name, and the params of each.

Workers read params with the same models. Packages add operators by registering them in the
entry point group ``pydag.operators``; of these only the names are known here, since a host that
submits a DAG need not be able to run it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pydag_dist.dag import patterns
from pydag_dist.dag.script import quote

FAMILIES: Final = ("bigquery", "dataproc", "gcs", "python")
ENTRY_POINTS: Final = "pydag.operators"
BRANCH: Final = "branch"

# What these start ends with the worker's child; anything else has to be cancelled where it runs.
LOCAL: Final = frozenset({"python.call", BRANCH, "script.iac"})

_SCRIPT_FAMILIES: Final = {"bq": "bigquery", "spark": "dataproc", "iac": "dataproc"}

Filled = Annotated[str, StringConstraints(pattern=patterns.FILLED)]
GcsUri = Annotated[str, StringConstraints(pattern=patterns.GCS_URI)]
Table = Annotated[str, StringConstraints(pattern=patterns.TABLE)]
Dataset = Annotated[str, StringConstraints(pattern=patterns.DATASET)]
ClusterName = Annotated[str, StringConstraints(pattern=patterns.CLUSTER)]


class Params(BaseModel):
    """Params of an operator: exactly these, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GoogleParams(Params):
    """What every task in Google Cloud may say."""

    connection: Filled | None = Field(None, description="a connection of the worker's settings")
    project: Filled | None = Field(None, description="default: the connection's")
    labels: dict[str, str] = Field({}, description="put on the remote job or cluster")


def _typed(value: Any) -> Any:
    """Refuse query parameters whose BigQuery type can't be told from their JSON value."""
    if not isinstance(value, dict | list):
        raise ValueError(f"must be an object (of @name) or a list (of ?), not {quote(value)}")  # noqa: TRY004
    named = value.items() if isinstance(value, dict) else enumerate(value)
    wrong = [f"{name}: {quote(given)}" for name, given in named if not _has_type(given)]
    if wrong:
        raise ValueError(
            f'no BigQuery type for {", ".join(wrong)}: give an object of "type" and "value"'
        )
    return value


def _has_type(value: Any) -> bool:
    if isinstance(value, list):
        return len({type(item) for item in value}) == 1 and not isinstance(value[0], dict | list)
    if isinstance(value, dict):
        return set(value) == {"type", "value"}
    return value is not None


QueryParameters = Annotated[dict[str, Any] | list[Any], BeforeValidator(_typed)]


class BigQueryQuery(GoogleParams):
    """``bigquery.query``: run GoogleSQL, a script of several statements too."""

    sql: Filled = Field(description="the text; values go into `parameters`, not into the text")
    parameters: QueryParameters = Field(
        {}, description="of @name by name, of ? by position; {type, value} where JSON has no type"
    )
    location: Filled | None = Field(None, description="where the job runs")
    default_dataset: Dataset | None = Field(None, description="project.dataset of bare tables")
    destination: Table | None = Field(None, description="project.dataset.table of the rows")
    write_disposition: Literal["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_EMPTY"] | None = None
    create_disposition: Literal["CREATE_IF_NEEDED", "CREATE_NEVER"] | None = None
    job_priority: Literal["INTERACTIVE", "BATCH"] = "INTERACTIVE"
    maximum_bytes_billed: int | None = Field(None, gt=0, description="fail rather than bill more")
    use_query_cache: bool = True


class ClusterParams(GoogleParams):
    """Which Dataproc cluster."""

    region: Filled
    cluster_name: ClusterName


class DataprocCreateCluster(ClusterParams):
    """``dataproc.create_cluster``: create it, or find the one that this try created."""

    config: dict[str, Any] = Field({}, description="Dataproc's ClusterConfig, in snake_case")
    use_if_exists: bool = Field(False, description="take a cluster of that name as it is")


class DataprocSubmitJob(ClusterParams):
    """``dataproc.submit_job``: run PySpark on a cluster that is there."""

    main_python_file_uri: GcsUri
    args: list[str] = []
    python_file_uris: list[str] = []
    jar_file_uris: list[str] = []
    file_uris: list[str] = []
    archive_uris: list[str] = []
    properties: dict[str, str] = Field({}, description="Spark's settings")


class PythonCall(Params):
    """``python.call``: call a function of a module that the worker may import."""

    callable: Annotated[str, StringConstraints(pattern=patterns.CALLABLE)] = Field(
        description="module:function"
    )
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Branch(PythonCall):
    """``branch``: the function returns the id, or a list of ids, of the tasks to follow."""


class ScriptParams(BaseModel):
    """Params of a pyDag script: whatever fills its ``{name}``s; ``*name`` and ``**GROUP_key``."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class SparkScriptParams(ScriptParams):
    """Params of a Spark script: which cluster; all of them go to the script."""

    cluster_name: Filled
    project_name: Filled
    region: Filled


OPERATORS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "bigquery.query": BigQueryQuery,
        BRANCH: Branch,
        "dataproc.create_cluster": DataprocCreateCluster,
        "dataproc.submit_job": DataprocSubmitJob,
        "python.call": PythonCall,
    }
)
SCRIPTS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType(
    {
        "script.bq": ScriptParams,
        "script.spark": SparkScriptParams,
        "script.iac": ScriptParams,
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


def family(operator: str) -> str:
    """The queue of an operator's tasks if they name none: one that a worker listens to."""
    first, _, rest = operator.partition(".")
    if first == "script":
        return _SCRIPT_FAMILIES.get(rest, "python")
    return first if first in FAMILIES else "python"
