"""The plan of a run, made of its DAG and of what is known from its earlier rounds. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final

from pydag_dist.coordinator.prior_run import PriorRun
from pydag_dist.dag import Dag, Task
from pydag_dist.dag.expansion import known_lengths
from pydag_dist.dag.limits import SHORT
from pydag_dist.dag.operators import BRANCH, LOCAL, is_sensor, runs_elsewhere
from pydag_dist.dag.planning.branches import choices
from pydag_dist.dag.planning.resuming import (
    RunsAgain,
    beginning_at,
    kept_children,
    to_run_again,
)
from pydag_dist.dag.planning.task_spec import RunParams, spec_of
from pydag_dist.engine import PlannedTask
from pydag_dist.engine.protocol import COUNTS_AS
from pydag_dist.errors import EngineError

DEFAULT_TIMEOUT: Final = 24 * 3600.0  # seconds of a try


@dataclass(frozen=True)
class Plan:
    """What the engine is given to run.

    There is a row for each task, and for each child of an expanded task that is known from an
    earlier round. `first` are the tasks that are decided when the run starts, without waiting for
    the end of another one. `ended` and `failures` count the tasks that had ended before and stay
    so; a failure that the run allows is none of `failures`. `gone` are tasks that earlier DAGs of
    the run had, and their last tries.
    """

    rows: list[PlannedTask]
    first: list[str]
    ended: int
    failures: int
    gone: Mapping[str, int] = field(default_factory=dict)


def plan_of(
    dag: Dag,
    prior: PriorRun | None = None,
    run: RunParams | None = None,
    durations: Mapping[str, float] | None = None,
) -> Plan:
    """The DAG's plan.

    `durations` are the seconds that tasks took in earlier runs. A task that is not among them
    counts as much as the median of the others.
    """
    long = _long(dag, durations or {})
    prior, run = prior or PriorRun(), run or RunParams()
    if prior.request.from_task and (prior.begins or not prior.records):
        prior = replace(prior, records=_taken(dag, prior))
    walk = dag.walk()
    ranks = _ranks(dag, walk, durations)
    children = prior.children(dag)
    states = {} if prior.restored else {t: prior.state_of(t) for t in prior.records}
    repeated = to_run_again(dag, states, prior.request) if states else {}
    if prior.begins:  # what it has not taken over runs, and nothing else
        repeated = {t: RunsAgain("new", anew=True) for t in walk if t not in states}
    ended = _ended(dag, prior, repeated, children)
    chosen_from = choices(dag)
    lengths = known_lengths(dag.dag_id, list(dag.tasks.values()), {**dag.params, **run.params})
    waits_for = dag.waits_for()
    downstream = _downstream(dag, waits_for)
    shared = run.shared(dag)
    rows = []
    for task_id in walk:
        task = dag.tasks[task_id]
        row = _row(
            dag,
            task,
            prior,
            ended,
            waits_for[task_id],
            anew=task_id in repeated and repeated[task_id].anew,
            rank=ranks[task_id],
            long=task_id in long,
            downstream=downstream[task_id],
            items=lengths.get(task_id),
            spec=spec_of(dag, task, chosen_from.get(task_id), run, shared),
        )
        rows.append(row)
        rows += [_child_row(row, child, prior, ended) for child in children.get(task_id, ())]
    failures = sum(
        COUNTS_AS[ended[row.task]] == "bad" and not row.allow_failure
        for row in rows
        if row.task in ended
    )
    first = _first(dag, sorted(walk, key=ranks.__getitem__), ended, waits_for)
    return Plan(rows, first, len(ended), failures, _gone(prior, {row.task for row in rows}))


def _taken(dag: Dag, prior: PriorRun) -> Mapping[str, Mapping[str, str]]:
    """What a run that begins at a task does not run; a client that died may have left more."""
    others = beginning_at(dag, prior.request.from_task).others
    found = {name: prior.records[name] for name in others if name in prior.records}
    if others and not found:
        raise EngineError(
            "Redis has lost what the run has of other runs before it was planned: submit it again"
        )
    return found


def _ranks(dag: Dag, walk: Sequence[str], durations: Mapping[str, float] | None) -> dict[str, int]:
    """The order in which ready tasks of the run get to workers.

    The user's priority comes first, then the longest remaining path.
    """
    if durations:
        typical = median(durations.values())
        durations = {task_id: durations.get(task_id, typical) for task_id in walk}
    path = dag.remaining_path(durations)
    by_urgency = sorted(walk, key=lambda t: (-dag.tasks[t].priority, -path[t]))
    return {task_id: rank for rank, task_id in enumerate(by_urgency)}


def _long(dag: Dag, durations: Mapping[str, float]) -> set[str]:
    """The tasks that took long in earlier runs, and those of which any child did.

    Not those whose jobs run elsewhere: they hold no slot for most of that time.
    """
    long = {task_id for task_id, seconds in durations.items() if seconds > SHORT}
    of_children = {task_id.rpartition(".")[0] for task_id in long}
    return {
        task_id
        for task_id, task in dag.tasks.items()
        if not runs_elsewhere(task.operator) and task_id in (of_children if task.expand else long)
    }


def _first(
    dag: Dag,
    by_rank: Sequence[str],
    ended: Mapping[str, str],
    waits_for: Mapping[str, Sequence[str]],
) -> list[str]:
    """The tasks that are decided when the run starts, the most urgent ones first.

    These are the tasks that wait for nothing, and those that are downstream of one that has ended
    in an earlier round: its end will not be announced again.
    """
    return [
        t
        for t in by_rank
        if t not in ended
        and (
            not dag.tasks[t].dependencies
            or dag.tasks[t].trigger_rule == "always"
            or any(up in ended for up in waits_for[t])
        )
    ]


def _downstream(dag: Dag, waits_for: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """For each task those that wait for it, teardowns included."""
    found = dict(dag.downstream)
    for task_id, names in waits_for.items():
        for up in names[len(dag.tasks[task_id].dependencies) :]:  # beside its dependencies
            found[up] = (*found[up], task_id)
    return found


def _gone(prior: PriorRun, planned: Collection[str]) -> dict[str, int]:
    """The last tries of tasks that the DAG has no longer: a later DAG may have them again."""
    gone = {t: int(record["try"]) for t, record in prior.records.items() if t not in planned}
    for task_id in list(gone):
        parent, _, number = task_id.rpartition(".")
        if parent in gone and number.isdecimal():
            gone[parent] = max(gone[parent], gone.pop(task_id))
    return gone


def _ended(
    dag: Dag,
    prior: PriorRun,
    repeated: Mapping[str, RunsAgain],
    children: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """The tasks that don't run in this round, each with the ended state that it has."""
    states = {task_id: prior.state_of(task_id) for task_id in prior.records}
    if prior.restored:
        known = {task_id: state for task_id, state in states.items() if state in COUNTS_AS}
        return known | _skipped_by_branches(dag, prior, known)
    ended: dict[str, str] = {}
    if not prior.records:
        return ended
    for task_id in dag.walk():
        if task_id not in repeated:
            ended[task_id] = states[task_id]
        elif (
            dag.tasks[task_id].teardown_of is None
            and task_id != prior.request.from_task
            and any(
                up not in repeated and task_id in prior.skips.get(up, ())
                for up in dag.tasks[task_id].dependencies
            )
        ):
            ended[task_id] = "skipped"  # a branch that is kept did not choose it
        if task_id in children:
            named = prior.request.from_task
            kept = kept_children(repeated.get(task_id), children[task_id], states, named)
            ended.update((child, states[child]) for child in kept)
    return ended


def _skipped_by_branches(dag: Dag, prior: PriorRun, known: Mapping[str, str]) -> dict[str, str]:
    """Tasks that a branch skipped before Redis was lost, though the history has no end of them."""
    return {
        task_id: "skipped"
        for branch, skips in prior.skips.items()
        if known.get(branch) == "success"
        for task_id in skips
        if task_id not in known and dag.tasks[task_id].trigger_rule != "always"
    }


def _row(
    dag: Dag,
    task: Task,
    prior: PriorRun,
    ended: Mapping[str, str],
    waits_for: Sequence[str],
    **fields: Any,
) -> PlannedTask:
    """The row of a task; `fields` are those that `plan_of` finds for all tasks together."""
    state = ended.get(task.task_id)
    try_number = prior.next_try(task.task_id, anew=fields["anew"])
    last_try = try_number + task.retries
    if prior.restored:  # the tries before this one count
        last_try = max(try_number, 1 + task.retries)
    keep = prior.state_of(task.task_id) == state
    ended_upstream: Mapping[str, Any] = (
        Counter(COUNTS_AS[ended[up]] for up in waits_for if up in ended) if ended else {}
    )
    sensor = is_sensor(task.operator)
    return PlannedTask(
        task=task.task_id,
        queue=task.queue,
        rule=task.trigger_rule if task.teardown_of is None else "teardown",
        setup=task.teardown_of or "",
        retries=task.retries,
        retry_delay=task.retry_delay,
        retry_backoff=task.retry_backoff,
        max_retry_delay=task.max_retry_delay,
        timeout=DEFAULT_TIMEOUT if task.timeout is None else task.timeout,
        allow_failure=task.allow_failure,
        remote=task.operator not in LOCAL and not sensor,
        sensor=sensor,
        branch=task.operator == BRANCH,
        expand=task.expand is not None,
        list_task=task.expand.task if task.expand else "",
        lists_for=[
            name
            for name in dag.downstream[task.task_id]
            if (expand := dag.tasks[name].expand) and expand.task == task.task_id
        ],
        upstream=len(waits_for),
        asks=sum(dag.tasks[up].operator == BRANCH for up in waits_for if up not in ended),
        keep=keep,
        again=prior.resumed or (state is not None and not keep),
        state=state or "none",
        try_number=try_number,
        last_try=last_try,
        pushes=prior.pushes(task.task_id, try_number),
        **ended_upstream,
        **fields,
    )


def _child_row(
    row: PlannedTask, child: str, prior: PriorRun, ended: Mapping[str, str]
) -> PlannedTask:
    """The row of a child that an expanded task had in an earlier round; `row` is its parent's."""
    anew = row.anew or child == prior.request.from_task
    try_number = prior.next_try(child, anew=anew)
    return PlannedTask(
        task=child,
        queue=row.queue,
        rank=row.rank,
        long=row.long,
        downstream=(),
        spec="",
        child=True,
        keep=child in ended,
        again=prior.resumed,
        anew=anew,
        pushes=prior.pushes(child, try_number),
        try_number=try_number,
        last_try=max(try_number, 1 + row.retries) if prior.restored else try_number + row.retries,
        allow_failure=row.allow_failure,
    )
