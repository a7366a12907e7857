"""Plans a submitted run: what `plan` makes of its DAG is written to the engine, in chunks."""

from __future__ import annotations

from collections.abc import Mapping

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.coordinator.prior_run import prior_run
from pydag_dist.dag import Dag
from pydag_dist.dag.planning.task_spec import RunParams
from pydag_dist.engine import CHUNK, Engine


def plan(
    engine: Engine,
    run_id: str,
    dag: Dag,
    durations: Mapping[str, float] | None = None,
) -> bool:
    """Plan a submitted run and start it. False if it is planned already or by a newer planner."""
    token = engine.planning.plan_begin(run_id)
    if token is None:
        return False
    run = RunParams(*engine.reading.run_params(run_id))
    made = plan_of(dag, prior_run(engine, run_id), run, durations)
    for at in range(0, len(made.rows), CHUNK):
        if not engine.planning.plan_chunk(run_id, token, made.rows[at : at + CHUNK]):
            return False
    if not engine.planning.plan_first(run_id, token, made.first, run.large(dag), made.gone):
        return False
    queues = sorted({task.queue for task in dag.tasks.values()})
    return engine.planning.plan_commit(
        run_id,
        token,
        len(made.rows),
        queues,
        first=len(made.first),
        ended=made.ended,
        failures=made.failures,
    )
