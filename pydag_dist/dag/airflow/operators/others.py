"""Operators of Airflow for Python and other DAGs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydag_dist.dag.airflow.operators.arguments import Arguments, NotTaken
from pydag_dist.dag.airflow.operators.bigquery import Made
from pydag_dist.dag.airflow.things import Function, Named

_ALWAYS: Final = "left_out"  # the module of what stands where no operator of ours does


def _callable(a: Arguments, thing: Any) -> str:
    if isinstance(thing, Named) and "." in thing.name:
        module, _, name = thing.name.rpartition(".")
        return f"{module}:{name}"
    if not isinstance(thing, Function | Named):
        raise NotTaken("its function has no name")
    name = thing.name
    module = thing.module if isinstance(thing, Function) else ""
    if not module:
        raise NotTaken("its function is of no module")
    a.note(f"its function {name} must stand in a module without Airflow: here {module}")
    return f"{module}:{name}"


def _function(a: Arguments) -> dict[str, Any]:
    params: dict[str, Any] = {"callable": _callable(a, a.raw("python_callable"))}
    if args := a.take("op_args"):
        params["args"] = args
    if kwargs := a.take("op_kwargs"):
        params["kwargs"] = kwargs
    if a.take("templates_dict"):
        a.note("templates_dict: left out, give it as an argument")
    a.ignore("provide_context", "show_return_value_in_logs", "multiple_outputs", "do_xcom_push")
    return params


def _python(a: Arguments) -> Made:
    return "python.call", _function(a)


def _branch(a: Arguments) -> Made:
    return "branch", _function(a)


def _short_circuit(a: Arguments) -> Made:
    if a.take("ignore_downstream_trigger_rules", default=True):
        a.note("the trigger rules further down decide for themselves what is skipped")
    return "branch", _function(a)


def _run(a: Arguments) -> Made:
    params: dict[str, Any] = {"dag": a.needs("trigger_dag_id")}
    if conf := a.take("conf"):
        params["params"] = conf
    if (date := a.take("logical_date", "execution_date")) is not None:
        params["logical_date"] = date
    if not a.take("wait_for_completion", default=False):
        a.note("it did not wait for the run that it starts: here it does")
    a.ignore("poke_interval", "reset_dag_run", "allowed_states", "failed_states", "deferrable")
    return "dag.run", params


def _wait(a: Arguments) -> Made:
    params: dict[str, Any] = {"dag": a.needs("external_dag_id")}
    if a.take("external_task_id", "external_task_ids", "external_task_group_id") is not None:
        a.note("it waited for a task of that DAG: here for its whole run")
    if a.raw("execution_delta") is not None or a.raw("execution_date_fn") is not None:
        a.note("the logical date of the run that it waited for: give it as logical_date")
    a.ignore("allowed_states", "failed_states", "check_existence", "mode", "poke_interval")
    a.ignore("deferrable")
    return "dag.wait", params


def stand_in(task_id: str) -> Made:
    """What stands where no operator of ours does, so that the graph is whole: it fails if run."""
    name = "".join(char if char.isalnum() and char.isascii() else "_" for char in task_id)
    return "python.call", {"callable": f"{_ALWAYS}:task_{name}"}


OTHERS: Final[Mapping[str, Callable[[Arguments], Made]]] = {
    "PythonOperator": _python,
    "@task": _python,
    "BranchPythonOperator": _branch,
    "@branch": _branch,
    "ShortCircuitOperator": _short_circuit,
    "@short_circuit": _short_circuit,
    "TriggerDagRunOperator": _run,
    "ExternalTaskSensor": _wait,
}
# Operators in whose place there is nothing, and why.
_BUCKET: Final = "make the bucket once, by hand or by Terraform"
_BATCH: Final = "a batch that has ended costs nothing"
_WAITED: Final = "the task that starts that waits for its end"
NOTHING: Final[Mapping[str, str]] = {
    "EmptyOperator": "it does nothing",
    "DummyOperator": "it does nothing",
    "GCSCreateBucketOperator": _BUCKET,
    "GCSDeleteBucketOperator": f"{_BUCKET}; what is in it stays",
    "DataprocCreateWorkflowTemplateOperator": "make the template once, by hand or by Terraform",
    "DataprocDeleteBatchOperator": _BATCH,
    "DataprocJobSensor": _WAITED,
    "DataprocBatchSensor": _WAITED,
}
