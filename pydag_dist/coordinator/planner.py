"""Plans a submitted run: what `plan` makes of its DAG is written to the engine, in chunks."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydag_dist.coordinator.plan import plan_of
from pydag_dist.coordinator.prior_run import prior_run
from pydag_dist.dag import Dag
from pydag_dist.dag.planning.task_spec import RunParams
from pydag_dist.engine import CHUNK, Engine, PlannedTask


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
    if not _write(engine, run_id, token, made.rows):
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


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """A big plan is made of millions of objects in no circle, which each collection looks at."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _write(engine: Engine, run_id: str, token: str, rows: Sequence[PlannedTask]) -> bool:
    """Write all rows, in any order; False if another planner took over."""
    chunks = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
    if len(chunks) == 1:
        return engine.planning.plan_chunk(run_id, token, rows)
    pool = ThreadPoolExecutor(2)  # one chunk is made into text while Redis takes another one
    try:
        return all(pool.map(lambda chunk: engine.planning.plan_chunk(run_id, token, chunk), chunks))
    finally:
        pool.shutdown(cancel_futures=True)
