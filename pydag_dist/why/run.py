"""Why a run is not further: a sentence for the run, and one for each task that matters most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydag_dist.engine import ENDED_TASK_STATES, Reading, RunSnapshot
from pydag_dist.why.facts import Facts, read_facts
from pydag_dist.why.task import explain, not_planned
from pydag_dist.why.words import clock, span

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

NAMED: Final = 5  # tasks of one kind
_END: Final = {"success": "succeeded", "failed": "failed", "cancelled": "was cancelled"}
# States in the order in which they matter, after `failed` and after what nobody can run.
_ORDER: Final = (
    "cancelling",
    "up_for_retry",
    "ready",
    "queued",
    "deferred",
    "running",
    "expanding",
)


@dataclass(frozen=True)
class Reason:
    """A sentence about a run (`task` is None) or one of its tasks, and that one's state."""

    state: str
    why: str
    task: str | None = None


def why_run(
    reading: Reading,
    run_id: str,
    seen: RunSnapshot | None = None,
    dag_of: Callable[[str], Dag] | None = None,
) -> list[Reason]:
    """What keeps a run from its success: the run's own sentence, then the most important first.

    Of the run as it was `seen`, else as it is. Of many tasks that are alike some are named, and
    the others are counted. `dag_of` knows a run's DAG, else that is read. `UnknownRun` if Redis
    doesn't have it.
    """
    run = seen or reading.snapshot(run_id)
    whole, micro = reading.store.redis.time()
    now = whole + micro / 1e6  # the times that a run has are Redis's
    reasons = [Reason(run.state, _of_run(reading, run, now) + _late(run, now))]
    if run.reason == "broken" or run.state in {"queued", "success"}:
        return reasons
    from pydag_dist.dag import Dag

    dag = dag_of(run_id) if dag_of else Dag.stored(reading.submitted_dag(run_id), source=run_id)

    def facts_of(task: str) -> Facts:
        return read_facts(reading, run.run_id, task, dag)

    return reasons + list(_of_tasks(run, facts_of, dag))


def explain_ended(run: RunSnapshot, facts_of: Callable[[str], Facts], now: float) -> list[Reason]:
    """Why a run has ended as it has, with what is known of its tasks."""
    reasons = [Reason(run.state, _verdict(run, now) + _late(run, now))]
    return (
        reasons
        + [_reason(run, facts_of(name)) for name in _in(run, "failed")[:NAMED]]
        + _more(run, "failed", NAMED)
    )


def _of_run(reading: Reading, run: RunSnapshot, now: float) -> str:
    if run.state == "queued":
        head = reading.run_head(run.run_id)
        return f"run {run.run_id} {not_planned(Facts(run.run_id, now, head, {}))}"
    return _verdict(run, now)


def _verdict(run: RunSnapshot, now: float) -> str:
    """One sentence about the run as a whole."""
    name, total = f"run {run.run_id}", len(run.tasks)
    if run.reason == "broken":
        return f"{name} was set aside: {run.error}"
    took = run.took(now)
    after = f" after {span(took)}" if took is not None else ""
    if run.ended_at is not None:
        return f"{name} {_END[run.state]} at {clock(run.ended_at, now)}{after}{_because(run)}"
    over = total - sum(len(_in(run, state)) for state in (*_ORDER, "none"))
    what = "is being cancelled" if run.state == "cancelling" else f"is {run.state}"
    return f"{name} {what}{after.replace('after', 'for')}: {over} of {total} tasks have ended"


def _late(run: RunSnapshot, now: float) -> str:
    if run.expected_at is None or not run.is_late(now):
        return ""
    return f"; it is late: its end was expected at {clock(run.expected_at, now)}"


def _because(run: RunSnapshot) -> str:
    if run.error:
        return f": it could not be planned: {run.error}"
    if run.state == "failed" and run.reason == "timeout":
        return ": it reached its timeout"
    if run.state == "failed":
        return f": {len(_in(run, 'failed'))} of {len(run.tasks)} tasks failed"
    return ""


def _of_tasks(run: RunSnapshot, facts_of: Callable[[str], Facts], dag: Dag) -> Iterator[Reason]:
    for name in _in(run, "failed")[:NAMED]:
        if _planned(dag, name):  # the DAG may have been corrected since
            yield _reason(run, facts_of(name))
    yield from _more(run, "failed", NAMED)
    if run.ended:
        return
    found: list[tuple[bool, Reason]] = []
    for state in _ORDER:
        named: set[str] = set()
        over = 0  # tasks that have ended since the run was seen
        for name in _in(run, state):
            if not (known := _planned(dag, name)):
                continue
            # Of those that wait for the same one tells of all.
            kind = dag.tasks[known].queue if state in {"ready", "queued", "deferred"} else name
            if kind not in named and len(named) + over < NAMED:
                facts = facts_of(name)
                if name in facts.records and facts.state_of(name) in ENDED_TASK_STATES:
                    over += 1
                    continue
                named.add(kind)
                found.append(_with_stuck(run, facts))
        found += [(False, reason) for reason in _more(run, state, len(named) + over)]
    # What nobody can run is there until somebody does something about it.
    yield from (reason for is_stuck, reason in found if is_stuck)
    yield from (reason for is_stuck, reason in found if not is_stuck)
    if waiting := len(_in(run, "none")):
        yield Reason("none", f"{_tasks(waiting)} upstream tasks", None)


def _with_stuck(run: RunSnapshot, facts: Facts) -> tuple[bool, Reason]:
    is_stuck = facts.slots == 0 or bool(facts.refusals and not facts.able)
    waits = facts.task in facts.records and facts.record["state"] in {"ready", "queued", "deferred"}
    return is_stuck and waits, _reason(run, facts)


def _reason(run: RunSnapshot, facts: Facts) -> Reason:
    return Reason(run.tasks[facts.task].state, explain(facts), facts.task)


def _more(run: RunSnapshot, state: str, named: int) -> list[Reason]:
    more = len(_in(run, state)) - named
    if more <= 0:
        return []
    are = "task is" if more == 1 else "tasks are"
    return [Reason(state, f"{more} more {are} {state}")]


def _planned(dag: Dag, name: str) -> str:
    """The task of the DAG that a task is, or whose child it is; empty if the DAG has none."""
    known = name if name in dag.tasks else name.rpartition(".")[0]
    return known if known in dag.tasks else ""


def _tasks(number: int) -> str:
    return "1 task waits for its" if number == 1 else f"{number} tasks wait for their"


def _in(run: RunSnapshot, state: str) -> list[str]:
    return [name for name, task in run.tasks.items() if task.state == state]
