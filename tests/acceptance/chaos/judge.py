"""Whether each run ended as it has to, nothing happened twice, and nothing is left behind."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from pydag_dist.engine import RunSnapshot, TaskSnapshot
from tests.acceptance.chaos import work
from tests.acceptance.chaos.dags import DATASET, EXECUTED, RandomTask
from tests.acceptance.chaos.faults import Fault
from tests.acceptance.chaos.schedules import Tally, judge_backfill, judge_due_times
from tests.acceptance.chaos.system import Submitted, System
from workers.google import remote_ids

# Between what a process writes into the journal and what it tells Redis.
MARGIN = 2.0  # seconds


@dataclass(frozen=True)
class Violation:
    """What is wrong, with which run and task."""

    text: str
    run: str = ""
    task: str = ""


@dataclass(frozen=True)
class Execution:
    """A process that ran a try's function: from `start` until, if it got there, `end`."""

    start: work.Line
    end: work.Line | None
    next_start: float  # of the same process; infinity: it was its last


Tries = dict[tuple[str, str, int], list[Execution]]


def executions(lines: Sequence[work.Line]) -> Tries:
    """(run, task, try) -> its executions, in the order of their starts."""
    by_process: dict[int, list[work.Line]] = defaultdict(list)
    for line in lines:
        by_process[line.pid].append(line)
    found: Tries = defaultdict(list)
    for own in by_process.values():
        for i, line in enumerate(own):
            if line.what != "start":
                continue
            after = own[i + 1] if i + 1 < len(own) else None
            end = after if after and after.what == "end" else None
            later = [x.at for x in own[i + 1 :] if x.what == "start"]
            execution = Execution(line, end, later[0] if later else float("inf"))
            found[line.run, line.task, line.try_number].append(execution)
    for each in found.values():
        each.sort(key=lambda e: e.start.at)
    return found


def _went_on_late(fault: Fault, before: Execution, again: Execution) -> bool:
    """Whether a process had claimed the try first, but was paused before it began with it."""
    return (
        bool(fault.processes & {again.start.pid, again.start.parent})
        and again.start.claimed_before(before.start)
        and fault.until <= again.start.at < fault.until + MARGIN
    )


class Judge:
    """Judges runs that have ended, by what they were drawn as and what faults may cost."""

    def __init__(self, system: System, faults: Sequence[Fault]) -> None:
        self._system = system
        self._faults = faults
        self.repeats: Counter[str] = Counter()  # kind of the fault that it is put down to
        self.tally = Tally()

    def judge(self) -> list[Violation]:
        """All that is wrong, once all runs have ended."""
        tries = executions(work.read(self._system.journal))
        found = [Violation(text) for text in self._system.surprises]
        jobs = self._jobs()
        rows = self._rows()
        scheduled = self._system.scheduled()
        found += self._due_times()
        found += self._unknown(tries, scheduled)
        by_run: defaultdict[str, Tries] = defaultdict(dict)
        for key, these in tries.items():
            by_run[key[0]][key] = these
        for run in [*self._system.runs.values(), *scheduled.values()]:
            snapshot = self._system.snapshot(run.run_id)
            found += [Violation(text, run.run_id, task) for text, task in _ends(run, snapshot)]
            found += self._executed(run, snapshot, by_run[run.run_id])
            found += self._remote(run, snapshot, jobs, rows)
        found += [Violation(f"a remote job that is no run's: {job}") for job in +jobs]
        found += [Violation(f"rows that are no run's: {row}") for row in +rows]
        return found

    def _due_times(self) -> Iterator[Violation]:
        """Each due time of each published DAG has one run, or is said to be missed."""
        started, missed = self._system.started(), self._system.missed()
        lost = [
            (fault.lost[0] - MARGIN, fault.lost[1] + MARGIN) for fault in self._faults if fault.lost
        ]
        for dag_id, timed in self._system.timed.items():
            runs = [run for run in started if run.dag_id == dag_id]
            events = [event for event in missed if event.dag_id == dag_id]
            for text in judge_due_times(timed, runs, events, lost, self.tally):
                yield Violation(f"{dag_id}: {text}")
        backfilled = self._system.backfilled()
        for dag_id, filled in self._system.filled.items():
            runs = [run for run in backfilled if run.dag_id == dag_id]
            for text in judge_backfill(filled, runs):
                yield Violation(f"{dag_id}: {text}")

    def _unknown(self, tries: Tries, scheduled: Container[str]) -> Iterator[Violation]:
        """Runs of schedules that did something, and that only lost writes may have lost."""
        for (run, task, number), these in tries.items():
            if run in scheduled or not self._system.is_of_schedule(run):
                continue
            for execution in these:
                if not self._is_lost(execution.start.at):
                    yield Violation(f"try {number} of {task} ran, and nothing knows its run {run}")

    def _is_lost(self, start: float) -> bool:
        return any(
            fault.lost_writes_since is not None
            and fault.lost_writes_since - MARGIN < start < fault.until
            for fault in self._faults
        )

    def _executed(self, run: Submitted, snapshot: RunSnapshot, tries: Tries) -> Iterator[Violation]:
        """Each try ran once, or again for a reason; none was skipped, none came too much."""
        states = {name: task.state for name, task in snapshot.tasks.items()}
        for name, task in (run.dag.tasks | run.dag.children(states)).items():
            if task.kind in ("query", "expanded"):
                continue
            runs = snapshot.tasks[name].state in EXECUTED
            wanted = set(range(1, task.tries + 1)) if runs else set()
            seen = {number for r, t, number in tries if (r, t) == (run.run_id, name)}
            if seen != wanted:
                yield Violation(f"tries {sorted(seen)} ran, not {sorted(wanted)}", run.run_id, name)
            for number in sorted(seen):
                these = tries[run.run_id, name, number]
                if runs and not any(e.end for e in these):
                    yield Violation(f"try {number} was never done", run.run_id, name)
                for before, again in itertools.pairwise(these):
                    reason = self._reason(before, again)
                    if reason:
                        self.repeats[reason] += 1
                    else:
                        text = (
                            f"try {number} ran again for no reason: {before.start}, {again.start}"
                        )
                        yield Violation(text, run.run_id, name)

    def _told(self, done: float) -> float:
        """When Redis could be told of an end."""
        for fault in self._faults:
            if fault.at - MARGIN < done < fault.refused_until:
                done = fault.refused_until
        return done

    def _reason(self, before: Execution, again: Execution) -> str:
        """The kind of a fault that excuses that a try ran again; "" for none."""
        start = before.start.at
        done = self._told(before.end.at) if before.end else float("inf")
        for fault in self._faults:
            if fault.at > again.start.at:
                continue
            if fault.lost_writes_since is not None:
                if start < fault.until and fault.lost_writes_since - MARGIN < done:
                    return fault.kind
            elif (
                # What it was doing when it was hit: nothing else was begun by it in between.
                fault.processes & {before.start.pid, before.start.parent}
                and start < (fault.until or fault.at) + MARGIN
                and fault.at < before.next_start
            ) or _went_on_late(fault, before, again):
                return fault.kind
        return ""

    def _remote(
        self, run: Submitted, snapshot: RunSnapshot, jobs: Counter[str], rows: Counter[str]
    ) -> Iterator[Violation]:
        """Exactly once, whatever happened."""
        for name, task in run.dag.tasks.items():
            if task.kind != "query":
                continue
            state = snapshot.tasks[name].state
            wanted = task.tries if state in EXECUTED else 0
            ids = [
                remote_ids.job_id("bigquery", run.dag.dag_id, run.run_id, name, number + 1)
                for number in range(task.retries + 1)
            ]
            found = [jobs.pop(job, 0) for job in ids]
            if found != [1] * wanted + [0] * (len(ids) - wanted):
                text = f"its tries have {found} remote jobs, not one each of {wanted}"
                yield Violation(text, run.run_id, name)
            count = rows.pop(f"{run.run_id}/{name}", 0)
            if count != (state == "success"):
                yield Violation(f"its row is there {count} times", run.run_id, name)

    def _jobs(self) -> Counter[str]:
        ids = (job["id"] for job in self._system.bigquery.journal())
        return Counter(job for job in ids if job.startswith("pydag-"))

    def _rows(self) -> Counter[str]:
        client = self._system.bigquery.client()
        sql = f"SELECT run, task, COUNT(*) AS n FROM {DATASET}.effects GROUP BY run, task"
        return Counter({f"{row.run}/{row.task}": row.n for row in client.query(sql).result()})


def _ends(run: Submitted, snapshot: RunSnapshot) -> Iterator[tuple[str, str]]:
    """What of the run's end differs from what its definition says."""
    states = {name: task.state for name, task in snapshot.tasks.items()}
    if missing := set(run.dag.tasks) - set(states):
        yield f"it has no tasks {sorted(missing)}", ""
        return
    children = run.dag.children(states)
    if set(states) != set(run.dag.tasks) | set(children):
        yield f"it has the tasks {sorted(states)}", ""
        return
    if snapshot.state != (wanted := run.dag.run_state(states)):
        yield f"the run is {snapshot.state}, not {wanted}", ""
    for name, task in run.dag.tasks.items():
        for text in _end(task, snapshot.tasks[name], run.dag.allowed(name, states)):
            yield text, name
    for name, child in children.items():
        for text in _end(child, snapshot.tasks[name], {child.end}):
            yield text, name


def _end(task: RandomTask, seen: TaskSnapshot, allowed: set[str]) -> Iterator[str]:
    if seen.state not in allowed:
        yield f"it is {seen.state}, not {' or '.join(sorted(allowed))}: {seen.error}"
        return
    if task.kind == "expanded":
        return  # its children say it all
    number = task.tries if seen.state in EXECUTED else 1
    if seen.try_number != number:
        yield f"it ended in try {seen.try_number}, not {number}"
    error = task.error(number) if seen.state == "failed" else None
    if (seen.error is None) != (error is None) or (error and error not in str(seen.error)):
        yield f"its error is {seen.error!r}, not {error!r}"
    if task.kind == "query":
        return
    result = task.result if seen.state == "success" else None
    if seen.result != result:
        yield f"its result is {seen.result!r}, not {result!r}"


def left_behind(system: System) -> Iterator[Violation]:
    """Keys that say that anything is ready, active, held or to be done."""
    store, key = system.store, system.engine.store.key
    readers = {
        "zset": lambda name: store.zrange(name, 0, -1),
        "set": store.smembers,
        "stream": store.xrange,
    }
    names = ("leases", "queued", "timers", "working", "submissions", "webhooks", "schedules")
    for name in (*names, "backfills:open"):
        read = readers.get(store.type(key(name)))
        if read and (found := read(key(name))):
            yield Violation(f"{name} is not empty: {found}")
    for queue in sorted(store.smembers(key("queues"))):
        for name, found in (
            (f"fair:{queue}", store.zrange(key(f"fair:{queue}"), 0, -1)),
            (f"q:{queue}", store.lrange(key(f"q:{queue}"), 0, -1)),
            (f"due:{queue}", store.zrange(key(f"due:{queue}"), 0, -1)),
            (f"groups:{queue}", store.zrange(key(f"groups:{queue}"), 0, -1)),
            (f"polls:{queue}", store.hgetall(key(f"polls:{queue}"))),
        ):
            if found:
                yield Violation(f"{name} is not empty: {found}")
    scheduled = system.scheduled()
    yield from _left_of_schedules(system, scheduled)
    for run in [*system.runs.values(), *scheduled.values()]:
        yield from _left_of_run(system, run)


def _left_of_schedules(system: System, scheduled: Container[str]) -> Iterator[Violation]:
    store, key = system.store, system.engine.store.key
    for dag_id in system.timed:
        if found := store.smembers(key(f"dag:{dag_id}:active")):
            yield Violation(f"{dag_id}: runs of it count as active: {found}")
    for backfill_id in store.zrange(key("backfills"), 0, -1):
        if found := store.smembers(key(f"backfill:{backfill_id}:active")):
            yield Violation(f"{backfill_id}: runs of it count as active: {found}")
    for run_id in store.zrange(key("runs"), 0, -1):
        if system.is_of_schedule(run_id) and run_id not in scheduled:
            yield Violation(f"the history does not have {run_id}")


def _left_of_run(system: System, run: Submitted) -> Iterator[Violation]:
    store, run_key = system.store, system.engine.store.run_key
    for part in ("ready", "active", "work", "kept"):
        if store.exists(run_key(run.run_id, part)):
            yield Violation(f"its key {part} is still there", run.run_id)
    if store.hget(run_key(run.run_id), "left") not in ("0", None):
        yield Violation("it counts tasks that have not ended", run.run_id)
