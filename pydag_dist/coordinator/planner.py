"""From a submitted DAG to a plan that the engine runs, anew or from what an ended run left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final

from pydag_dist.dag import Dag, Task
from pydag_dist.dag.expansion import known_lengths
from pydag_dist.dag.operators import BRANCH, LOCAL, is_sensor
from pydag_dist.dag.planning.branches import choices
from pydag_dist.dag.planning.resuming import Again, Wish, again, kept_children
from pydag_dist.dag.planning.task_spec import RunParams, spec_of
from pydag_dist.engine import CHUNK, Engine, PlannedTask

DEFAULT_TIMEOUT: Final = 24 * 3600.0  # seconds of a try
# Ended state of an upstream task -> the count of a row.
_COUNTS_AS: Final = {
    "success": "ok",
    "skipped": "skips",
    "failed": "bad",
    "cancelled": "bad",
    "upstream_failed": "dead_up",
}


@dataclass(frozen=True)
class Past:
    """What a run's tasks were when it ended, or when Redis lost it; empty for a run that is new.

    Of a `restored` run everything that has ended stays so, and the rest goes on with its try.
    """

    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    skips: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wish: Wish = field(default_factory=Wish)
    restored: bool = False
    gone: Mapping[str, int] = field(default_factory=dict)  # of earlier DAGs -> its last try

    @property
    def resumed(self) -> bool:
        """Whether the run had ended before."""
        return bool(self.records) and not self.restored

    def state_of(self, task_id: str) -> str:
        """The task's state; `none` if nothing is known of it."""
        return self.records[task_id]["state"] if task_id in self.records else "none"

    def next_try(self, task_id: str, *, anew: bool = False) -> int:
        """The try with which the task goes on, for its own sake or `anew`."""
        record = self.records.get(task_id)
        if record is None:
            return 1 + self.gone.get(task_id, 0)
        if self.restored:
            over = record["state"] == "up_for_retry"
        else:
            # A try that never began is still to come; of a poisoned one nobody knows how its
            # remote job is, so the same try finds out, if that is still wanted.
            over = bool(record["started_at"]) and (anew or not self._is_poisoned(record))
        return int(record["try"]) + over

    def pushes(self, task_id: str, try_number: int) -> int:
        """How many messages of that try may be around."""
        record = self.records.get(task_id)
        same = record is not None and try_number == int(record["try"])
        # Of what Redis has lost, one more than history has heard of.
        return (int(record["pushes"]) if record and same else 0) + int(self.restored)

    @staticmethod
    def _is_poisoned(record: Mapping[str, str]) -> bool:
        return record["state"] == "failed" and record["reason"] == "poison"

    def children(self, dag: Dag) -> dict[str, list[str]]:
        """Expanded task -> those of its children that are known."""
        found: dict[str, list[str]] = {t: [] for t, task in dag.tasks.items() if task.expand}
        for child in self.records:
            parent = child.rpartition(".")[0]
            if child not in dag.tasks and parent in found:
                found[parent].append(child)
        return found


@dataclass(frozen=True)
class Plan:
    """The rows of a plan, the tasks to decide at its start, how many have ended and failed before.

    Only failures that the run may not have are counted.
    """

    rows: list[PlannedTask]
    first: list[str]
    ended: int
    failures: int
    gone: Mapping[str, int] = field(default_factory=dict)


def plan_of(
    dag: Dag,
    past: Past | None = None,
    run: RunParams | None = None,
    durations: Mapping[str, float] | None = None,
) -> Plan:
    """The DAG's plan.

    The rank is the order in which ready tasks of the run are pushed: by the user's priority, then
    critical path first. `durations` are seconds that tasks took in earlier runs; one that is not
    among them counts as much as the median of those.
    """
    past, run = past or Past(), run or RunParams()
    walk = dag.walk()
    if durations:
        typical = median(durations.values())
        durations = {task_id: durations.get(task_id, typical) for task_id in walk}
    path = dag.remaining_path(durations)
    by_urgency = sorted(walk, key=lambda t: (-dag.tasks[t].priority, -path[t]))
    ranks = {task_id: rank for rank, task_id in enumerate(by_urgency)}
    children = past.children(dag)
    states = {} if past.restored else {t: past.state_of(t) for t in past.records}
    repeated = again(dag, states, past.wish) if states else {}
    ended = _ended(dag, past, repeated, children)
    chosen_from = choices(dag)
    lengths = known_lengths(dag.dag_id, list(dag.tasks.values()), {**dag.params, **run.params})
    waits_for = dag.waits_for()
    downstream = _downstream(dag, waits_for)
    large = run.large(dag)
    rows = []
    for task_id in walk:
        task = dag.tasks[task_id]
        spec = spec_of(dag, task, chosen_from.get(task_id), run, large)
        anew = task_id in repeated and repeated[task_id].anew
        row = _row(dag, task, past, ended, rank=ranks[task_id], spec=spec, anew=anew)
        heard: dict[str, Any] = Counter(
            _COUNTS_AS[ended[up]] for up in waits_for[task_id] if up in ended
        )
        row = replace(
            row,
            items=lengths.get(task_id),
            downstream=downstream[task_id],
            upstream=len(waits_for[task_id]),
            asks=sum(
                dag.tasks[up].operator == BRANCH for up in waits_for[task_id] if up not in ended
            ),
            **heard,
        )
        rows.append(row)
        rows += [_child(row, child, past, ended) for child in children.get(task_id, ())]
    first = [
        t
        for t in walk
        if t not in ended
        and (
            not dag.tasks[t].dependencies
            or dag.tasks[t].trigger_rule == "always"
            or any(up in ended for up in waits_for[t])
        )
    ]
    failures = sum(
        _COUNTS_AS[ended[row.task]] == "bad" and not row.allow_failure
        for row in rows
        if row.task in ended
    )
    return Plan(rows, first, len(ended), failures, _gone(past, {row.task for row in rows}))


def _downstream(dag: Dag, waits_for: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """Task -> those that wait for it."""
    found = dict(dag.downstream)
    for task_id, names in waits_for.items():
        for up in names[len(dag.tasks[task_id].dependencies) :]:  # beside its dependencies
            found[up] = (*found[up], task_id)
    return found


def _gone(past: Past, planned: Collection[str]) -> dict[str, int]:
    """Tasks that the DAG has no longer, and their last tries, should they ever come again."""
    gone = {t: int(record["try"]) for t, record in past.records.items() if t not in planned}
    for task_id in list(gone):
        parent, _, number = task_id.rpartition(".")
        if parent in gone and number.isdecimal():
            gone[parent] = max(gone[parent], gone.pop(task_id))
    return gone


def _ended(
    dag: Dag,
    past: Past,
    repeated: Mapping[str, Again],
    children: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Tasks that don't run again, and the states in which they stay or begin."""
    states = {task_id: past.state_of(task_id) for task_id in past.records}
    if past.restored:
        known = {task_id: state for task_id, state in states.items() if state in _COUNTS_AS}
        return known | _not_followed(dag, past, known)
    ended: dict[str, str] = {}
    if not past.records:
        return ended
    for task_id in dag.walk():
        if task_id not in repeated:
            ended[task_id] = states[task_id]
        elif (
            dag.tasks[task_id].teardown_of is None
            and task_id != past.wish.from_task
            and any(
                up not in repeated and task_id in past.skips.get(up, ())
                for up in dag.tasks[task_id].dependencies
            )
        ):
            ended[task_id] = "skipped"  # a branch that is kept did not choose it
        if task_id in children:
            named = past.wish.from_task
            kept = kept_children(repeated.get(task_id), children[task_id], states, named)
            ended.update((child, states[child]) for child in kept)
    return ended


def _not_followed(dag: Dag, past: Past, known: Mapping[str, str]) -> dict[str, str]:
    """Tasks that a branch has skipped, of whose end history had not heard yet."""
    return {
        task_id: "skipped"
        for branch, skips in past.skips.items()
        if known.get(branch) == "success"
        for task_id in skips
        if task_id not in known and dag.tasks[task_id].trigger_rule != "always"
    }


def _row(
    dag: Dag,
    task: Task,
    past: Past,
    ended: Mapping[str, str],
    *,
    rank: int,
    spec: str,
    anew: bool,
) -> PlannedTask:
    state = ended.get(task.task_id)
    try_number = past.next_try(task.task_id, anew=anew)
    last_try = try_number + task.retries
    if past.restored:  # the tries before this one count
        last_try = max(try_number, 1 + task.retries)
    return PlannedTask(
        task=task.task_id,
        queue=task.queue,
        rank=rank,
        downstream=dag.downstream[task.task_id],
        spec=spec,
        rule=task.trigger_rule if task.teardown_of is None else "teardown",
        setup=task.teardown_of or "",
        retries=task.retries,
        retry_delay=task.retry_delay,
        retry_backoff=task.retry_backoff,
        max_retry_delay=task.max_retry_delay,
        timeout=DEFAULT_TIMEOUT if task.timeout is None else task.timeout,
        allow_failure=task.allow_failure,
        remote=task.operator not in LOCAL and not is_sensor(task.operator),
        sensor=is_sensor(task.operator),
        branch=task.operator == BRANCH,
        expand=task.expand is not None,
        list_task=task.expand.task if task.expand else "",
        lists_for=[
            name
            for name in dag.downstream[task.task_id]
            if (expand := dag.tasks[name].expand) and expand.task == task.task_id
        ],
        keep=(keep := past.state_of(task.task_id) == state),
        again=past.resumed or (state is not None and not keep),
        anew=anew,
        state=state or "none",
        try_number=try_number,
        last_try=last_try,
        pushes=past.pushes(task.task_id, try_number),
    )


def _child(row: PlannedTask, child: str, past: Past, ended: Mapping[str, str]) -> PlannedTask:
    """The row of a child that an expanded task had, from the row of that one."""
    anew = row.anew or child == past.wish.from_task
    try_number = past.next_try(child, anew=anew)
    return PlannedTask(
        task=child,
        queue=row.queue,
        rank=row.rank,
        downstream=(),
        spec="",
        child=True,
        keep=child in ended,
        again=past.resumed,
        anew=anew,
        pushes=past.pushes(child, try_number),
        try_number=try_number,
        last_try=max(try_number, 1 + row.retries) if past.restored else try_number + row.retries,
        allow_failure=row.allow_failure,
    )


def past_of(engine: Engine, run_id: str) -> Past:
    """What a resumed run left, as the engine kept it."""
    out = engine.planning.outcomes(run_id)
    return Past(
        engine.planning.kept(run_id),
        {name[2:]: skips.split() for name, skips in out.items() if name.startswith("s/")},
        Wish(*engine.reading.resumed_because(run_id)),
        engine.planning.is_restored(run_id),
        {name[2:]: int(last) for name, last in out.items() if name.startswith("t/")},
    )


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
    made = plan_of(dag, past_of(engine, run_id), run, durations)
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
