"""What has to be read of a run and its queue to tell why a task is where it is."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydag_dist.dag.ids import is_id
from pydag_dist.engine import Reading, Refusal, unknown_run
from pydag_dist.engine.protocol import (
    OUT,
    TIMERS,
    unpack_deferral,
    unpack_expansion,
    unpack_plan,
    unpack_record,
)
from pydag_dist.engine.store import CLOCK, steady_time
from pydag_dist.errors import EngineError

if TYPE_CHECKING:
    from pydag_dist.dag import Dag


@dataclass(frozen=True)
class Facts:
    """A task at one moment, with what it can be waiting for. Times are epoch seconds of Redis."""

    task: str
    now: float
    run: Mapping[str, str]  # the run's hash
    upstream: Mapping[str, Sequence[str]]  # of the task and everything upstream of it
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of the same tasks
    errors: Mapping[str, str] = field(default_factory=dict)
    skips: Mapping[str, Sequence[str]] = field(default_factory=dict)  # branch -> not followed
    queue: str = ""
    slots: int = 0  # of the live workers that listen to the queue
    messages: int = 0  # on the queue's list
    sharing: int = 0  # runs with ready tasks that wait for the queue
    ahead: int = 0  # ready tasks of the run that get the queue's slots before it
    active: int = 0  # tasks of the run that count against its processors
    retry_at: float | None = None
    poll_at: float | None = None  # of a deferred task whose poll has a time
    expansion: Sequence[int] = ()  # of an expanding task: total, created, ended children
    lease_until: float | None = None
    needs: Sequence[str] = ()  # what workers that refused it lack
    refusals: Sequence[Refusal] = ()  # of the workers that listen to its queue
    able: Sequence[str] = ()  # workers of the queue that have not refused it
    heard: str = ""  # of a deferred task's remote job, the last time that it was asked for

    @property
    def record(self) -> Mapping[str, str]:
        """The task's own record; the run must be planned."""
        return self.records[self.task]

    def state_of(self, task: str) -> str:
        """The state of the task or of one upstream of it."""
        return self.records[task]["state"]


def read_facts(reading: Reading, run_id: str, task: str, dag: Dag | None = None) -> Facts:
    """The facts of a task; `UnknownRun`, or `EngineError` if the run has no such task.

    The run's `dag` is read if it isn't given.
    """
    store = reading.store
    if dag is None:
        from pydag_dist.dag import Dag

        dag = Dag.stored(reading.submitted_dag(run_id), source=run_id)
    # A child of an expanded task is planned and queued as that one.
    planned = task if task in dag.tasks else task.rpartition(".")[0]
    tasks = store.run_key(run_id, "tasks")
    known = planned in dag.tasks and is_id(task)
    if not known or (planned != task and not store.redis.hexists(tasks, task)):
        raise no_task(run_id, task)
    queue = dag.tasks[planned].queue
    upstream = upstream_of(dag, task)
    names = list(upstream)
    record = store.redis.hget(store.run_key(run_id, "tasks"), task)
    needs = unpack_record(record)["needs"] if record else ""
    waits_in = f"{queue}!{needs}" if needs else queue
    # The DAG and a task's rank don't change while a run is; all the rest is read at one moment.
    plan = store.redis.hget(store.run_key(run_id, "plan"), planned)
    rank = unpack_plan(plan)["rank"] if plan else ""
    with store.redis.pipeline(transaction=True) as pipe:
        pipe.time()
        pipe.hmget(store.key("clock"), *CLOCK)
        pipe.hgetall(store.run_key(run_id))
        pipe.hmget(store.run_key(run_id, "tasks"), names)
        pipe.hmget(store.run_key(run_id, "out"), [OUT["error"] + name for name in names])
        pipe.hmget(store.run_key(run_id, "out"), [OUT["skips"] + name for name in names])
        pipe.scard(store.run_key(run_id, "active"))
        pipe.zlexcount(
            store.run_key(run_id, "ready"), f"[{waits_in}/", f"({waits_in}/{rank}/{task}"
        )
        pipe.hgetall(store.key(f"slots:{queue}"))
        pipe.llen(store.key(f"q:{queue}"))
        pipe.zcard(store.key(f"fair:{waits_in}"))
        pipe.zscore(store.key("timers"), f"{TIMERS['retry']}{run_id}/{task}")
        pipe.zscore(store.key("timers"), f"{TIMERS['poll']}{run_id}/{task}")
        pipe.hget(store.run_key(run_id, "out"), OUT["expansion"] + task)
        pipe.zscore(store.key("leases"), f"{run_id}/{task}")
        pipe.hget(store.run_key(run_id, "out"), OUT["deferral"] + task)
        time, clock, run, packed, errors, skips, active, ahead, workers, *rest = pipe.execute()
    if not run:
        raise unknown_run(run_id)
    now = time[0] * 1_000_000 + time[1]
    messages, sharing, due, poll, expansion, lease, deferred = rest
    steady = steady_time(now, *clock)
    retry_at, poll_at, lease_until = (
        None if at is None else (now + at - steady) / 1e6 for at in (due, poll, lease)
    )
    pairs = zip(names, packed, strict=True)
    live = _live(workers, steady)
    parts = needs.split("+") if needs else []
    refusals = [
        refusal
        for refusal in (reading.refusals(queue) if parts else [])
        if refusal.need in parts and refusal.worker in live
    ]
    refusers = {refusal.worker for refusal in refusals}
    return Facts(
        task=task,
        now=now / 1e6,
        run=run,
        upstream=upstream,
        records={name: unpack_record(record) for name, record in pairs if record},
        errors={name: error for name, error in zip(names, errors, strict=True) if error},
        skips={name: s.split() for name, s in zip(names, skips, strict=True) if s},
        queue=queue,
        slots=sum(live.values()),
        needs=parts,
        refusals=refusals,
        able=[worker for worker in sorted(live) if worker not in refusers],
        messages=messages,
        sharing=sharing,
        ahead=ahead,
        active=active,
        retry_at=retry_at,
        poll_at=poll_at,
        expansion=unpack_expansion(expansion),
        lease_until=lease_until,
        heard=_heard(deferred),
    )


def no_task(run_id: str, task: str) -> EngineError:
    """That a run has no such task."""
    return EngineError(
        f"run {run_id} has no task {task!r}: `pydag status {run_id}` lists its tasks"
    )


def _heard(deferred: str | None) -> str:
    """What a worker last heard; a handle is JSON that only workers know."""
    try:
        wait = json.loads(unpack_deferral(deferred)[1] or "{}")
    except ValueError:
        return ""
    return str(wait.get("state", "")) if isinstance(wait, dict) else ""


def upstream_of(dag: Dag, task: str) -> dict[str, list[str]]:
    """The task and everything upstream of it, nearest first, with their upstream tasks."""
    found: dict[str, list[str]] = {}
    if task not in dag.tasks:  # a child of an expanded task
        planned = task.rpartition(".")[0]
        return {task: dag.tasks[planned].dependencies} | upstream_of(dag, planned)
    waits_for = dag.waits_for()
    todo = deque([task])
    while todo:
        name = todo.popleft()
        if name not in found:
            found[name] = waits_for[name]
            todo.extend(found[name])
    return found


def _live(workers: Mapping[str, str], steady: int) -> dict[str, int]:
    """The workers whose registration ("slots expiry in µs") has not expired, with their slots."""
    registered = {worker: tuple(map(int, kept.split())) for worker, kept in workers.items()}
    return {worker: slots for worker, (slots, expiry) in registered.items() if expiry > steady}
