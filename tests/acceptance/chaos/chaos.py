"""The loop: keeps runs in flight, commits faults, and waits until all runs have ended."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.chaos import work
from tests.acceptance.chaos.dags import random_dag
from tests.acceptance.chaos.faults import (
    Fault,
    NotNow,
    Scene,
    Steps,
    clock_step,
    left_out,
    order,
)
from tests.acceptance.chaos.judge import Judge, Violation, left_behind
from tests.acceptance.chaos.schedules import filled_dags, timed_dags
from tests.acceptance.chaos.system import SLOTS, System
from tests.support.cluster import dag

STEP = 0.2  # seconds
PROGRESS_EVERY = 15.0  # seconds
# After the last fault: a link may have been cut, and its worker's leases lost; then the rest of
# the work.
END_SECONDS = 400.0
# Where the clock may step on by hours: what is due every few seconds could not be caught up with.
CATCHUP_SECONDS = 60
DATES = 40  # of a backfill
MORE_IF_IDLE = 4
STOPS_AT_ONCE = 5  # faults that take a while


@dataclass(frozen=True)
class Plan:
    """What to do: so many faults, one every `gap` seconds or so, over `runs` runs in flight."""

    faults: int
    seed: int
    gap: float = 7.0
    runs: int = 10
    kinds: tuple[str, ...] = ()  # only these
    schedules: int = 3  # published DAGs, each due every `every` seconds
    every: int = 3
    backfills: int = 2  # of `DATES` due times each
    coordinators: int = 2
    short: float = 0.0  # share of the DAGs whose tasks all take less than 5 ms

    def __str__(self) -> str:
        """The command that does it."""
        command = "python -m tests.acceptance.chaos"
        names = "faults seed gap runs schedules every backfills coordinators short"
        for name in names.split():
            command += f" --{name} {getattr(self, name)}"
        return command + (f" --only {' '.join(self.kinds)}" if self.kinds else "")


class Chaos:
    """One session. `say` prints a line."""

    def __init__(self, plan: Plan, directory: Path, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.system = System(directory, plan.coordinators)
        self.faults: list[Fault] = []
        self.violations: list[Violation] = []
        self.judge = Judge(self.system, self.faults)
        self.told: dict[str, list[str]] = {}  # run -> what Redis has of it
        self._say = say
        self._dags = random.Random(f"dags {plan.seed}")
        self._chance = random.Random(f"faults {plan.seed}")
        self._kinds = order(plan.faults, self._chance, plan.kinds, left_out())
        self._going: list[tuple[float, Fault, Steps]] = []
        self._began = time.monotonic()
        self._told = 0.0

    def run(self) -> list[Violation]:
        """All that is wrong in the end."""
        for kind, why in left_out().items():
            if not self.plan.kinds or kind in self.plan.kinds:
                self._say(f"{kind} is left out: {why}")
        with self.system:
            self._wait(self._workers_are_there, 60, "the workers come up")
            self._publish()
            self._feed()
            due = time.monotonic() + self._gap()
            while self._kinds or self._going:
                self._step()
                if self._kinds and time.monotonic() >= due and len(self._going) < STOPS_AT_ONCE:
                    self._commit()
                    due = time.monotonic() + self._gap()
                if self._kinds:
                    self._feed()
            self._say(f"{self._at()} all faults are committed; waiting for the runs' ends")
            ended = self._wait(self._all_have_ended, END_SECONDS, "all runs end")
            if ended and self._wait(self._workers_are_there, 90, "all workers are back"):
                self._all_slots_are_free()
            if ended:
                # What was copied, or lost its lease, is taken off the lists and ignored.
                self._wait(lambda: not list(left_behind(self.system)), 60, "nothing is left")
                self.violations += left_behind(self.system)
                self.violations += self.judge.judge()
            for run_id in {violation.run for violation in self.violations if violation.run}:
                self.told[run_id] = self.system.told(run_id)
            return self.violations

    def _publish(self) -> None:
        """Publish DAGs with schedules, and wait until the history has them: a wipe loses none."""
        every = self.plan.every
        steps = clock_step in self._kinds
        catchup_every = max(every, CATCHUP_SECONDS) if steps else every
        now = self.system.server_time()
        for timed in timed_dags(self.plan.schedules, every, catchup_every, now):
            self.system.publish(timed)
        for filled in filled_dags(self.plan.backfills, DATES, now):
            self.system.backfill(filled)
        self._wait(
            self.system.are_published_in_history, 60, "the published DAGs are in the history"
        )

    def _all_have_ended(self) -> bool:
        return (
            self.system.are_schedules_closed()
            and self.system.are_backfills_done()
            and not self.system.unended()
            and self.system.is_history_written()
            and all(run.ended for run in self.system.started() + self.system.backfilled())
        )

    def _gap(self) -> float:
        return self.plan.gap * self._chance.uniform(0.5, 1.5)

    def _feed(self) -> None:
        """Keep runs in flight; more of them if all wait for what was lost and nothing is queued."""
        most = self.plan.runs * (MORE_IF_IDLE if self.system.queues_are_empty else 1)
        while self.system.redis_is_up and len(self.system.unended()) < most:
            dag_id = f"dag-{len(self.system.runs)}"
            self.system.submit(random_dag(self._dags, dag_id, self.plan.short))
            if len(self.system.unended()) > self.plan.runs:
                break  # one at a time

    def _step(self) -> None:
        time.sleep(STEP)
        now = time.monotonic()
        going, self._going = self._going, []
        for due, fault, steps in going:
            if now >= due:
                self._advance(fault, steps)
            else:
                self._going.append((due, fault, steps))
        self.system.keep_up()
        if self.system.redis_is_up:
            self.system.look()
            self._watch()
        if now - self._told > PROGRESS_EVERY:
            self._told = now
            self._say(f"{self._at()} {self._progress()}")

    def _commit(self) -> None:
        """Commit the next fault that can be committed now."""
        for kind in list(self._kinds):
            fault = Fault(len(self.faults) + 1, kind.__name__, time.time())
            steps = None
            try:
                steps = kind(Scene(self.system, self._chance, fault, self.open()))
                pause = next(steps)
            except NotNow:
                continue
            self._kinds.remove(kind)
            self.faults.append(fault)
            self._going.append((time.monotonic() + pause, fault, steps))
            self._say(f"{self._at()} {fault}")
            return

    def _advance(self, fault: Fault, steps: Steps) -> None:
        pause = next(steps, None)
        if pause is None:
            fault.over = True
        else:
            self._going.append((time.monotonic() + pause, fault, steps))

    def open(self) -> list[Fault]:
        """The faults that touched something and have not been recovered from."""
        return [
            fault
            for fault in self.faults
            if fault.recovered_after is None
            and not fault.overtaken
            and (fault.touched or fault.unplanned)
        ]

    def _watch(self) -> None:
        """Note which faults have been recovered from by now."""
        for fault in self.open():
            fault.left = self.system.still(fault.left)
            run = self.system.runs.get(fault.unplanned)
            planned = run is None or run.state not in (None, "queued")
            if planned and not fault.left:
                fault.recovered_after = time.time() - fault.at

    def _workers_are_there(self) -> bool:
        with self.system.if_redis_can():
            slots = self.system.cluster.slots("python")
            now = self.system.cluster.steady_time()
            alive = [x for x in slots.values() if int(x.split()[1]) > now]
            names = {f"{part.name}@chaos" for part in self.system.workers}
            return len(alive) == len(names) == 3 and names == set(slots)
        return False

    def _all_slots_are_free(self) -> None:
        """No slot was lost: so many tasks as there are slots run at once."""
        gate, journal = self.system.directory / "gate", str(self.system.journal)
        kwargs = {"journal": journal, "gate": str(gate)}
        params = {"callable": f"{work.__name__}:hold", "kwargs": kwargs}
        count = SLOTS * len(self.system.workers)
        tasks = [
            {"task_id": f"t{i}", "operator": "python.call", "params": params} for i in range(count)
        ]
        run = self.system.cluster.client.submit(dag(tasks))
        started = lambda: Counter(  # noqa: E731
            x.task for x in work.read(self.system.journal) if x.run == run.id and x.what == "start"
        )
        if not self._wait(lambda: len(started()) == count, 60, f"{count} tasks run at once"):
            waiting = [task["task_id"] for task in tasks if task["task_id"] not in started()]
            self.violations += [Violation(f"{task}: {run.why(task)}") for task in waiting]
        self.violations += [
            Violation(f"{task} was started {times} times")
            for task, times in started().items()
            if times > 1
        ]
        gate.touch()
        self._wait(lambda: run.state == "success", 60, "they end")

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                self.violations.append(Violation(f"waited {seconds:.0f} s in vain: {what}"))
                for run in self.system.unended():
                    self.violations.append(Violation(f"it is {run.state}", run.run_id))
                if not self.system.are_backfills_done():
                    self.violations.append(Violation("not all backfills are done"))
                if not self.system.is_history_written():
                    self.violations.append(Violation("the history has not all that has happened"))
                for started in self.system.started() + self.system.backfilled():
                    if not started.ended:
                        self.violations.append(Violation("it has not ended", started.run_id))
                for timed in self.system.timed.values():
                    if timed.until is None:
                        self.violations.append(Violation(f"{timed.dag_id} is still due"))
                return False
            self._step()
        return True

    def _at(self) -> str:
        return f"[{time.monotonic() - self._began:6.1f} s]"

    def _progress(self) -> str:
        runs = self.system.runs.values()
        ended = sum(run.ended_at is not None for run in runs)
        back = sum(fault.recovered_after is not None for fault in self.faults)
        return (
            f"{len(self.faults)} of {self.plan.faults} faults, {back} recovered from; "
            f"{ended} of {len(runs)} runs have ended"
        )
