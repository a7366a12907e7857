"""What is made of plans: tasks of the model, delays, and runs that tasks start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydag_dist.client.arguments import params_of, utc
from pydag_dist.dag import Dag, limits
from pydag_dist.dag.params.dags import DagRun
from pydag_dist.dag.planning.task_spec import RunParams
from pydag_dist.dag.run_params import check_names
from pydag_dist.engine import PlannedTask
from pydag_dist.errors import PydagError, TaskFailed
from pydag_dist.testing.reference import RefTask
from pydag_dist.testing.stand_ins import MissingStandIn


def child_of(
    asked: DagRun,
    dags: Mapping[str, Dag],
    around: tuple[str, ...],
    logical_date: str,
    task: str,
) -> tuple[Dag, RunParams]:
    """The DAG that a task of `dag.run` starts, and what that run is given; as a worker checks it.

    `around` are the DAGs of the runs that wait for it, outermost first.
    """
    if asked.dag in around:
        why = f"a DAG can't run within itself: {' > '.join((*around, asked.dag))}"
        raise TaskFailed(why, final=True)
    if len(around) >= limits.CHAIN:
        raise TaskFailed(f"at most {limits.CHAIN} runs may wait in a chain", final=True)
    dag = dags.get(asked.dag)
    if dag is None:
        raise MissingStandIn(
            f"task {task} starts a run of DAG {asked.dag}: give that one in `dags`, or something "
            "that stands in for the task"
        )
    if missing := [name for name in asked.results if name not in dag.tasks]:
        why = f"dag.run: results: DAG {asked.dag} has no task {', '.join(missing)}"
        raise TaskFailed(why, final=True)
    try:
        check_names(dag, asked.params)
        date = utc(asked.logical_date, dag.zone) or logical_date
        return dag, RunParams(params_of(dag, asked.params), date)
    except PydagError as error:
        raise TaskFailed(f"dag.run: {error}", final=True) from None


def model_of(row: PlannedTask, upstream: Sequence[str]) -> RefTask:
    """The task as the reference model begins with it."""
    return RefTask(
        row.queue,
        row.rank,
        tuple(upstream),
        rule=row.rule,
        retries=row.retries,
        allow_failure=row.allow_failure,
        remote=row.remote,
        sensor=row.sensor,
        branch=row.branch,
        setup=row.setup,
        expands_over=row.list_task,
        items=row.items,
    )


def delay(row: PlannedTask, failures: int) -> float:
    """Seconds until the next try; a worker changes them by up to 20 % at random."""
    if not row.retry_backoff:
        return row.retry_delay
    return float(min(row.retry_delay * 2 ** (failures - 1), row.max_retry_delay))
