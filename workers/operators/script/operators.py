"""pyDag's scripts as tasks: ``bq`` runs as SQL, ``spark`` on Dataproc, ``iac`` as Python here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydag_dist.dag.operators import SparkScriptParams
from pydag_dist.dag.script import ScriptPath
from workers.contract.context import TaskContext, parsed_params
from workers.contract.operator import Operator
from workers.errors import TaskFailed
from workers.operators.bigquery.job import Place
from workers.operators.bigquery.query import Query, Statement, query_parameters
from workers.operators.dataproc.job import JobSpec, SubmitJob
from workers.operators.script import iac
from workers.operators.script.fill import check_safe_in_python, fill, marked
from workers.operators.script.params import ScriptParams, resolve
from workers.operators.script.stores import check_trusted, script_text

_QUERY_PARAMETER = re.compile(r"(?<!@)@([A-Za-z_]\w*)")


class BigQueryScript(Query):
    """``script.bq``: the filled text as SQL; ``@name`` in it is a query parameter."""

    def place(self, context: TaskContext) -> Place:
        """Where a task's query runs: pyDag's files say no more than a connection."""
        return Place(resolve(context.params, context.settings).connection)

    def statement(self, context: TaskContext) -> Statement:
        """A task's query."""
        params = resolve(context.params, context.settings)
        path = script_path(context)
        sql = fill(_text(context, path, params), params.values, script=path.path)
        values = _referenced(sql, params.values)
        return Statement(sql, {"query_parameters": query_parameters(values)})


class SparkScript(SubmitJob):
    """``script.spark``: the script's own object as the job's main file, params as one JSON."""

    def spec(self, context: TaskContext) -> JobSpec:
        """The job of a task."""
        path = script_path(context)
        check_trusted(path, context.settings.stores)
        cluster = parsed_params(context, SparkScriptParams)
        params = resolve(context.params, context.settings)
        settings = context.settings.spark
        sent = params.values | {name.lower(): value for name, value in settings.items()}
        sent["id"] = f"{context.dag_id}_{context.task_id}"
        return JobSpec(
            cluster.region,
            cluster.cluster_name,
            {
                "pyspark_job": {
                    "main_python_file_uri": f"gs://{path.bucket}/{path.object_name}",
                    "args": ["--params", json.dumps(sent)],
                    "jar_file_uris": [jar for jar in sent.get("spark.jars", "").split(",") if jar],
                }
            },
            params.connection,
            cluster.project_name,
        )


class IacScript(Operator):
    """``script.iac``: Python text with a class named like the script, in a process of its own."""

    def execute(self, context: TaskContext) -> None:
        """Run it to its end; it has no result."""
        path = script_path(context)
        params = resolve(context.params, context.settings)
        check_safe_in_python(params.given, script=path.path)
        text = marked(_text(context, path, params), params.values, script=path.path)
        iac.run(context, path.name, text, params.connection)


def script_path(context: TaskContext) -> ScriptPath:
    """The parts of the task's script."""
    try:
        return ScriptPath.parse(context.script or "")
    except ValueError as error:
        raise TaskFailed(f"script of task {context.task_id}: {error}", final=True) from None


def _text(context: TaskContext, path: ScriptPath, params: ScriptParams) -> str:
    text = script_text(context, path, params.connection)
    for name, key_file in params.key_files.items():
        if not key_file and f"{{{name}}}" in text:
            raise TaskFailed(
                f"script {path} wants the key file of connection {params.connection}, which has "
                f"none: set key_file in [worker.connections.{params.connection}]"
            )
    return text


def _referenced(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _QUERY_PARAMETER.findall(sql) if name in values}
