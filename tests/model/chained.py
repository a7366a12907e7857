"""A reference model of runs that start runs, in plain Python.

It is written from the section about DAGs that use DAGs of ``docs/schedules.md``, and from the table
of ``lua/table.lua``. Each run has one task, which may start a run of another DAG and wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ENDED = ("success", "failed", "cancelled")
CHAIN = 10  # runs of which each waits for the next
TRIES = 2
DEATHS = 3


@dataclass
class RefRun:
    dag: str
    parent: str = ""  # the run whose task waits for it
    around: tuple[str, ...] = ()  # the DAGs of the runs around it, outermost first
    state: str = "queued"
    task: str = ""  # "" while it is to be planned; waits (for a worker), or a task's state
    try_number: int = 1
    last_try: int = TRIES  # a failure of it is final
    deaths: int = 0
    has_begun: bool = False  # its try, of which a worker that died may have left something
    child: str = ""  # the run that the task has started last
    asks: bool = False  # a worker is to ask for that run now
    restored: bool = False  # Redis had lost it, and it has yet to be planned again
    resumed: bool = False  # by hand: nobody need wait for it
    is_stopped: bool = False  # meanwhile it was cancelled

    @property
    def is_over(self) -> bool:
        return self.state in ENDED


@dataclass
class RefChained:
    published: set[str] = field(default_factory=set)
    runs: dict[str, RefRun] = field(default_factory=dict)
    cancels: set[str] = field(default_factory=set)
    is_new: bool = False  # Redis is, and may get back what it has lost

    def start_child(self, dag: str, run_id: str, parent_id: str, try_number: int) -> str:
        """What a try that asks for a run is answered."""
        if run_id in self.runs:
            return "there"
        parent = self.runs.get(parent_id)
        if self.is_new or parent is None or parent.state == "queued":
            return "lost"
        if parent.task not in ("running", "deferred") or parent.try_number != try_number:
            return "over"
        around = (*parent.around, parent.dag)
        if why := self.forbids(dag, around):
            return why
        self.runs[run_id] = RefRun(dag, parent_id, around)
        parent.child = run_id
        return "made"

    def forbids(self, dag: str, around: tuple[str, ...]) -> str:
        """Why no run of a DAG may be started within runs of these; "" if it may."""
        if dag in around:
            return "within"
        if len(around) >= CHAIN:
            return "deep"
        return "" if dag in self.published else "unknown"

    def plan(self, run: RefRun, try_number: int) -> None:
        """`try_number`: what it begins with, or goes on with."""
        assert run.try_number <= try_number <= run.try_number + 1
        if not run.restored:
            run.last_try = try_number + TRIES - 1
        run.try_number, run.deaths, run.has_begun = try_number, 0, False
        run.state, run.task, run.restored = "running", "waits", False
        if run.is_stopped:
            run.is_stopped = False
            self.stop(run)

    def claim(self, run: RefRun) -> None:
        run.task, run.has_begun = "running", True

    def defer(self, run: RefRun) -> None:
        if run.task == "cancelling":
            self.ask_to_cancel(run)
        else:
            run.task, run.asks = "deferred", False

    def release(self, run: RefRun, outcome: str) -> None:
        """Of a try that somebody holds, or has polled."""
        run.asks = False
        if run.task == "cancelling":
            run.task = "cancelled"
            self.end(run, "cancelled")
        elif outcome == "failed" and run.try_number < run.last_try:
            run.task = "up_for_retry"
        else:
            run.task = outcome
            self.end(run, outcome)

    def die(self, run: RefRun) -> None:
        """The process that held the try."""
        run.deaths += 1
        if run.deaths >= DEATHS:
            run.task = "failed"
            self.end(run, "failed" if run.state == "running" else "cancelled")
        elif run.task == "cancelling":
            self.ask_to_cancel(run)
        else:
            run.task = "waits"

    def ask_to_cancel(self, run: RefRun) -> None:
        """Nobody holds the try: a worker is asked, and a tick sees to it if none has a slot."""
        if run.child:
            self.cancels.add(run.child)

    def end(self, run: RefRun, state: str) -> None:
        run.state = state
        if parent := self.runs.get(run.parent):
            parent.asks |= parent.task == "deferred"

    def cancel(self, run: RefRun) -> None:
        if run.state == "queued" and run.restored:
            run.is_stopped = True  # what it has running is known once it is planned
        elif run.state == "queued":
            self.end(run, "cancelled")
        elif run.state == "running":
            self.stop(run)

    def stop(self, run: RefRun) -> None:
        run.state = "cancelling"
        if run.task == "running":
            run.task = "cancelling"
        elif run.task == "deferred":
            run.task, run.asks = "cancelling", False
            self.ask_to_cancel(run)
        elif run.task == "waits" and run.has_begun:
            run.task = "cancelling"
            self.ask_to_cancel(run)
        else:
            if run.task == "waits":
                self.ask_to_cancel(run)
            run.task = "cancelled"
            self.end(run, "cancelled")

    def wipe(self) -> None:
        """Redis loses everything, and gets back the runs that have not ended."""
        self.runs = {name: run for name, run in self.runs.items() if not run.is_over}
        self.cancels = set()
        for run in self.runs.values():
            run.restored |= bool(run.task)
            run.is_stopped |= run.state == "cancelling"
            run.try_number += run.task == "up_for_retry"
            run.state, run.task, run.child, run.asks = "queued", "", "", False
        for name, run in self.runs.items():
            if run.parent in self.runs:
                self.runs[run.parent].child = name

    def tick(self) -> list[str]:
        """The runs whose tasks are to be polled."""
        for run in self.runs.values():
            if run.task == "up_for_retry":
                run.task, run.try_number, run.deaths = "waits", run.try_number + 1, 0
                run.has_begun = False
        due = [name for name, run in self.runs.items() if run.asks]
        cancels, self.cancels = self.cancels, set()
        for name in cancels:
            if name in self.runs:
                self.cancel(self.runs[name])
        return [name for name in due if self.runs[name].task == "deferred"]
